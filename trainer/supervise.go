package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/lake"
)

const (
	// JobKind is the kind of a training's row among the jobs.
	JobKind = "train"

	// leaseTTL is how long a training's lease outlives a process that died with it.
	leaseTTL = 30 * time.Second

	// keepAlive is how often a job row is renewed while a step of the child takes long.
	keepAlive = 2 * time.Second

	// waitPoll is how often a waiting training asks for the lease again.
	waitPoll = 500 * time.Millisecond
)

// SupervisorConfig says what a Supervisor works with. Control, Process.Exe and the places are required.
type SupervisorConfig struct {
	Control     *control.Store
	Process     Process // its Progress is set by the Supervisor
	Lake        objstore.Place
	LakeCatalog string // as lake.Config.Catalog
	LakeREST    lake.RESTCatalog
	Registry    objstore.Place
	// Limits are what a training may use; a MemoryBytes of 0 means DefaultMemoryBytes, a Deadline of 0 is none. The pace is read from
	// the job rows.
	Limits Limits
	// Scratch is a directory for what a training that is stopped leaves to the next one; empty for none.
	Scratch string
	Log     *slog.Logger          // nil discards
	Metrics prometheus.Registerer // nil keeps them private
}

// Supervisor runs trainings as child processes, one at a time a site, in whichever process they are asked for: a lease
// in the control store keeps others out, and a job row says how far it is.
type Supervisor struct {
	cfg         SupervisorConfig
	lastSuccess *prometheus.GaugeVec
	failures    *prometheus.CounterVec
}

// NewSupervisor checks the configuration and starts nothing.
func NewSupervisor(cfg SupervisorConfig) (*Supervisor, error) {
	if cfg.Control == nil || cfg.Process.Exe == "" || cfg.Lake.Empty() || cfg.Registry.Empty() {
		return nil, errors.New("training needs a control store, a program, a lake and a registry")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Supervisor{
		cfg: cfg,
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_train_last_success_timestamp_seconds",
			Help: "Unix time at which the last training of the site ended well.",
		}, []string{"site"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_train_failures_total",
			Help: "Trainings of the site that ended with an error.",
		}, []string{"site"}),
	}
	if cfg.Metrics != nil {
		for _, c := range []prometheus.Collector{s.lastSuccess, s.failures} {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("register training metrics: %w", err)
			}
		}
	}
	return s, nil
}

// Request is one training to be run.
type Request struct {
	Config Config
	Why    string // for the job row: "on request", "nightly", ...
	// Wait lets a training that is under way end first; otherwise it is a *control.LeaseHeldError.
	Wait bool
	// Progress is called at each step; nil for none.
	Progress func(Progress)
}

// Train runs one training and returns its result. It stops when the context ends or the lease is lost.
func (s *Supervisor) Train(ctx context.Context, req Request) (Result, error) {
	site := req.Config.Site
	var result Result
	work := func(ctx context.Context, _ control.Lease) (err error) {
		result, err = s.runJob(ctx, req)
		return err
	}
	holder := fmt.Sprintf("process %d (%s)", os.Getpid(), req.Why)
	for {
		err := s.cfg.Control.HoldLease(ctx, "train/"+site, holder, leaseTTL, work)
		if !errors.Is(err, control.ErrLeaseHeld) {
			return result, err
		}
		if !req.Wait {
			return Result{}, fmt.Errorf("another training of site %s is under way: %w", site, err)
		}
		select {
		case <-ctx.Done():
			return Result{}, ctx.Err()
		case <-time.After(waitPoll):
		}
	}
}

// runJob runs the child beside its job row and writes down how it ended.
func (s *Supervisor) runJob(ctx context.Context, req Request) (Result, error) {
	site := req.Config.Site
	job, err := s.cfg.Control.StartJob(ctx, JobKind, site, req.Why)
	if err != nil {
		return Result{}, err
	}
	log := s.cfg.Log.With("site", site, "job", job.ID)
	log.Info("training started", "why", req.Why)
	result, err := s.spawnInTime(ctx, req, job)
	outcome := control.JobOutcome{State: control.JobDone, Detail: result.Reason, Result: result}
	switch {
	case err == nil:
		s.lastSuccess.WithLabelValues(site).SetToCurrentTime()
		log.Info("training ended", "version", result.Version, "promoted", result.Promoted, "reason", result.Reason,
			"rows", result.Rows, "seconds", result.Seconds, "peak_rss_bytes", result.PeakRSSBytes)
	case errors.Is(err, control.ErrJobEnded): // Cancel did, and has said so in the row
		log.Info("training cancelled")
		return Result{}, fmt.Errorf("%s: %w", cancelledOnRequest, err)
	case ctx.Err() != nil: // the process stops, or the lease is lost
		outcome = control.JobOutcome{State: control.JobCancelled, Detail: "stopped before its end: " + context.Cause(ctx).Error()}
	default:
		outcome = control.JobOutcome{State: control.JobFailed, Detail: err.Error()}
		s.failures.WithLabelValues(site).Inc()
	}
	// The context may be over; how the job ended is worth knowing all the same.
	return result, errors.Join(err, s.cfg.Control.FinishJob(context.WithoutCancel(ctx), job.ID, outcome))
}

