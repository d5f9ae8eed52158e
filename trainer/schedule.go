package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/registry"
)

const (
	// DefaultCheckEvery is how often the schedule looks whether a training is due.
	DefaultCheckEvery = 5 * time.Second

	// FirstModelRows is how many events a site needs before a first training is tried. MinSessions decides afterwards
	// whether they are enough.
	FirstModelRows = 200

	// triedAgainAt is the growth after which a training that brought no champion is tried again.
	triedAgainAt = 1.25

	// YoungRows is how many events a site has while it still trains whenever they double, and not only at night.
	YoungRows = 1_000_000

	// restBetween is the least time between the starts of two trainings of a site by growth.
	restBetween = time.Minute

	// retryAfter is how long a failed training rests, and maxFailures is how many fail before the next night.
	retryAfter  = 15 * time.Minute
	maxFailures = 3

	// recountAt is the growth of the whole lake after which the events of one site are counted again.
	recountAt = 1.05

	// ledgerJobs is how many past trainings of a site are looked at; more than fit into a night.
	ledgerJobs = 50
)

// TimeOfDay is a wall clock time in a time zone.
type TimeOfDay struct {
	Hour, Minute int
	Location     *time.Location
}

// ParseTimeOfDay reads "HH:MM" in a zone of the IANA database; an empty zone is UTC.
func ParseTimeOfDay(clock, zone string) (TimeOfDay, error) {
	t, err := time.Parse("15:04", clock)
	if err != nil {
		return TimeOfDay{}, fmt.Errorf("time %q is not of the form HH:MM", clock)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return TimeOfDay{}, fmt.Errorf("time zone %q is not known: %w", zone, err)
	}
	return TimeOfDay{Hour: t.Hour(), Minute: t.Minute(), Location: location}, nil
}

// lastBefore returns the newest moment at or before now when the clock showed the time. A day on which the clock is put
// forward over it or back past it has exactly one such moment too.
func (d TimeOfDay) lastBefore(now time.Time) time.Time {
	local := now.In(d.Location)
	due := time.Date(local.Year(), local.Month(), local.Day(), d.Hour, d.Minute, 0, 0, d.Location)
	if due.After(now) {
		due = time.Date(local.Year(), local.Month(), local.Day()-1, d.Hour, d.Minute, 0, 0, d.Location)
	}
	return due
}

// RowCounter tells how much there is to train on. LakeSource is one.
type RowCounter interface {
	TotalRows(ctx context.Context) (int64, error)               // of all sites, cheaply
	Rows(ctx context.Context, site string) (n int64, err error) // of one site
}

// ScheduleConfig says when to train which sites. Sites, Control, Registry, Rows and Train are required.
type ScheduleConfig struct {
	// Sites lists the sites to train. It is asked at each check, so that a site made later trains too.
	Sites    func(ctx context.Context) ([]string, error)
	Nightly  TimeOfDay     // 03:00 UTC by default
	Every    time.Duration // DefaultCheckEvery by default
	Control  *control.Store
	Registry *registry.Registry
	Rows     RowCounter
	// Train runs one training; its job row is the schedule's ledger. Supervisor.Train is behind it.
	Train func(ctx context.Context, site, why string) (Result, error)
	Log   *slog.Logger // nil discards
}

// Schedule trains by itself: a first model as soon as a site has enough data, again whenever young data has doubled, and
// each night. What was done is read from the job rows, so that a restart neither repeats nor forgets a night's training.
type Schedule struct {
	cfg   ScheduleConfig
	sites map[string]*siteCount // by site, from its first check on
}

// siteCount is what is known of the amount of data of a site.
type siteCount struct {
	total   int64 // rows of the lake when rows were counted
	rows    int64 // events of the site then
	trained int64 // rows when this process last trained the site
}

