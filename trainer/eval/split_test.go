package eval

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
)

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// logOf has one session of two events for each given end; items are numbered by session.
func logOf(ends ...int64) *Log {
	l := &Log{Vocabulary: model.NewVocabulary(), Sessions: &model.Sessions{}}
	for _, end := range ends {
		a, b := l.Vocabulary.Add("common"), l.Vocabulary.Add("other")
		l.Sessions.Append([]int32{a, b}, []int64{end - 1, end})
	}
	return l
}

func split(t *testing.T, l *Log, c Config) *Dataset {
	t.Helper()
	d, err := SplitLog(l, c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func sizes(d *Dataset) [4]int {
	return [4]int{d.Train.Sessions.Len(), d.TuneTrain.Sessions.Len(), d.Valid.Groups(), d.Test.Groups()}
}

// told returns the items of a test in the order in which they are wanted, and before them what each group begins with.
func told(t *Test) []int32 {
	var out []int32
	for g := range t.Groups() {
		first := true
		for c := range t.Group(g) {
			if first {
				out = append(out, c.Query.Items...)
			}
			out, first = append(out, c.Wanted...), false
		}
	}
	return out
}

func TestGivenSplitIsKept(t *testing.T) {
	l := logOf(1, 2, 3, 4)
	l.Splits = []string{"test", "train", "valid", "train"}
	d := split(t, l, Config{})
	if got := sizes(d); got != [4]int{2, 2, 1, 1} {
		t.Errorf("train, tune train, valid, test: %v", got)
	}
	if !slices.Equal(d.Train.Sessions.Times, []int64{1, 2, 3, 4}) {
		t.Errorf("training times %v: the validation part is no training part", d.Train.Sessions.Times)
	}
}

func TestGivenSplitWithoutValidationTakesTheNewestTenth(t *testing.T) {
	var ends []int64
	for i := range int64(21) {
		ends = append(ends, (i+1)*10)
	}
	l := logOf(ends...)
	l.Splits = append(slices.Repeat([]string{"train"}, 20), "test")
	d := split(t, l, Config{})
	if got := sizes(d); got != [4]int{20, 18, 2, 1} {
		t.Errorf("train, tune train, valid, test: %v", got)
	}
	if asked(d.Valid)[0] != 189 || d.TuneTrain.Sessions.Newest() != 180 {
		t.Errorf("validation begins at %d, tuning learns up to %d", asked(d.Valid)[0], d.TuneTrain.Sessions.Newest())
	}
}

func TestLastDayIsTheTest(t *testing.T) {
	last := 10 * dayMillis
	d := split(t, logOf(1, dayMillis, last-2*dayMillis, last-2*dayMillis+1, last-dayMillis, last-dayMillis+1, last), Config{})
	if got := sizes(d); got != [4]int{5, 3, 2, 2} {
		t.Errorf("train, tune train, valid, test: %v", got)
	}
	if asked(d.Test)[0] != last-dayMillis {
		t.Errorf("the test begins with a session that asks at %d", asked(d.Test)[0])
	}
}

// A shop that was nearly closed on its last day says nothing; the share does.
func TestAQuietLastDayGivesWayToAShare(t *testing.T) {
	var ends []int64
	for i := range int64(400) {
		ends = append(ends, i*dayMillis/40)
	}
	d := split(t, logOf(append(ends, 12*dayMillis)...), Config{})
	if got := sizes(d); got != [4]int{361, 325, 36, 40} {
		t.Errorf("train, tune train, valid, test: %v", got)
	}
}

func TestFewDaysAndLogicalClocksAreSplitByShare(t *testing.T) {
	var short, long []int64
	for i := range int64(20) {
		short, long = append(short, (i+1)*1000), append(long, (i+1)*dayMillis)
	}
	logical := logOf(long...)
	logical.Logical = true
	for name, l := range map[string]*Log{"few days": logOf(short...), "logical": logical} {
		if got := sizes(split(t, l, Config{})); got != [4]int{18, 16, 2, 2} {
			t.Errorf("%s: train, tune train, valid, test: %v", name, got)
		}
	}
	if got := sizes(split(t, logOf(long...), Config{Holdout: 0.5})); got != [4]int{10, 5, 5, 10} {
		t.Errorf("holdout: train, tune train, valid, test: %v", got)
	}
}

func TestUnseenItemsStayOutUnlessAsked(t *testing.T) {
	l := &Log{Vocabulary: model.NewVocabulary("a", "b", "new", "late"), Sessions: &model.Sessions{}}
	l.Sessions.Append([]int32{0, 1}, []int64{1, 2})
	l.Sessions.Append([]int32{0, 3}, []int64{3, 4})             // newest of train: the validation part
	l.Sessions.Append([]int32{0, 2, 1, 3}, []int64{5, 6, 7, 8}) // test
	l.Sessions.Append([]int32{2, 0}, []int64{9, 10})            // test, one known item
	l.Splits = []string{"train", "train", "test", "test"}
	d := split(t, l, Config{})
	if d.Vocabulary.Len() != 3 {
		t.Errorf("vocabulary of %d items, want those of the training part", d.Vocabulary.Len())
	}
	at := func(id string) int32 {
		i, ok := d.Vocabulary.Index(id)
		if !ok {
			t.Fatalf("item %s is not in the vocabulary", id)
		}
		return i
	}
	want := []int32{at("a"), at("b"), at("late")}
	if d.Test.Groups() != 1 || !slices.Equal(told(d.Test), want) {
		t.Errorf("test items %v of %d sessions, want %v of 1", told(d.Test), d.Test.Groups(), want)
	}
	if d.Valid.Groups() != 0 {
		t.Errorf("validation keeps %v, but late was not learned from what tuning learns from", told(d.Valid))
	}
	d = split(t, l, Config{IncludeUnseen: true})
	if want := []int32{at("a"), -1, at("b"), at("late"), at("a")}; !slices.Equal(told(d.Test), want) {
		t.Errorf("with unseen items: test %v, want %v", told(d.Test), want)
	}
}

func TestEmptyPartsAreAnError(t *testing.T) {
	l := logOf(1, 2)
	l.Splits = []string{"train", "train"}
	if _, err := SplitLog(l, Config{}); err == nil {
		t.Error("no test sessions: no error")
	}
	if _, err := SplitLog(logOf(1), Config{}); err == nil {
		t.Error("one session: no error")
	}
}
