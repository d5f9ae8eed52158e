// Package trainer turns the history of a site into models: it reads the lake, cuts sessions, fits every method, measures
// them on the newest part, decides whether the result is good enough, fits again on everything and publishes a version.
//
//	Run        one training: dataset.go -> models.go -> gate.go -> internal/registry
//	Child      Run as a process of its own, so that its memory goes back to the system (child.go)
//	Supervisor starts that process under a lease, with a job row (supervise.go)
//	Schedule   when to train by itself (schedule.go)
package trainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/trainer/eval"
)

const (
	// DefaultWindow is how far back from the newest event training reads. Older tastes hardly show in what is clicked
	// today, and season's goods come back within a year.
	DefaultWindow = 365 * 24 * time.Hour

	// MinSessions is how many sessions of two or more interactions a first model needs: below it even a good method
	// cannot be told from chance.
	MinSessions = 50

	// MinPredictions is how many predictions the test must make for its figures to decide anything.
	MinPredictions = eval.MinPredictions

	// maxPredictions bounds the test, to its newest part: the interval of a figure over so many is a hundredth wide.
	maxPredictions = 30_000

	// MetricDepth is the length of the lists that are measured.
	MetricDepth = 20
)

// Config is one training. The zero value of every field but Site means its default.
type Config struct {
	Site string `json:"site"`
	// Window is how far back from the newest event the training reads.
	Window time.Duration `json:"window_ns,omitempty"`
	// Weights are what an event of a type counts for, as an interaction with its items; types that are not named, or count 0,
	// do not count. A weight changes how popular an item is and how sure a visitor's taste is, never what comes after what.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Skip are methods that are left out, of those that a version can do without (Optional): to save time or memory.
	Skip []string `json:"skip,omitempty"`
	// Seed drives everything random: the search for parameters and the bootstrap.
	Seed uint64 `json:"seed,omitempty"`
	// TuneTrials is how many settings of a model are tried on the validation part; 0 keeps the champion's parameters,
	// or the defaults when there is no champion, and only chooses the repeat policy anew.
	TuneTrials int `json:"tune_trials,omitempty"`
	// TuneFor is how long the search for parameters takes, instead of a number of settings.
	TuneFor time.Duration `json:"tune_for_ns,omitempty"`
	// Journal is the file that remembers the search, so that a training that was stopped goes on where it was; empty for none. It is
	// removed when the version is published.
	Journal string `json:"journal,omitempty"`
}

// withDefaults fills in the defaults and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	if len(c.Weights) == 0 {
		c.Weights = DefaultWeights()
	}
	switch {
	case c.Window < 0:
		return c, fmt.Errorf("training window %s is negative", c.Window)
	case c.TuneTrials < 0 || c.TuneFor < 0:
		return c, fmt.Errorf("tuning by %d trials, or for %s", c.TuneTrials, c.TuneFor)
	}
	if err := CheckSkip(c.Skip); err != nil {
		return c, err
	}
	if err := checkWeights(c.Weights); err != nil {
		return c, err
	}
	if err := event.CheckSite(c.Site); err != nil {
		return c, fmt.Errorf("training site %q: %w", c.Site, err)
	}
	return c, nil
}

// tunes reports whether all parameters are searched for.
func (c Config) tunes() bool { return c.TuneTrials > 0 || c.TuneFor > 0 }

// Deps is what a training works with.
type Deps struct {
	Source   EventSource
	Registry *registry.Registry
	// Fence is when the training began, in Unix milliseconds of the clock that all trainers share; 0 for the time of Now. Of two
	// trainings the one that began later wins, whichever ends last.
	Fence int64
	// Limits are what the training may use; the zero value is no limit.
	Limits Limits
	// Progress is called from one goroutine at each step; nil for none.
	Progress func(Progress)
	// Now is the clock that names versions and measures durations; nil for time.Now. What is learnt never depends on it.
	Now func() time.Time
}

// Progress says how far a training is.
type Progress struct {
	Stage  string  `json:"stage"`
	Done   float64 `json:"progress"` // 0 to 1, of the whole training
	Detail string  `json:"detail,omitempty"`
	// LeftSeconds is an estimate of how long the rest takes; 0 where nothing is known.
	LeftSeconds float64 `json:"left_seconds,omitempty"`
}

