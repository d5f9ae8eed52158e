package eval

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// diary is a log of a few visitors: a line each, "user: item@minute ...". Sessions are cut by the session rule, so half an
// hour of silence begins a new one.
func diary(t *testing.T, lines ...string) *Log {
	t.Helper()
	text := "user_id,item_id,timestamp\n"
	for _, line := range lines {
		user, events, _ := strings.Cut(line, ":")
		for event := range strings.FieldsSeq(events) {
			item, minute, _ := strings.Cut(event, "@")
			var at int
			if _, err := fmt.Sscan(minute, &at); err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("%s,%s,%d\n", user, item, 1_600_000_000+60*at)
		}
	}
	return mustLoad(t, "diary.csv", text, Config{Protocol: ProtocolTemporal})
}

// words describes every case of a test: what is told, the running session after a bar, and what is wanted.
func words(d *Dataset, test *Test) []string {
	name := func(items []int32) string {
		var out []string
		for _, item := range items {
			if item == unknownItem {
				out = append(out, "?")
			} else {
				out = append(out, d.Vocabulary.ID(item))
			}
		}
		return strings.Join(out, " ")
	}
	var out []string
	for g := range test.Groups() {
		for c := range test.Group(g) {
			out = append(out, fmt.Sprintf("%s|%s>%s", name(c.Query.History), name(c.Query.Items), name(c.Wanted)))
		}
	}
	return out
}

// learns lists the items of a part's sessions.
func learns(d *Dataset, p *Part) string {
	var out []string
	for i := range p.Sessions.Len() {
		items, _ := p.Sessions.At(i)
		var session string
		for _, item := range items {
			session += d.Vocabulary.ID(item)
		}
		out = append(out, session)
	}
	return strings.Join(out, " ")
}

func TestLeaveLastAsksEachVisitorsLastEvent(t *testing.T) {
	log := diary(t, "u: a@0 b@1 c@100 d@101 e@102", "v: c@5 a@6", "w: b@7")
	d := split(t, log, Config{Protocol: ProtocolLeaveLast, IncludeUnseen: true})
	if got, want := words(d, d.Test), []string{"a b|c d>?", "|c>a"}; !slices.Equal(got, want) {
		t.Errorf("test %q, want %q", got, want)
	}
	if got, want := words(d, d.Valid), []string{"a b|c>?"}; !slices.Equal(got, want) {
		t.Errorf("validation %q, want %q: v has nothing left to ask with", got, want)
	}
	if got := learns(d, d.Train); got != "ab c b cd" {
		t.Errorf("models learn %q", got)
	}
	if got := learns(d, d.TuneTrain); got != "ab c b c" {
		t.Errorf("while parameters are chosen they learn %q", got)
	}
	if d.ColdEvents != 1 || d.Test.Unit != UnitUser {
		t.Errorf("%d cold events by %s", d.ColdEvents, d.Test.Unit)
	}
	if d := split(t, log, Config{Protocol: ProtocolLeaveLast}); d.Test.Len() != 1 {
		t.Errorf("%q: e was never learned, so u cannot be asked", words(d, d.Test))
	}
}

func TestTemporalAsksWhatIsNewAfterATime(t *testing.T) {
	log := diary(t,
		"u: a@0 b@1 a@60 c@61 b@100 d@101 d@102 c@103 x@104", // b and c are known to u already
		"v: d@2 b@3 a@99",
		"w: d@105 a@106") // came after the time
	c := Config{Protocol: ProtocolTemporal, TestFrom: time.Unix(1_600_000_000+60*100, 0), IncludeUnseen: true}
	d := split(t, log, c)
	if got, want := words(d, d.Test), []string{"a b|a c>d ?", "|>d a"}; !slices.Equal(got, want) {
		t.Errorf("test %q, want %q", got, want)
	}
	if got := learns(d, d.Train); got != "ab db ac a" {
		t.Errorf("models learn %q", got)
	}
	for g := range d.Test.Groups() {
		for one := range d.Test.Group(g) {
			if !one.Query.Now.Equal(c.TestFrom) {
				t.Errorf("asked at %s, want the time at which the test begins", one.Query.Now)
			}
		}
	}
	if d.ColdUsers != 1 || d.ColdEvents != 1 {
		t.Errorf("%d cold users and %d cold events, want 1 and 1", d.ColdUsers, d.ColdEvents)
	}
	c.IncludeUnseen = false
	if d := split(t, log, c); !slices.Equal(words(d, d.Test), []string{"a b|a c>d", "|>d a"}) {
		t.Errorf("without unseen items: %q", words(d, d.Test))
	}
}

