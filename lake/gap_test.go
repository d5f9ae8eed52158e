package lake

import (
	"slices"
	"testing"
	"time"
)

// gapAt lands nothing but a gap of ten offsets at the fence of partition 0.
func gapAt(t *testing.T, l *Lake, from int64, at time.Time) Gap {
	t.Helper()
	g := Gap{Topic: "millrace.events", Epoch: 1, Partition: 0, From: from, To: from + 10, At: at}
	in := Landing{Fences: []Fence{{Topic: g.Topic, Epoch: 1, Partition: 0, From: from, Next: g.To}}, Gaps: []Gap{g}}
	for range 2 { // a writer that did not hear of its success commits again
		if err := l.Commit(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// TestGapsAreMarked keeps marks of losses beside the fence that moved past them, the newest ones only, also after
// maintenance, and for a reader that opens the lake later.
func TestGapsAreMarked(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	start := time.UnixMilli(1_772_000_000_000).UTC()
	var all []Gap
	for i := range int64(gapsKept + 5) {
		all = append(all, gapAt(t, l, 10*i, start.Add(time.Duration(i)*time.Second)))
	}
	if err := l.Maintain(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tables, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tables[0].Gaps, all[5:]; !slices.Equal(got, want) {
		t.Fatalf("%d gaps %+v, want the newest %d", len(got), got, len(want))
	}
	if n := len(tables[1].Gaps); n != 0 {
		t.Errorf("the other table marks %d gaps", n)
	}
	if next := tables[0].NextOffsets["0"]; next != 10*(gapsKept+5) {
		t.Errorf("the fence stands at %d", next)
	}
}

func TestGapsLieWithinFences(t *testing.T) {
	l, err := Open(t.Context(), Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fences := []Fence{{Topic: "millrace.events", Epoch: 1, From: 10, Next: 20}}
	for _, g := range []Gap{
		{Topic: "millrace.events", Epoch: 1, From: 9, To: 20}, {Topic: "millrace.events", Epoch: 1, From: 10, To: 21},
		{Topic: "millrace.events", Epoch: 2, From: 10, To: 20}, {Topic: "millrace.events", Epoch: 1, From: 15, To: 15},
	} {
		if err := l.Commit(t.Context(), Landing{Fences: fences, Gaps: []Gap{g}}); err == nil {
			t.Errorf("gap %+v was taken", g)
		}
	}
}

func TestDamagedGapIsNamed(t *testing.T) {
	for _, p := range [][2]string{
		{gapPrefix + "1.millrace.events.0", "5:6"}, {gapPrefix + "1.millrace.events.0.7", "8"},
		{gapPrefix + "x.millrace.events.0.7", "8:9"}, {gapPrefix + "1.millrace.events.0.7", "8:now"},
	} {
		if _, _, err := parseGap(p[0], p[1]); err == nil {
			t.Errorf("%s = %s was read as a gap", p[0], p[1])
		}
	}
}