// Result is what came of a training; its JSON is what `millrace train --json` prints. Version is empty when there was
// too little data to fit anything. Metrics are those of the model that the gate judges.
type Result struct {
	Version      string                                `json:"version"`
	Promoted     bool                                  `json:"promoted"`
	Reason       string                                `json:"reason"`
	Rows         int64                                 `json:"rows"`
	Metrics      map[string]registry.Metric            `json:"metrics"`
	Models       map[string]map[string]registry.Metric `json:"models,omitempty"`
	Seconds      float64                               `json:"seconds"`
	PeakRSSBytes int64                                 `json:"peak_rss_bytes"`
}

// The steps of a training, with the share of the whole that is done when each begins.
const (
	stageRead     = "read"
	stageTune     = "tune"
	stageFit      = "fit"
	stageEvaluate = "evaluate"
	stageRefit    = "refit"
	stagePublish  = "publish"
)

// Run trains the models of one site and puts them in force if they deserve it. Too little data is not an error: the
// Result says what is missing.
func Run(ctx context.Context, cfg Config, deps Deps) (Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Result{}, err
	}
	if deps.Source == nil || deps.Registry == nil {
		return Result{}, errors.New("training needs a source and a registry")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Progress == nil {
		deps.Progress = func(Progress) {}
	}
	r := &run{cfg: cfg, deps: deps, began: deps.Now()}
	if r.deps.Fence == 0 {
		r.deps.Fence = r.began.UnixMilli()
	}
	result, err := r.train(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("train site %s: %w", cfg.Site, err)
	}
	result.Seconds = deps.Now().Sub(r.began).Seconds()
	return result, nil
}

// run is one training on its way.
type run struct {
	cfg      Config
	deps     Deps
	began    time.Time
	journal  *eval.Journal // of the search for parameters; nil for none
	expected time.Duration // of the whole, by the pace of the last one; 0 where there is none
}

func (r *run) at(stage string, done float64, format string, args ...any) {
	p := Progress{Stage: stage, Done: done, Detail: fmt.Sprintf(format, args...)}
	if r.expected > 0 {
		p.LeftSeconds = max(0, (r.expected - r.deps.Now().Sub(r.began)).Seconds())
	}
	r.deps.Progress(p)
}

func (r *run) train(ctx context.Context) (Result, error) {
	r.at(stageRead, 0, "reading events")
	d, note, err := r.read(ctx)
	if err != nil {
		return Result{}, err
	}
	if note != "" {
		r.at(stageRead, 0.15, "%s", note)
	}
	result, err := r.trainOn(ctx, d)
	if note != "" {
		result.Reason += "; " + note
	}
	return result, err
}

// read reads the window; or all history, where the window alone is too little to train on: a shop that imported an old
// history and now sees its first visitors has nothing else to learn from. The note says what the window left out, or that
// it was widened.
func (r *run) read(ctx context.Context) (d *dataset, note string, err error) {
	watch := watch{
		admit: func(events int64) error {
			r.expected = r.deps.Limits.expected(events)
			return r.deps.Limits.admit(events)
		},
		report: func(events int64) { r.at(stageRead, 0.1, "%s events read", grouped(events)) },
	}
	d, err = readDataset(ctx, r.cfg, r.deps.Source, watch)
	if err != nil || d.older.Events == 0 || d.sessions >= MinSessions {
		return d, d.noteOlder(r.cfg.Window), err
	}
	wide := r.cfg
	wide.Window = allHistory
	note = d.noteWidened(r.cfg.Window)
	d, err = readDataset(ctx, wide, r.deps.Source, watch)
	return d, note, err
}

// trainOn trains on what was read.
func (r *run) trainOn(ctx context.Context, d *dataset) (Result, error) {
	result := Result{Rows: d.rows, Metrics: map[string]registry.Metric{}}
	if d.sessions < MinSessions {
		result.Reason = fmt.Sprintf("too little data: %d events hold %d sessions of two or more item interactions (%v), and at "+
			"least %d are needed; the lists of the fallback ladder serve until then", d.rows, d.sessions, slices.Sorted(maps.Keys(r.cfg.Weights)), MinSessions)
		return result, nil
	}
	split, err := splitForGate(d)
	if err != nil {
		result.Reason = fmt.Sprintf("too little data: %d sessions leave no usable test: %v", d.sessions, err)
		return result, nil
	}
	champion, err := r.champion(ctx)
	if err != nil {
		return Result{}, err
	}
	chosen, err := r.choose(ctx, d, split, champion)
	if err != nil {
		return Result{}, err
	}
	r.at(stageEvaluate, 0.6, "%s predictions", grouped(int64(split.Test.Len())))
	verdict, err := r.judge(ctx, d, split, chosen, champion)
	if err != nil {
		return Result{}, err
	}
	r.at(stageRefit, 0.75, "fitting on all %s sessions", grouped(int64(d.log.Sessions.Len())))
	final, err := refit(ctx, chosen, d.part())
	if err != nil {
		return Result{}, err
	}
	result.Promoted, result.Reason = verdict.gate.Promoted, verdict.gate.Reason
	result.Models, result.Metrics = verdict.metrics, verdict.metrics[GatedModel]
	r.at(stagePublish, 0.95, "%s", result.Reason)
	result.Version, err = r.publish(ctx, d, final, verdict)
	return result, err
}

