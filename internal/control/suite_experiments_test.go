package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func twoArms(id, placement string) Experiment {
	return Experiment{Site: "shop", ID: id, Name: "Which", Placement: placement, Arms: []Arm{
		{Name: "control", Weight: 3}, {Name: "new", Weight: 1, Limit: 5, Settings: json.RawMessage(`{"diversity":0.5}`)},
	}}
}

// testExperiments: what one process drafts another starts and a third party reads; what runs stays as it is, and so does its placement,
// until it is stopped; then it is history.
func testExperiments(t *testing.T, a, b *Store) {
	ctx := t.Context()
	put, started := must[Experiment](t), must[Experiment](t)
	draft := put(a.PutExperiment(ctx, twoArms("which", "home"), NoETag))
	if draft.State != ExperimentDraft || draft.Revision != 1 || draft.UpdatedAt.IsZero() || !draft.StartedAt.IsZero() {
		t.Errorf("drafted as %+v", draft)
	}
	if _, err := b.PutExperiment(ctx, draft, NoETag); !errors.Is(err, ErrChanged) {
		t.Errorf("a draft that exists was made again: %v", err)
	}
	draft.Name, draft.State = "Which one", ExperimentRunning // a writer says nothing of states
	draft = put(b.PutExperiment(ctx, draft, draft.ETag()))
	if got := put(a.Experiment(ctx, "shop", "which")); got.Name != "Which one" || got.State != ExperimentDraft || got.Site != "shop" || got.Revision != 2 ||
		len(got.Arms) != 2 || got.Arms[1].Limit != 5 || string(got.Arms[1].Settings) != `{"diversity":0.5}` {
		t.Errorf("read as %+v", got)
	}
	if r := must[*Running](t)(a.RunningExperiment(ctx, "shop", "home")); r != nil {
		t.Errorf("a draft runs: %+v", r)
	}
	_, err := a.StopExperiment(ctx, "shop", "which", "")
	wantState(t, err, ExperimentDraft)
	if _, err := b.StartExperiment(ctx, "shop", "which", `1`); !errors.Is(err, ErrChanged) {
		t.Errorf("started behind its revision: %v", err)
	}
	running := started(b.StartExperiment(ctx, "shop", "which", draft.ETag()))
	if running.State != ExperimentRunning || running.StartedAt.IsZero() || running.Revision != 3 {
		t.Errorf("started as %+v", running)
	}
	if again := started(a.StartExperiment(ctx, "shop", "which", "")); again.Revision != 3 || !again.StartedAt.Equal(running.StartedAt) {
		t.Errorf("started twice: %+v", again)
	}
	testRunning(t, a, b, draft)
	stopped := must[Experiment](t)(a.StopExperiment(ctx, "shop", "which", running.ETag()))
	if again := must[Experiment](t)(b.StopExperiment(ctx, "shop", "which", "")); stopped.State != ExperimentStopped || stopped.StoppedAt.Before(running.StartedAt) ||
		again.Revision != stopped.Revision || !again.StoppedAt.Equal(stopped.StoppedAt) {
		t.Errorf("stopped as %+v, then %+v", stopped, again)
	}
	if r := must[*Running](t)(a.RunningExperiment(ctx, "shop", "home")); r != nil {
		t.Errorf("what was stopped runs: %+v", r)
	}
	_, err = b.StartExperiment(ctx, "shop", "which", "")
	wantState(t, err, ExperimentStopped)
	_, err = b.PutExperiment(ctx, draft, "")
	wantState(t, err, ExperimentStopped)
	must[Experiment](t)(b.StartExperiment(ctx, "shop", "next", ""))
	if err := a.DeleteExperiment(ctx, "shop", "which", ""); err != nil {
		t.Error(err)
	}
	_, err = b.Experiment(ctx, "shop", "which")
	for _, err := range []error{err, b.DeleteExperiment(ctx, "shop", "which", ""), b.DeleteExperiment(ctx, "other", "next", "")} {
		if !errors.Is(err, ErrUnknownExperiment) {
			t.Errorf("one that is gone, or of another site: %v", err)
		}
	}
	var done []string
	for _, entry := range must[[]AuditRecord](t)(a.AuditLog(ctx, "shop", "", 0)) {
		if strings.HasPrefix(entry.Action, "experiment.") {
			done = append(done, entry.Action+" "+entry.Target)
		}
	}
	if got := strings.Join(done, ", "); got != "experiment.delete which, experiment.start next, experiment.stop which, experiment.put next, experiment.start which, experiment.put which, experiment.put which" {
		t.Errorf("written down, the newest first: %s", got)
	}
}

