package trainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/registry"
)

func openRegistry(t testing.TB) *registry.Registry {
	t.Helper()
	r, err := registry.Open(t.Context(), objstore.Place{Dir: filepath.Join(t.TempDir(), "models")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// train runs a training at a time of its own, without the methods that are optional.
func train(t *testing.T, r *registry.Registry, cfg Config, events []Interaction, now time.Time) Result {
	t.Helper()
	cfg.Skip = Optional()
	return trainAll(t, r, cfg, events, now)
}

// trainAll is train with every method that is not skipped.
func trainAll(t *testing.T, r *registry.Registry, cfg Config, events []Interaction, now time.Time) Result {
	t.Helper()
	cfg.Site = testSite
	result, err := Run(t.Context(), cfg, Deps{
		Source: &sliceSource{events: events, order: rand.New(rand.NewPCG(uint64(now.Unix()), 5))}, Registry: r,
		Now: func() time.Time { now = now.Add(time.Millisecond); return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestPlantedOrderIsLearntAndPromoted(t *testing.T) {
	r := openRegistry(t)
	result := train(t, r, Config{Seed: 1}, planted(600, 1), testStart)
	if !result.Promoted || !strings.Contains(result.Reason, "beats popularity") || result.Rows != 3000 {
		t.Fatalf("result %+v", result)
	}
	for _, name := range []string{ModelSessionKNN, ModelTransitions, ModelBlend} {
		if hr := result.Models[name]["HR@20"]; hr.Value < 0.95 || hr.Low > hr.Value || hr.High < hr.Value {
			t.Errorf("%s finds %+v of the planted items", name, hr)
		}
	}
	bundle, err := r.Load(t.Context(), testSite, result.Version)
	if err != nil {
		t.Fatal(err)
	}
	var query []int32
	for _, id := range []string{"b02", "b03"} {
		i, ok := bundle.Vocabulary.Index(id)
		if !ok {
			t.Fatalf("no item %s", id)
		}
		query = append(query, i)
	}
	for _, name := range []string{ModelSessionKNN, ModelTransitions, ModelBlend} {
		top := bundle.Scorers[name].Score(nil, model.Query{Items: query, Now: testStart}, 3)
		if len(top) == 0 || bundle.Vocabulary.ID(top[0].Item) != "b04" {
			t.Errorf("%s does not continue b02, b03 with b04: %v", name, top)
		}
	}
	champion, ok, err := r.Champion(t.Context(), testSite)
	if err != nil || !ok || champion.Version != result.Version {
		t.Fatalf("champion %v, %v, %v", champion.Version, ok, err)
	}
	s := champion.Source
	if s.SnapshotID != 1 || s.Fences["0"] != 3000 || s.Sessions != 600 || s.Events != 3000 || !s.From.Equal(testStart) ||
		champion.Models[GatedModel].Metrics["MRR@20"] != result.Metrics["MRR@20"] {
		t.Fatalf("manifest %+v", champion)
	}
}

func TestShuffledDataIsKeptButNotPromoted(t *testing.T) {
	r := openRegistry(t)
	result := train(t, r, Config{}, shuffled(planted(1500, 1), 2), testStart)
	if result.Promoted || result.Version == "" || !strings.Contains(result.Reason, "is worse than popularity") {
		t.Fatalf("result %+v", result)
	}
	if _, err := r.ChampionVersion(t.Context(), testSite); !errors.Is(err, registry.ErrNoChampion) {
		t.Fatalf("there is a champion: %v", err)
	}
	if list, err := r.List(t.Context(), testSite); err != nil || len(list) != 1 || list[0].Gate.Reason != result.Reason {
		t.Fatalf("kept %v, %v", list, err)
	}
}

func TestTooLittleDataIsSaid(t *testing.T) {
	r := openRegistry(t)
	for sessions, want := range map[int]string{0: "0 events", MinSessions - 1: "at least 50 are needed"} {
		result := train(t, r, Config{}, planted(sessions, 1), testStart)
		if result.Promoted || result.Version != "" || !strings.Contains(result.Reason, want) {
			t.Errorf("%d sessions gave %+v", sessions, result)
		}
	}
	if list, err := r.List(t.Context(), testSite); err != nil || len(list) != 0 {
		t.Fatalf("published %v, %v", list, err)
	}
	// The least that is enough.
	if result := train(t, r, Config{}, planted(MinSessions, 1), testStart); result.Version == "" {
		t.Fatalf("%d sessions gave %+v", MinSessions, result)
	}
}

// A search on next to nothing would choose by chance; it says so and what to do. A little more is enough for it, also
// where the last day alone would be too little to test on.
func TestTuningNeedsData(t *testing.T) {
	tune := func(sessions int) error {
		_, err := Run(t.Context(), Config{Site: testSite, TuneTrials: 2, Skip: Optional()}, Deps{Source: &sliceSource{events: planted(sessions, 1)}, Registry: openRegistry(t)})
		return err
	}
	if err := tune(MinSessions); err == nil || !strings.Contains(err.Error(), "too little data to tune on") {
		t.Errorf("tuning on %d sessions gave %v", MinSessions, err)
	}
	if err := tune(4 * MinSessions); err != nil {
		t.Errorf("tuning on %d sessions: %v", 4*MinSessions, err)
	}
}

// Sessions without a shared item leave nothing to predict.
func TestUntestableDataIsSaid(t *testing.T) {
	var events []Interaction
	for i := range 2 * MinSessions {
		browser := fmt.Sprint(i)
		events = append(events, view(browser, browser+"-a", testStart), view(browser, browser+"-b", testStart.Add(time.Second)))
	}
	result := train(t, openRegistry(t), Config{}, events, testStart)
	if result.Promoted || result.Version != "" || !strings.Contains(result.Reason, "no usable test") {
		t.Fatalf("result %+v", result)
	}
}

// everything is planted sessions with carts, and items that say what they are.
func everything(sessions int, seed uint64) []Interaction {
	events := planted(sessions, seed)
	for i := range events {
		if i%5 > 2 {
			events[i].Type = event.AddToCart
		}
		id := events[i].Items[0].ID
		events[i].Items = []InteractionItem{{ID: id, Name: "Thing " + id, Categories: []string{id[:1]}}}
	}
	return events
}

// Every method takes part, and no version depends on anything but what was read.
func TestSameSnapshotAndSeedGiveTheSameBytes(t *testing.T) {
	r := openRegistry(t)
	events := everything(200, 4)
	first := trainAll(t, r, Config{Seed: 9}, events, testStart)
	second := trainAll(t, r, Config{Seed: 9}, events, testStart.Add(time.Hour))
	files := func(version string) []registry.File {
		m, err := r.Manifest(t.Context(), testSite, version)
		if err != nil {
			t.Fatal(err)
		}
		return m.Files
	}
	if a, b := files(first.Version), files(second.Version); !slices.Equal(a, b) {
		t.Fatalf("files %+v became %+v", a, b)
	}
	if !second.Promoted || !strings.Contains(second.Reason, "same parameters") {
		t.Fatalf("training again gave %+v", second)
	}
}

// A candidate that learnt from shuffled days is worse than the champion, which knows the days before them.
func TestWorseThanTheChampionIsNotPromoted(t *testing.T) {
	r := openRegistry(t)
	good := planted(1800, 1)
	cut := 7500 // sessions of five: the champion sees the first 1500
	champion := train(t, r, Config{}, good[:cut], testStart)
	if !champion.Promoted {
		t.Fatalf("champion %+v", champion)
	}
	// The history now reads as shuffled up to the last day, while the last day is as before.
	lastDay := len(good) - 144*5
	spoilt := append(shuffled(good[:lastDay], 7), good[lastDay:]...)
	result := train(t, r, Config{}, spoilt, testStart.Add(time.Hour))
	if result.Promoted || !strings.Contains(result.Reason, "is worse than the champion "+champion.Version) {
		t.Fatalf("result %+v", result)
	}
	if v, err := r.ChampionVersion(t.Context(), testSite); err != nil || v != champion.Version {
		t.Fatalf("champion is %s, %v", v, err)
	}
	// A candidate with the true history follows.
	if result := train(t, r, Config{}, good, testStart.Add(2*time.Hour)); !result.Promoted ||
		!strings.Contains(result.Reason, "the champion "+champion.Version) {
		t.Fatalf("result %+v", result)
	}
}

func TestDamagedChampionIsReplaced(t *testing.T) {
	for _, file := range []string{"vstan.arrow", "manifest.json"} {
		r := openRegistry(t)
		first := train(t, r, Config{}, planted(300, 1), testStart)
		if err := os.Truncate(filepath.Join(r.Location(""), testSite, first.Version, file), 30); err != nil {
			t.Fatal(err)
		}
		second := train(t, r, Config{}, planted(300, 1), testStart.Add(time.Hour))
		if !second.Promoted || !strings.Contains(second.Reason, file+" is damaged") {
			t.Fatalf("with a damaged %s: %+v", file, second)
		}
		if _, err := r.Load(t.Context(), testSite, second.Version); err != nil {
			t.Fatal(err)
		}
	}
}

// What a search found stays until the next search; only the repeat policy is chosen anew each time.
func TestTunedParametersAreKept(t *testing.T) {
	r := openRegistry(t)
	tuned := train(t, r, Config{Seed: 3, TuneTrials: 64}, planted(300, 1), testStart)
	again := train(t, r, Config{Seed: 3}, planted(300, 1), testStart.Add(time.Hour))
	params := func(version string) vmisknn.Config {
		m, err := r.Manifest(t.Context(), testSite, version)
		if err != nil {
			t.Fatal(err)
		}
		var c vmisknn.Config
		if err := json.Unmarshal(m.Models[ModelSessionKNN].Params, &c); err != nil {
			t.Fatal(err)
		}
		c.Repeats = ""
		return c
	}
	standard := vmisknn.Default(vmisknn.VSTAN)
	standard.Repeats = ""
	if found := params(tuned.Version); found == standard || params(again.Version) != found {
		t.Fatalf("parameters %+v became %+v", found, params(again.Version))
	}
}

// No model file may hold who did it.
func TestModelsHoldNoVisitor(t *testing.T) {
	r := openRegistry(t)
	events := planted(100, 1)
	for i := range events {
		events[i].AnonymousID = "visitor-secret-" + events[i].AnonymousID
		events[i].UserID = "user-secret"
		events[i].SessionID = "session-secret-" + events[i].AnonymousID
	}
	result := train(t, r, Config{}, events, testStart)
	files, err := filepath.Glob(filepath.Join(r.Location(""), testSite, result.Version, "*"))
	if err != nil || len(files) != 8 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "secret") {
			t.Errorf("%s names a visitor", filepath.Base(f))
		}
	}
}

func TestProgressRisesToTheEnd(t *testing.T) {
	var seen []Progress
	_, err := Run(t.Context(), Config{Site: testSite, TuneTrials: 1, Skip: Optional()}, Deps{
		Source: &sliceSource{events: planted(200, 1)}, Registry: openRegistry(t),
		Progress: func(p Progress) { seen = append(seen, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	for i, p := range seen {
		if i > 0 && p.Done < seen[i-1].Done {
			t.Errorf("progress went back from %+v to %+v", seen[i-1], p)
		}
		stages = append(stages, p.Stage)
	}
	want := []string{stageRead, stageTune, stageEvaluate, stageRefit, stagePublish}
	if !slices.Equal(slices.Compact(stages), want) {
		t.Fatalf("stages %v, want %v", stages, want)
	}
}

func TestBadConfig(t *testing.T) {
	deps := Deps{Source: &sliceSource{}, Registry: openRegistry(t)}
	for name, cfg := range map[string]Config{
		"no site":         {},
		"negative window": {Site: testSite, Window: -1},
		"negative trials": {Site: testSite, TuneTrials: -1},
		"no type counts":  {Site: testSite, Weights: map[string]float64{event.ViewItem: 0}},
		"negative weight": {Site: testSite, Weights: map[string]float64{event.ViewItem: -1}},
	} {
		if _, err := Run(t.Context(), cfg, deps); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := Run(t.Context(), Config{Site: testSite}, Deps{}); err == nil {
		t.Error("no source was accepted")
	}
}
