package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// armResult is a row of what docs/experiments.md counts.
type armResult struct {
	Variant        string    `json:"variant"`
	People         int       `json:"people"`
	Lists          int       `json:"lists"`
	ListsClicked   int       `json:"lists_clicked"`
	Clickers       int       `json:"clickers"`
	ClickInterval  []float64 `json:"click_interval"`
	Buyers         int       `json:"buyers"`
	BuyerInterval  []float64 `json:"buyer_interval"`
	PurchasesByRec int       `json:"purchases_by_rec"`
}

// trial is a lake with an experiment in it, made by hand.
type trial struct {
	landing Landing
	at      time.Time
}

// list is one that was served to a person in a variant, and returns its id.
func (l *trial) list(variant, browser, user string) string {
	n := len(l.landing.Exposures)
	id := fmt.Sprint("list-", n)
	l.landing.Exposures = append(l.landing.Exposures, ExposureRow{
		Exposure: &event.Exposure{RecID: id, Site: "shop", Placement: "home", Variant: variant, AnonymousID: browser, UserID: user, ServedAt: l.at.Add(time.Duration(n) * time.Second)},
		At:       Position{Topic: event.TopicExposures, Epoch: 1, Offset: int64(n)},
	})
	return id
}

// does is an event of a person, some time after all lists, or before them.
func (l *trial) does(kind, rec, browser, user string, after time.Duration) {
	n := len(l.landing.Events)
	e := &event.Event{EventID: fmt.Sprint("event-", n), Site: "shop", Type: kind, AnonymousID: browser, UserID: user, OccurredAt: l.at.Add(after), ReceivedAt: l.at.Add(after)}
	if rec != "" {
		e.Rec = &event.Rec{RecID: rec, Placement: "home"}
	}
	l.landing.Events = append(l.landing.Events, EventRow{Event: e, At: Position{Topic: event.TopicEvents, Epoch: 1, Offset: int64(n)}})
}

// TestExperimentResult runs the lines of docs/experiments.md on an experiment of some people whose ways are known.
func TestExperimentResult(t *testing.T) {
	python := readersPython(t)
	l := openLakeAt(t, t.TempDir())
	lived := &trial{at: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)}
	first := lived.list("which:a", "b1", "")
	second := lived.list("which:a", "b1", "")
	lived.list("which:a", "b2", "")
	third := lived.list("which:b", "b3", "ada")
	lived.list("which:b", "b4", "")
	lived.list("which:b", "b5", "")
	other := lived.list("whichever:a", "b2", "") // another experiment
	lived.list("default", "b2", "")
	lived.list("which:b", "", "") // nobody's
	lived.list("which:a", "b6", "")
	moved := lived.list("which:b", "b6", "") // who was in two arms
	const later = time.Hour
	for _, rec := range []string{first, first, second} { // twice on one list, once on another
		lived.does("select_item", rec, "b1", "", later)
	}
	lived.does("select_item", other, "b2", "", later)
	lived.does("select_item", moved, "b6", "", later)
	lived.does("view_item", third, "b3", "ada", later)
	lived.does("purchase", third, "b3", "ada", later)
	lived.does("purchase", "", "elsewhere", "ada", later)
	lived.does("purchase", "", "b4", "bob", later) // who has logged in since
	lived.does("purchase", "", "b2", "", -later)   // before any list
	lived.landing.Fences = []Fence{
		{Topic: event.TopicEvents, Epoch: 1, Next: int64(len(lived.landing.Events))}, {Topic: event.TopicExposures, Epoch: 1, Next: int64(len(lived.landing.Exposures))},
	}
	if err := l.Commit(t.Context(), lived.landing); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"readers/experiment.py", "../docs/experiments.md", "site=shop", "experiment=which"}
	for _, place := range metadataArguments(t, l) {
		if place[:5] != "items" {
			arguments = append(arguments, place)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, arguments...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.Bytes())
	}
	var got []armResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	// Intervals are Wilson's of 1 of 2, 0 of 2, 0 of 3 and 2 of 3.
	want := []armResult{
		{"which:a", 2, 3, 2, 1, []float64{0.0945, 0.9055}, 0, []float64{0, 0.6576}, 0},
		{"which:b", 3, 3, 0, 0, []float64{0, 0.5615}, 2, []float64{0.2077, 0.9385}, 1},
	}
	if len(got) != len(want) {
		t.Fatalf("%s", out)
	}
	for i, w := range want {
		g := got[i]
		for name, pair := range map[string][2][]float64{"clickers": {g.ClickInterval, w.ClickInterval}, "buyers": {g.BuyerInterval, w.BuyerInterval}} {
			for side := range 2 {
				if len(pair[0]) != 2 || math.Abs(pair[0][side]-pair[1][side]) > 0.0001 {
					t.Errorf("%s: the interval of %s is %v, want %v", g.Variant, name, pair[0], pair[1])
				}
			}
		}
		g.ClickInterval, g.BuyerInterval, w.ClickInterval, w.BuyerInterval = nil, nil, nil, nil
		if fmt.Sprint(g) != fmt.Sprint(w) {
			t.Errorf("%+v, want %+v", g, w)
		}
	}
}
