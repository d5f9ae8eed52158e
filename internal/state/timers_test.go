package state

import (
	"slices"
	"testing"
)

func TestTimersComeByTimeAndNameOfTheirGroupAlone(t *testing.T) {
	db := open(t, t.TempDir())
	batch := db.NewBatch()
	for _, timer := range []Timer{
		{"shop", 300, "late", nil}, {"shop", -5, "before 1970", nil}, {"shop", 200, "b", []byte("x")}, {"shop", 200, "a", nil},
		{"shop2", 1, "another site", nil}, {"sho", 1, "another site", nil},
	} {
		batch.SetTimer(timer)
	}
	if err := db.Commit(batch, Position{Epoch: 1, Offset: 1}); err != nil {
		t.Fatal(err)
	}
	names := func(behind Timer, until int64, limit int) (names []string) {
		t.Helper()
		due, err := db.Due(behind, until, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, timer := range due {
			names = append(names, timer.Name)
		}
		return names
	}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("all", names(FirstTimer("shop"), 1000, 10), "before 1970", "a", "b", "late")
	check("due", names(FirstTimer("shop"), 200, 10), "before 1970", "a", "b")
	check("due a moment before", names(FirstTimer("shop"), 199, 10), "before 1970")
	check("the first two", names(FirstTimer("shop"), 1000, 2), "before 1970", "a")
	check("behind one", names(Timer{Group: "shop", At: 200, Name: "a"}, 1000, 10), "b", "late")
	groups, err := db.TimerGroups()
	if err != nil {
		t.Fatal(err)
	}
	check("groups", groups, "sho", "shop", "shop2")

	if err := db.ChangeTimers([]Timer{{Group: "shop", At: 200, Name: "b"}}, []Timer{{Group: "shop", At: 250, Name: "b"}}); err != nil {
		t.Fatal(err)
	}
	check("after a change", names(FirstTimer("shop"), 1000, 10), "before 1970", "a", "b", "late")
	if err := db.ForgetTimers("shop", 200); err != nil {
		t.Fatal(err)
	}
	check("after forgetting", names(FirstTimer("shop"), 1000, 10), "b", "late")
	check("others stay", names(FirstTimer("shop2"), 1000, 10), "another site")
	if rows, err := db.Due(FirstTimer("nobody"), 1000, 10); err != nil || len(rows) > 0 {
		t.Errorf("timers of nobody: %v, %v", rows, err)
	}
}