func wantState(t *testing.T, err error, want ExperimentState) {
	t.Helper()
	var state *ExperimentStateError
	if !errors.As(err, &state) || state.State != want {
		t.Errorf("%v, want that it is %s", err, want)
	}
}

// testRunning looks at an experiment while it runs.
func testRunning(t *testing.T, a, b *Store, draft Experiment) {
	t.Helper()
	ctx := t.Context()
	r := must[*Running](t)(b.RunningExperiment(ctx, "shop", "home"))
	if r == nil || r.ID != "which" || r.Site != "shop" || r.Weight != 4 || r.Variants[0].Variant != "which:control" || r.Variants[1].Variant != "which:new" ||
		r.Variants[0].Placement.Limit != DefaultPlacementLimit || len(r.Variants[0].Placement.Settings) != 0 || r.Variants[1].Placement.Limit != 5 ||
		string(r.Variants[1].Placement.Settings) != `{"diversity":0.5}` || r.Variants[1].Placement.Name != "home" {
		t.Fatalf("runs as %+v", r)
	}
	for site, placement := range map[string]string{"shop": "item", "other": "home"} {
		if r := must[*Running](t)(b.RunningExperiment(ctx, site, placement)); r != nil {
			t.Errorf("%s runs on %s of %s", r.ID, placement, site)
		}
	}
	_, err := a.PutExperiment(ctx, draft, "")
	wantState(t, err, ExperimentRunning)
	wantState(t, b.DeleteExperiment(ctx, "shop", "which", ""), ExperimentRunning)
	must[Experiment](t)(b.PutExperiment(ctx, twoArms("next", "home"), ""))
	_, second := b.StartExperiment(ctx, "shop", "next", "")
	home := Placement{Site: "shop", Name: "home", Kind: KindHome, Limit: 3}
	for what, err := range map[string]error{"a second one": second, "a write": a.PutPlacement(ctx, home), "a deletion": b.DeletePlacement(ctx, "shop", "home", "")} {
		var tested *PlacementTestedError
		if !errors.As(err, &tested) || tested.Experiment != "which" || tested.Placement != "home" {
			t.Errorf("%s: %v", what, err)
		}
	}
	home.Site = "other"
	if err := a.PutPlacement(ctx, home); err != nil {
		t.Errorf("a placement of another site: %v", err)
	}
}

// testExperimentRace: of several that are started on one placement at once, in two processes, one runs.
func testExperimentRace(t *testing.T, a, b *Store) {
	ctx := t.Context()
	const drafts = 6
	for i := range drafts {
		must[Experiment](t)(a.PutExperiment(ctx, twoArms(fmt.Sprint("e", i), "home"), ""))
	}
	errs := make([]error, drafts)
	var group sync.WaitGroup
	for i := range drafts {
		group.Go(func() { _, errs[i] = []*Store{a, b}[i%2].StartExperiment(ctx, "shop", fmt.Sprint("e", i), "") })
	}
	group.Wait()
	running := 0
	for _, err := range errs {
		var tested *PlacementTestedError
		switch {
		case err == nil:
			running++
		case !errors.As(err, &tested):
			t.Errorf("neither started nor refused: %v", err)
		}
	}
	if running != 1 {
		t.Errorf("%d run on one placement", running)
	}
}