// choose settles the parameters of all methods: by search on the validation part; else the champion's, or the defaults, with
// the repeat policies that the validation part asks for. The weights of the blend are always fitted on it.
func (r *run) choose(ctx context.Context, d *dataset, split *eval.Dataset, champion *champion) (_ []*eval.Chosen, err error) {
	if n := split.Valid.Len(); r.cfg.tunes() && n < MinPredictions {
		return nil, fmt.Errorf("too little data to tune on: the validation part makes %d predictions, at least %d are needed (%s); "+
			"train without tuning until there are more sessions", n, MinPredictions, split.Split)
	}
	if r.cfg.tunes() && r.cfg.Journal != "" {
		if r.journal, err = eval.OpenJournal(r.cfg.Journal); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, r.journal.Close()) }()
	}
	base, err := r.base(champion)
	if err != nil {
		return nil, err
	}
	names, at := d.methods(r.cfg.Skip), 0
	return eval.Choose(ctx, split, names, eval.ChooseOptions{
		Base: base, Tune: r.cfg.tunes(), Trials: r.cfg.TuneTrials, TuneFor: r.cfg.TuneFor, Journal: r.journal,
		Seed: r.cfg.Seed, Depth: MetricDepth,
		Progress: func(name string) {
			stage := stageFit
			if r.cfg.tunes() {
				stage = stageTune
			}
			r.at(stage, 0.2+0.4*float64(at)/float64(len(names)), "%s, on %s sessions", name, grouped(int64(split.Train.Sessions.Len())))
			at++
		},
	})
}

// splitForGate holds out the newest sessions: the last day, or where that says too little a growing share.
func splitForGate(d *dataset) (*eval.Dataset, error) {
	var problem error
	for _, share := range []float64{0, 0.1, 0.3} {
		split, err := eval.SplitLog(d.log, eval.Config{Holdout: share})
		if err == nil {
			split.Test = split.Test.Newest(maxPredictions)
		}
		switch {
		case err != nil:
			problem = err
		case split.Test.Len() < MinPredictions:
			problem = fmt.Errorf("%d predictions can be tested, at least %d are needed (%s)", split.Test.Len(), MinPredictions, split.Split)
		default:
			return split, nil
		}
	}
	return nil, problem
}

// publish stores the version and, if the gate let it through, puts it in force.
func (r *run) publish(ctx context.Context, d *dataset, final models, v *verdict) (string, error) {
	m := registry.Manifest{
		Site: r.cfg.Site, CreatedAt: r.deps.Now(), Seed: r.cfg.Seed, Gate: v.gate,
		Source: registry.Source{
			SnapshotID: d.snapshot.ID, Epoch: d.snapshot.Epoch, Fences: d.snapshot.Fences, From: d.from, To: d.to, Logical: d.log.Logical,
			Rows: d.rows, Events: d.events, Sessions: d.sessions, Items: int64(d.log.Vocabulary.Len()),
		},
	}
	var err error
	if m.Models, err = final.describe(v.metrics); err != nil {
		return "", err
	}
	artifacts, err := final.artifacts(d.log.Vocabulary)
	if err != nil {
		return "", err
	}
	reports, err := reportsOf(v.report)
	if err != nil {
		return "", err
	}
	if m, err = r.deps.Registry.Publish(ctx, m, artifacts, reports...); err != nil {
		return "", err
	}
	if err := r.journal.Remove(); err != nil {
		return "", err
	}
	if v.gate.Promoted {
		if err := r.deps.Registry.PromoteFenced(ctx, r.cfg.Site, m.Version, r.deps.Fence); err != nil {
			return "", err
		}
	}
	return m.Version, nil
}

// reportsOf are the evaluation of a version as people and as programs read it.
func reportsOf(report *eval.Report) ([]registry.Report, error) {
	var page, text bytes.Buffer
	if err := errors.Join(report.WriteHTML(&page), report.WriteJSON(&text)); err != nil {
		return nil, err
	}
	return []registry.Report{{Name: registry.ReportHTML, Content: page.Bytes()}, {Name: registry.ReportJSON, Content: text.Bytes()}}, nil
}