// NewSchedule checks the configuration and starts nothing.
func NewSchedule(cfg ScheduleConfig) (*Schedule, error) {
	if cfg.Sites == nil || cfg.Control == nil || cfg.Registry == nil || cfg.Rows == nil || cfg.Train == nil {
		return nil, errors.New("a training schedule needs sites, a control store, a registry, a row counter and a trainer")
	}
	if cfg.Nightly.Location == nil {
		cfg.Nightly = TimeOfDay{Hour: 3, Location: time.UTC}
	}
	if cfg.Every == 0 {
		cfg.Every = DefaultCheckEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Schedule{cfg: cfg, sites: map[string]*siteCount{}}, nil
}

// Run checks and trains until the context ends. A training that fails is logged and tried again later: it must not stop
// the service whose models it makes.
func (s *Schedule) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.Every)
	defer ticker.Stop()
	for {
		s.checkAll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// checkAll checks every site that there is now.
func (s *Schedule) checkAll(ctx context.Context) {
	sites, err := s.cfg.Sites(ctx)
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("training schedule cannot list the sites", "error", err)
	}
	for _, site := range sites {
		if s.sites[site] == nil {
			s.sites[site] = &siteCount{}
		}
		if err := s.check(ctx, site); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("scheduled training failed", "site", site, "error", err)
		}
	}
}

// check trains the site if that is due.
func (s *Schedule) check(ctx context.Context, site string) error {
	f, err := s.facts(ctx, site)
	if err != nil {
		return err
	}
	why, due := f.due()
	if !due {
		return nil
	}
	s.sites[site].trained = f.rows
	_, err = s.cfg.Train(ctx, site, why)
	if errors.Is(err, control.ErrLeaseHeld) {
		return nil // another process trains the site; its job row says so
	}
	return err
}

// facts is all that the decision rests on.
type facts struct {
	now         time.Time
	night       time.Time // when the last nightly training was due
	hasChampion bool
	rows        int64 // events of the site
	trained     int64 // events when it was last trained, 0 for never
	jobs        []control.Job
}

func (s *Schedule) facts(ctx context.Context, site string) (facts, error) {
	now := time.Now()
	f := facts{now: now, night: s.cfg.Nightly.lastBefore(now)}
	var err error
	if f.jobs, err = s.cfg.Control.Jobs(ctx, control.JobFilter{Kind: JobKind, Site: site, Limit: ledgerJobs}); err != nil {
		return f, err
	}
	_, err = s.cfg.Registry.ChampionVersion(ctx, site)
	if err != nil && !errors.Is(err, registry.ErrNoChampion) && !errors.Is(err, registry.ErrCorrupt) {
		return f, err
	}
	f.hasChampion = err == nil
	count := s.sites[site]
	f.trained = max(count.trained, trainedRows(f.jobs))
	if f.rows, err = s.countRows(ctx, site); err != nil {
		return f, err
	}
	return f, nil
}

// countRows counts the events of a site again when the lake has grown enough to matter.
func (s *Schedule) countRows(ctx context.Context, site string) (int64, error) {
	count := s.sites[site]
	total, err := s.cfg.Rows.TotalRows(ctx)
	if err != nil {
		return 0, err
	}
	if total != 0 && float64(total) < recountAt*float64(count.total) {
		return count.rows, nil
	}
	rows, err := s.cfg.Rows.Rows(ctx, site)
	if err != nil {
		return 0, err
	}
	count.total, count.rows = total, rows
	return rows, nil
}

// trainedRows reads from the newest training that ended how much data it had.
func trainedRows(jobs []control.Job) int64 {
	for _, j := range jobs {
		var result Result
		if j.State == control.JobDone && json.Unmarshal(j.Result, &result) == nil {
			return result.Rows
		}
	}
	return 0
}

// due decides whether to train now, and says why.
func (f facts) due() (why string, due bool) {
	if f.rows < FirstModelRows {
		return "", false
	}
	doneTonight, failedTonight := false, 0
	for i, j := range f.jobs { // newest first
		switch {
		case j.State == control.JobRunning:
			return "", false
		case i == 0 && j.State == control.JobFailed && f.now.Sub(j.EndedAt) < retryAfter:
			return "", false
		case j.StartedAt.Before(f.night):
		case j.State == control.JobFailed:
			failedTonight++
		case j.State == control.JobDone, j.State == control.JobCancelled && j.Detail == cancelledOnRequest:
			doneTonight = true // a training that was stopped half-way by its process counts neither way: it is still to be done
		}
	}
	if failedTonight >= maxFailures {
		return "", false
	}
	rested := len(f.jobs) == 0 || f.now.Sub(f.jobs[0].StartedAt) >= restBetween
	switch {
	case !f.hasChampion && rested && (f.trained == 0 || float64(f.rows) >= triedAgainAt*float64(f.trained)):
		return "first model", true
	case f.hasChampion && rested && f.trained < YoungRows && f.rows >= 2*f.trained:
		return "twice the data", true
	case !doneTonight:
		return "nightly", true
	}
	return "", false
}