// testBadExperiments: what cannot run is refused with the place that is wrong.
func testBadExperiments(t *testing.T, a *Store) {
	ctx := t.Context()
	for pointer, change := range map[string]func(*Experiment){
		"/experiment_id":   func(e *Experiment) { e.ID = "A b" },
		"/name":            func(e *Experiment) { e.Name = strings.Repeat("x", maxExperimentName+1) },
		"/arms":            func(e *Experiment) { e.Arms = e.Arms[:1] },
		"/arms/1/name":     func(e *Experiment) { e.Arms[1].Name = "control" },
		"/arms/0/name":     func(e *Experiment) { e.Arms[0].Name = DefaultVariant },
		"/arms/0/weight":   func(e *Experiment) { e.Arms[0].Weight = 0 },
		"/arms/1/weight":   func(e *Experiment) { e.Arms[1].Weight = MaxArmWeight + 1 },
		"/arms/1/limit":    func(e *Experiment) { e.Arms[1].Limit = MaxPlacementLimit + 1 },
		"/arms/1/settings": func(e *Experiment) { e.Arms[1].Settings = json.RawMessage(`[]`) },
	} {
		e := twoArms("bad", "home")
		change(&e)
		var field *FieldError
		if _, err := a.PutExperiment(ctx, e, ""); !errors.As(err, &field) || field.Pointer != pointer {
			t.Errorf("%v, want it at %s", err, pointer)
		}
	}
	many := twoArms("bad", "home")
	for range MaxArms {
		many.Arms = append(many.Arms, Arm{Name: fmt.Sprint("arm", len(many.Arms)), Weight: 1})
	}
	if _, err := a.PutExperiment(ctx, many, ""); err == nil {
		t.Error("too many arms were stored")
	}
	long := twoArms("bad", "home")
	long.Arms[0].Settings = json.RawMessage(`{"filter":"` + strings.Repeat("x", maxDocumentBytes) + `"}`)
	if _, err := a.PutExperiment(ctx, long, ""); !errors.Is(err, ErrLongExperiment) {
		t.Errorf("a long one: %v", err)
	}
	must[Experiment](t)(a.PutExperiment(ctx, twoArms("nowhere", "gone"), ""))
	if _, err := a.StartExperiment(ctx, "shop", "nowhere", ""); !errors.Is(err, ErrUnknownPlacement) {
		t.Errorf("started on a placement that there is not: %v", err)
	}
	for i := range MaxExperiments - 1 {
		must[Experiment](t)(a.PutExperiment(ctx, twoArms(fmt.Sprint("e", i), "home"), ""))
	}
	if _, err := a.PutExperiment(ctx, twoArms("more", "home"), ""); !errors.Is(err, ErrTooManyExperiments) {
		t.Errorf("one more than there may be: %v", err)
	}
	if list := must[[]Experiment](t)(a.Experiments(ctx, "shop")); len(list) != MaxExperiments || list[0].ID != "e0" || list[1].ID != "e1" {
		t.Errorf("%d experiments, the first %s", len(list), list[0].ID)
	}
}

// TestArmOverPlacement: an arm changes the settings that it names, one by one, and null is what follows from the kind.
func TestArmOverPlacement(t *testing.T) {
	p := Placement{Site: "shop", Name: "home", Kind: KindHome, Limit: 12, Settings: json.RawMessage(`{"diversity":0.2,"sources":{"trending":1},"strict":true}`)}
	for settings, want := range map[string]string{
		``:     string(p.Settings),
		`null`: string(p.Settings),
		`{}`:   string(p.Settings),
		`{"diversity":0.9,"sources":{"popularity":2}}`: `{"diversity":0.9,"sources":{"popularity":2},"strict":true}`,
		`{"sources":null}`: `{"diversity":0.2,"sources":null,"strict":true}`,
	} {
		arm := Arm{Settings: json.RawMessage(settings)}
		if got, err := arm.Of(p); err != nil || string(got.Settings) != want || got.Limit != 12 || got.Name != "home" {
			t.Errorf("%s: %+v, %v", settings, got, err)
		}
	}
	arm := Arm{Limit: 3, Settings: json.RawMessage(`{"strict":false}`)}
	if got, err := arm.Of(Placement{Limit: 12}); err != nil || string(got.Settings) != `{"strict":false}` || got.Limit != 3 {
		t.Errorf("over a standard one: %+v, %v", got, err)
	}
	if string(p.Settings) != `{"diversity":0.2,"sources":{"trending":1},"strict":true}` {
		t.Errorf("the placement itself became %s", p.Settings)
	}
}