// spawnInTime is spawn within the deadline.
func (s *Supervisor) spawnInTime(ctx context.Context, req Request, job control.Job) (Result, error) {
	limits := s.cfg.Limits
	jobs, err := s.cfg.Control.Jobs(ctx, control.JobFilter{Kind: JobKind, Site: job.Site, Limit: ledgerJobs})
	if err != nil {
		return Result{}, err
	}
	limits.SecondsPerEvent = pace(jobs)
	if limits.Deadline > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, limits.Deadline, fmt.Errorf("%w: trainer.deadline of %s passed", ErrLimit, brief(limits.Deadline)))
		defer stop()
	}
	result, err := s.spawn(ctx, req, job, limits)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrLimit) && !errors.Is(err, ErrLimit) { // it passed before the child was there
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return result, err
}

// paceRows is how many events a training must have had for its pace to tell that of another: below it, starting takes longest.
const paceRows = 100_000

// pace is how many seconds an event took the newest training that ended well; 0 where there is none.
func pace(jobs []control.Job) float64 {
	for _, j := range jobs {
		var result Result
		if j.State == control.JobDone && json.Unmarshal(j.Result, &result) == nil && result.Rows >= paceRows {
			return result.Seconds / float64(result.Rows)
		}
	}
	return 0
}

// cancelledOnRequest is the detail of a training that somebody stopped.
const cancelledOnRequest = "cancelled on request"

// Cancel stops the training of a site that is under way, in whichever process that is, within a few seconds; false when there is
// none. The schedule does not begin it again before the next night.
func Cancel(ctx context.Context, store *control.Store, site string) (bool, error) {
	jobs, err := store.Jobs(ctx, control.JobFilter{Kind: JobKind, Site: site, State: control.JobRunning})
	if err != nil {
		return false, err
	}
	cancelled := false
	for _, j := range jobs {
		err := store.FinishJob(ctx, j.ID, control.JobOutcome{State: control.JobCancelled, Detail: cancelledOnRequest})
		if err != nil && !errors.Is(err, control.ErrJobEnded) {
			return cancelled, err
		}
		cancelled = cancelled || err == nil
	}
	return cancelled, nil
}

// spawn starts the child and keeps its job row alive and up to date until it ends.
func (s *Supervisor) spawn(ctx context.Context, req Request, job control.Job, limits Limits) (Result, error) {
	latest := &latestProgress{changed: make(chan struct{}, 1)}
	process := s.cfg.Process
	process.Progress = func(p Progress) {
		latest.set(p)
		if req.Progress != nil {
			req.Progress(p)
		}
	}
	erased, err := s.cfg.Control.Ledger(ctx)
	if err != nil {
		return Result{}, err
	}
	if s.cfg.Scratch != "" {
		if err := os.MkdirAll(s.cfg.Scratch, 0o700); err != nil {
			return Result{}, fmt.Errorf("make room for the search: %w", err)
		}
		req.Config.Journal = filepath.Join(s.cfg.Scratch, req.Config.Site+".jsonl")
	}
	var result Result
	group, groupCtx := errgroup.WithContext(ctx)
	rowCtx, childEnded := context.WithCancel(groupCtx)
	group.Go(func() error { return s.updateRow(rowCtx, job.ID, latest) })
	group.Go(func() (err error) {
		defer childEnded()
		result, err = Spawn(groupCtx, process, ChildRequest{Config: req.Config, Lake: s.cfg.Lake, LakeCatalog: s.cfg.LakeCatalog, LakeREST: s.cfg.LakeREST, Registry: s.cfg.Registry,
			Erased: newErased(erased), Limits: limits, Fence: job.StartedAt.UnixMilli()})
		return err
	})
	err = group.Wait() // before the result is read
	return result, err
}

// updateRow writes progress to the job row as it comes, and at least every keepAlive.
func (s *Supervisor) updateRow(ctx context.Context, jobID string, latest *latestProgress) error {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-latest.changed:
		case <-ticker.C:
		}
		p := latest.get()
		err := s.cfg.Control.UpdateJob(ctx, jobID, control.JobProgress{Progress: p.Done, Stage: p.Stage, Detail: p.Detail})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// latestProgress hands the newest progress from the child's reader to the row's writer, which may be slower.
type latestProgress struct {
	mu      sync.Mutex
	value   Progress
	changed chan struct{} // holds one token when there is something new
}

func (l *latestProgress) set(p Progress) {
	l.mu.Lock()
	l.value = p
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

func (l *latestProgress) get() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.value
}