// Without a time, the newest share of the events is the test, and of the rest the validation.
func TestTemporalTakesTheNewestShare(t *testing.T) {
	var lines []string
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("u%d: a@%d", i%7, i))
	}
	d := split(t, diary(t, append(lines, "z: a@100 b@100 a@101")...), Config{Protocol: ProtocolTemporal, Holdout: 0.1, IncludeUnseen: true})
	if n := d.Train.Sessions.Events(); n != 93 {
		t.Errorf("models learn %d of 103 events, want 93", n)
	}
	if n := d.TuneTrain.Sessions.Events(); n != 84 {
		t.Errorf("tuning learns %d events, want 84 of 93", n)
	}
}

// Whoever has no id teaches models, but cannot be asked about, and not from after the time.
func TestUnknownVisitorsAreLearnedFromOnly(t *testing.T) {
	log := mustLoad(t, "e.csv", "user_id,order_id,item_id,timestamp\n,1,a,10\n,1,b,10\nu,2,a,20\nu,3,b,4000\n,4,b,4001\n,,a,4002\n", Config{Protocol: ProtocolTemporal})
	d := split(t, log, Config{Protocol: ProtocolTemporal, TestFrom: time.Unix(3000, 0)})
	if got := learns(d, d.Train); got != "ab a" {
		t.Errorf("models learn %q", got)
	}
	if got := words(d, d.Test); !slices.Equal(got, []string{"|a>b"}) {
		t.Errorf("test %q", got)
	}
	if got := log.Sessions.Len(); got != 5 {
		t.Errorf("%d sessions, want one an order, a visitor's pause, and one of the row that has neither", got)
	}
}

func TestRandomHoldoutTakesAShareOfTheItems(t *testing.T) {
	var lines []string
	for u := range 50 {
		line := fmt.Sprintf("u%d:", u)
		for i := range 8 {
			line += fmt.Sprintf(" i%d@%d", (u+i*i)%40, u+i)
		}
		lines = append(lines, line+fmt.Sprintf(" i%d@%d", u%40, u+9)) // the first item once more
	}
	log := diary(t, lines...)
	at := func(seed uint64) *Dataset {
		return split(t, log, Config{Protocol: ProtocolRandomHoldout, Seed: seed, IncludeUnseen: true})
	}
	d := at(1)
	if n := d.Test.Len(); n != 50 {
		t.Fatalf("%d cases, want one a visitor", n)
	}
	for g := range d.Test.Groups() {
		for c := range d.Test.Group(g) {
			distinct := len(slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.Query.Items, c.Query.History)))))
			if len(c.Wanted) != 2 || distinct > 6 {
				t.Errorf("of 8 items %d are wanted and %d told, want 2 and 6", len(c.Wanted), distinct)
			}
		}
	}
	for g := range d.Valid.Groups() {
		for c := range d.Valid.Group(g) {
			if len(c.Wanted) > 2 {
				t.Errorf("validation wants %d of the 6 that are left", len(c.Wanted))
			}
		}
	}
	if !slices.Equal(words(at(1), at(1).Test), words(d, d.Test)) {
		t.Error("the same seed drew another test")
	}
	if slices.Equal(words(at(2), at(2).Test), words(d, d.Test)) {
		t.Error("another seed drew the same test")
	}
}

