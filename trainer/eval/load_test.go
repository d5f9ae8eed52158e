package eval

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/history"
)

func load(t *testing.T, name, text string, c Config) (*Log, error) {
	t.Helper()
	c.Data = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(c.Data, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(context.Background(), c)
}

func mustLoad(t *testing.T, name, text string, c Config) *Log {
	t.Helper()
	l, err := load(t, name, text, c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ids returns the item ids of every session.
func ids(l *Log) [][]string {
	var out [][]string
	for i := range l.Sessions.Len() {
		items, _ := l.Sessions.At(i)
		var session []string
		for _, item := range items {
			session = append(session, l.Vocabulary.ID(item))
		}
		out = append(out, session)
	}
	return out
}

func TestLoadGroupsAndOrdersInterleavedSessions(t *testing.T) {
	l := mustLoad(t, "events.csv", "session_id,item_id,timestamp\n"+
		"late,x,300\nearly,b,20\nlate,007,100\nearly,a,10\nlate,7,100\n", Config{})
	want := [][]string{{"a", "b"}, {"007", "7", "x"}} // equal times keep the file's order; ids are texts
	if got := ids(l); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("sessions %v, want %v", got, want)
	}
	if _, times := l.Sessions.At(0); !slices.Equal(times, []int64{10_000, 20_000}) {
		t.Errorf("times %v, want milliseconds", times)
	}
	if l.Logical || l.Rows != 5 || l.First().Unix() != 10 || l.Last().Unix() != 300 {
		t.Errorf("logical %t, rows %d, %s to %s", l.Logical, l.Rows, l.First(), l.Last())
	}
}

func TestLoadWithoutTimesKeepsTheOrder(t *testing.T) {
	l := mustLoad(t, "events.csv", "session_id,item_id,position\n1,a,9\n2,b,1\n1,c,1\n", Config{})
	if want := [][]string{{"b"}, {"a", "c"}}; !slices.EqualFunc(ids(l), want, slices.Equal) || !l.Logical {
		t.Errorf("sessions %v, logical %t", ids(l), l.Logical)
	}
	if !slices.Equal(l.Sessions.Times, []int64{1000, 0, 2000}) {
		t.Errorf("times %v, want one second a row", l.Sessions.Times)
	}
}

func TestLoadCountsBadRowsAndGoesOn(t *testing.T) {
	l := mustLoad(t, "events.csv", "session_id,item_id,timestamp,split\n"+
		"1,a,10,train\n1,,11,train\n,b,12,train\n1,b,noon,train\n1,b,13,holdout\n1,b\n1,c,14,train\n", Config{})
	if l.Rows != 2 || l.BadRows != 5 {
		t.Errorf("%d rows, %d bad, want 2 and 5", l.Rows, l.BadRows)
	}
	if l.FirstBad == nil || !strings.Contains(l.FirstBad.Error(), "line 3") {
		t.Errorf("first bad row: %v", l.FirstBad)
	}
}

func TestLoadKeepsPartsOfASplitApart(t *testing.T) {
	l := mustLoad(t, "events.csv", "session_id,item_id,timestamp,split\n1,a,1,train\n1,b,2,train\n1,c,3,test\n1,d,4,test\n", Config{})
	if want := []string{"train", "test"}; !slices.Equal(l.Splits, want) {
		t.Errorf("splits %v of sessions %v, want %v", l.Splits, ids(l), want)
	}
	l = mustLoad(t, "events.csv", "session_id,item_id,split\n1,a,whatever\n1,b,else\n", Config{Holdout: 0.1})
	if l.Splits != nil || l.Rows != 2 {
		t.Errorf("a holdout was asked for, but splits are %v of %d rows", l.Splits, l.Rows)
	}
}

func TestLoadReadsMappedJSONLines(t *testing.T) {
	l := mustLoad(t, "events.jsonl", `{"visit": "v", "items": [{"item_id": "a"}], "at": 1500000}`+"\n"+
		`{"visit": "v", "items": [{"item_id": "b"}], "at": 2500000}`+"\n", Config{
		Mapping:  history.Mapping{"session_id": "visit", "item_id": "items.0.item_id", "occurred_at": "at"},
		TimeUnit: history.UnitMicros,
	})
	if want := [][]string{{"a", "b"}}; !slices.EqualFunc(ids(l), want, slices.Equal) || !slices.Equal(l.Sessions.Times, []int64{1500, 2500}) {
		t.Errorf("sessions %v at %v", ids(l), l.Sessions.Times)
	}
}

func TestLoadErrorsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		config     Config
		want       string
		usage      bool
	}{
		"no session column": {"e.csv", "user,item_id\n1,2\n", Config{}, "no column for session_id or user_id, so that nothing says which events belong together; the file has: user, item_id. Name one of them with --map session_id=COLUMN or --map user_id=COLUMN", true},
		"mapped column":     {"e.csv", "session_id,item_id\n1,2\n", Config{Mapping: history.Mapping{"item_id": "sku"}}, `no column "sku"`, true},
		"split column":      {"e.csv", "session_id,item_id\n1,2\n", Config{SplitColumn: "part"}, `no split column "part"; the file has: session_id, item_id`, true},
		"unknown format":    {"e.xlsx", "", Config{}, "csv, jsonl or parquet", true},
		"no usable row":     {"e.csv", "session_id,item_id\n1,\n", Config{}, "no row could be used: 1 bad, 0 left out", false},
		"empty":             {"e.csv", "", Config{}, "must name the columns", false},
	} {
		_, err := load(t, c.file, c.text, c.config)
		var usage *UsageError
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &usage) != c.usage {
			t.Errorf("%s: error %v, want %q (usage %t)", name, err, c.want, c.usage)
		}
	}
	if _, err := Load(context.Background(), Config{Data: "lake"}); err == nil || !strings.Contains(err.Error(), "no lake is at hand") {
		t.Errorf("lake: error %v", err)
	}
	if _, err := Load(context.Background(), Config{Data: "missing.csv"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
}