func TestStrongGeneralizationLearnsNothingOfWhomItAsksAbout(t *testing.T) {
	var lines []string
	for u := range 40 {
		line := fmt.Sprintf("u%d:", u)
		for i := range 10 {
			line += fmt.Sprintf(" i%d@%d", (u*3+i)%30, i)
		}
		lines = append(lines, line)
	}
	log := diary(t, append(lines, "few: i1@0 i2@1")...) // too few items to be asked about
	d := split(t, log, Config{Protocol: ProtocolStrongGeneralization, Seed: 3, IncludeUnseen: true})
	if n, users := d.Test.Len(), usersOf(d.Train.Sessions); n != 4 || users != 37 {
		t.Errorf("%d visitors are asked about and %d learned from, want 4 and 37", n, users)
	}
	if n, users := d.Valid.Len(), usersOf(d.TuneTrain.Sessions); n != 4 || users != 33 {
		t.Errorf("validation: %d visitors are asked about and %d learned from, want 4 and 33", n, users)
	}
	for g := range d.Test.Groups() {
		for c := range d.Test.Group(g) {
			if len(c.Wanted) != 2 || len(c.Query.Items)+len(c.Query.History) != 8 {
				t.Errorf("%d of 10 items are told and %d wanted", len(c.Query.Items)+len(c.Query.History), len(c.Wanted))
			}
		}
	}
}

func TestNextItemTellsWhatTheVisitorMetBefore(t *testing.T) {
	log := diary(t, "u: a@0 b@1 c@1000 a@1001 b@3000 c@3001 a@3002", "v: c@2 a@3")
	d := split(t, log, Config{Holdout: 0.2})
	if got, want := words(d, d.Test), []string{"a b c a|b>c", "a b c a|b c>a"}; !slices.Equal(got, want) {
		t.Errorf("test %q, want %q", got, want)
	}
	if got, want := words(d, d.Valid), []string{"a b|c>a"}; !slices.Equal(got, want) {
		t.Errorf("validation %q, want %q: nothing of the test is told", got, want)
	}
}

// A session that began before the test may have happened while models learned: only what came later is predicted.
func TestNextItemPredictsOnlyWhatModelsCannotHaveLearned(t *testing.T) {
	log := mustLoad(t, "e.csv", "session_id,item_id,timestamp\nold,a,10\nold,b,50\nlong,a,20\nlong,b,40\nlong,a,60\nlong,b,70\n", Config{})
	d := split(t, log, Config{Holdout: 0.5})
	if got, want := words(d, d.Test), []string{"|a b>a", "|a b a>b"}; !slices.Equal(got, want) {
		t.Errorf("test %q, want %q", got, want)
	}
}

func TestUserProtocolsNeedUsers(t *testing.T) {
	var usage *UsageError
	for _, protocol := range Protocols()[1:] {
		_, err := SplitLog(logOf(1, 2, 3), Config{Protocol: protocol})
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "--map user_id=COLUMN") {
			t.Errorf("%s: error %v, want what to do", protocol, err)
		}
	}
}

func TestCatalogueItemsMayBeRecommendedWhereUnseenOnesCount(t *testing.T) {
	log := diary(t, "u: a@0 b@1 c@2", "v: a@3 b@4")
	fresh := log.Vocabulary.Add("fresh")
	log.Catalogue = []int32{2, fresh}
	log.describe(fresh, Item{Title: "never met"})
	d := split(t, log, Config{Protocol: ProtocolLeaveLast, IncludeUnseen: true})
	if got, want := words(d, d.Test), []string{"|a b>c", "|a>b"}; !slices.Equal(got, want) {
		t.Errorf("test %q, want %q: c stands in the catalogue", got, want)
	}
	i, ok := d.Vocabulary.Index("fresh")
	if !ok || d.Train.NumItems != 4 || d.Train.Items[i].Title != "never met" {
		t.Errorf("of %d items, fresh is %d, %t: %+v", d.Train.NumItems, i, ok, d.Train.Items)
	}
	if d := split(t, log, Config{Protocol: ProtocolLeaveLast}); d.Vocabulary.Len() != 2 {
		t.Errorf("%d items, want those of the training part alone", d.Vocabulary.Len())
	}
}

func TestBasketsAreOrders(t *testing.T) {
	s := &model.Sessions{}
	s.Append([]int32{0, 1, 2}, []int64{1, 2, 3})
	s.Append([]int32{1, 0}, []int64{4, 5})
	p := NewPart(s, 3, nil)
	if p.Baskets() != s {
		t.Error("without orders, a session is a basket")
	}
	p = NewPart(s, 3, nil)
	p.Orders = []int32{9, NoOrder, 9, 4, 4}
	got := p.Baskets()
	if !slices.Equal(got.Items, []int32{0, 2, 1, 0}) || !slices.Equal(got.Offsets, []int{0, 2, 4}) {
		t.Errorf("baskets %v at %v", got.Items, got.Offsets)
	}
}
