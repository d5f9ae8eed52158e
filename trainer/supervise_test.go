package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/registry"
)

// bench is a place to train in: a lake with planted sessions, a registry and a control store.
type bench struct {
	dir      string
	store    *control.Store
	registry *registry.Registry
	metrics  *prometheus.Registry // of the newest supervisor
}

func newBench(t *testing.T, sessions int) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir()}
	land(t, openLake(t, b.lakeDir()), 0, recorded(testSite, planted(sessions, 1))...)
	b.store = b.openStore(t)
	var err error
	if b.registry, err = registry.Open(t.Context(), objstore.Place{Dir: b.modelDir()}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) lakeDir() string  { return filepath.Join(b.dir, "lake") }
func (b *bench) modelDir() string { return filepath.Join(b.dir, "models") }

func (b *bench) openStore(t *testing.T) *control.Store {
	t.Helper()
	store, err := control.Open(t.Context(), filepath.Join(b.dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func (b *bench) request() ChildRequest {
	return ChildRequest{Config: Config{Site: testSite, Skip: Optional()}, Lake: objstore.Place{Dir: b.lakeDir()}, Registry: objstore.Place{Dir: b.modelDir()}}
}

func self(t *testing.T) Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Process{Exe: exe}
}

func (b *bench) supervisor(t *testing.T, process Process) *Supervisor {
	t.Helper()
	b.metrics = prometheus.NewRegistry()
	s, err := NewSupervisor(SupervisorConfig{
		Control: b.store, Process: process, Lake: objstore.Place{Dir: b.lakeDir()}, Registry: objstore.Place{Dir: b.modelDir()}, Metrics: b.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// metric reads the only sample of a metric.
func (b *bench) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := b.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func (b *bench) job(t *testing.T) control.Job {
	t.Helper()
	jobs, err := b.store.Jobs(t.Context(), control.JobFilter{Kind: JobKind, Site: testSite})
	if err != nil || len(jobs) == 0 {
		t.Fatalf("jobs %v, %v", jobs, err)
	}
	return jobs[0]
}

func TestSpawn(t *testing.T) {
	b := newBench(t, 200)
	ballast := bytes.Repeat([]byte("x"), 200<<20) // this process's own memory is not the child's
	var stages []string
	process := self(t)
	process.Progress = func(p Progress) { stages = append(stages, p.Stage) }
	result, err := Spawn(t.Context(), process, b.request())
	if err != nil {
		t.Fatal(err)
	}
	if !result.Promoted || result.Rows != 1000 || result.Seconds <= 0 {
		t.Fatalf("result %+v", result)
	}
	if result.PeakRSSBytes < 10<<20 || result.PeakRSSBytes > int64(len(ballast)) {
		t.Fatalf("a small training took %d bytes", result.PeakRSSBytes)
	}
	if got := strings.Join(slices.Compact(stages), " "); got != "read fit evaluate refit publish" {
		t.Fatalf("stages %s", got)
	}
	if v, err := b.registry.ChampionVersion(t.Context(), testSite); err != nil || v != result.Version {
		t.Fatalf("champion %s, %v", v, err)
	}
}

func TestSpawnTellsWhatTheChildSaid(t *testing.T) {
	b := newBench(t, 1)
	req := b.request()
	req.Config.Site = "No Site"
	if _, err := Spawn(t.Context(), self(t), req); err == nil || !strings.Contains(err.Error(), `training site "No Site"`) {
		t.Fatalf("gave %v", err)
	}
	if _, err := Spawn(t.Context(), Process{Exe: filepath.Join(b.dir, "none")}, req); err == nil {
		t.Fatal("a missing program was started")
	}
}

// A child that is killed, early or late, leaves the registry as it was, and the next training works.
func TestKilledChildLeavesTheRegistryUsable(t *testing.T) {
	b := newBench(t, 200)
	first, err := Spawn(t.Context(), self(t), b.request())
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{stageRead, stageRefit, stagePublish} {
		ctx, kill := context.WithCancel(t.Context())
		process := self(t)
		process.Progress = func(p Progress) {
			if p.Stage == stage {
				kill()
			}
		}
		_, err := Spawn(ctx, process, b.request())
		kill()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("killed at %s: %v", stage, err)
		}
		v, err := b.registry.ChampionVersion(t.Context(), testSite)
		if err != nil {
			t.Fatalf("killed at %s: %v", stage, err)
		}
		if v != first.Version && stage != stagePublish { // at the last step it may have been faster than the kill
			t.Fatalf("killed at %s, champion is %s", stage, v)
		}
		if _, err := b.registry.Load(t.Context(), testSite, v); err != nil {
			t.Fatalf("killed at %s: %v", stage, err)
		}
	}
	if again, err := Spawn(t.Context(), self(t), b.request()); err != nil || !again.Promoted {
		t.Fatalf("training after kills: %+v, %v", again, err)
	}
}

// A child whose parent is gone stops: the end of its standard input says so.
func TestChildStopsWithItsParent(t *testing.T) {
	b := newBench(t, 200)
	text, err := json.Marshal(b.request())
	if err != nil {
		t.Fatal(err)
	}
	request := string(text) + "\n"
	var stdout, stderr strings.Builder
	ctx := t.Context()
	err = Child(ctx, strings.NewReader(request), &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "is gone") || stdout.Len() > 0 {
		t.Fatalf("child went on: %v, %q", err, stdout.String())
	}
	for _, bad := range []string{"", "{", "not json\n", "{}\n"} {
		if err := Child(ctx, strings.NewReader(bad), &stdout, &stderr); err == nil {
			t.Errorf("request %q was accepted", bad)
		}
	}
}

func TestSupervisedTraining(t *testing.T) {
	b := newBench(t, 200)
	s := b.supervisor(t, self(t))
	var last Progress
	result, err := s.Train(t.Context(), Request{
		Config: Config{Site: testSite, Skip: Optional()}, Why: "on request", Progress: func(p Progress) { last = p },
	})
	if err != nil || !result.Promoted || last.Stage != stagePublish {
		t.Fatalf("result %+v, %v, last progress %+v", result, err, last)
	}
	job := b.job(t)
	if job.State != control.JobDone || job.Progress != 1 || !strings.Contains(string(job.Result), result.Version) || trainedRows([]control.Job{job}) != 1000 {
		t.Fatalf("job %+v", job)
	}
	if n := b.metric(t, "millrace_train_last_success_timestamp_seconds"); n < 1e9 {
		t.Fatalf("last success %g", n)
	}
}

// Two processes, two stores on one file: one trains, the other is told who does, or waits.
func TestOneTrainingASite(t *testing.T) {
	b := newBench(t, 60)
	ctx := t.Context()
	lease, err := b.openStore(t).AcquireLease(ctx, "train/"+testSite, "another process", leaseTTL)
	if err != nil {
		t.Fatal(err)
	}
	s := b.supervisor(t, self(t))
	_, err = s.Train(ctx, Request{Config: Config{Site: testSite, Skip: Optional()}})
	if !errors.Is(err, control.ErrLeaseHeld) || !strings.Contains(err.Error(), "under way") || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("training beside another gave %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Train(ctx, Request{Config: Config{Site: testSite, Skip: Optional()}, Wait: true})
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	default:
	}
	if err := b.store.ReleaseLease(ctx, lease); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A training whose lease is lost stops, and its row does not say that the work was done or that it failed.
func TestLostLeaseStopsTheChild(t *testing.T) {
	b := newBench(t, 200)
	s := b.supervisor(t, self(t))
	ctx, lose := context.WithCancelCause(t.Context())
	defer lose(nil)
	_, err := s.runJob(ctx, Request{Config: Config{Site: testSite, Skip: Optional()}, Progress: func(Progress) { lose(control.ErrLeaseLost) }})
	if !errors.Is(err, control.ErrLeaseLost) {
		t.Fatalf("gave %v", err)
	}
	if job := b.job(t); job.State != control.JobCancelled || !strings.Contains(job.Detail, control.ErrLeaseLost.Error()) {
		t.Fatalf("job %+v", job)
	}
	if counted, err := b.metrics.Gather(); err != nil || len(counted) != 0 {
		t.Fatalf("it was counted as done or failed: %v, %v", counted, err)
	}
}

func TestFailedTrainingIsWrittenDown(t *testing.T) {
	b := newBench(t, 1)
	s := b.supervisor(t, Process{Exe: self(t).Exe, Args: []string{"-test.run=^$", "-no-such-flag"}})
	_, err := s.Train(t.Context(), Request{Config: Config{Site: testSite, Skip: Optional()}})
	if err == nil {
		t.Fatal("a child that fails trained")
	}
	if job := b.job(t); job.State != control.JobFailed || !strings.Contains(job.Detail, "no-such-flag") {
		t.Fatalf("job %+v", job)
	}
	if n := b.metric(t, "millrace_train_failures_total"); n != 1 {
		t.Fatalf("%g failures counted", n)
	}
	ctx, stop := context.WithCancel(t.Context())
	_, err = b.supervisor(t, self(t)).Train(ctx, Request{Config: Config{Site: testSite, TuneTrials: 1000}, Progress: func(Progress) { stop() }})
	stop()
	if job := b.job(t); err == nil || job.State != control.JobCancelled {
		t.Fatalf("stopped training: %v, job %+v", err, job)
	}
}

func TestNewSupervisorRefuses(t *testing.T) {
	if _, err := NewSupervisor(SupervisorConfig{}); err == nil {
		t.Fatal("an empty configuration was accepted")
	}
}

// A training that would hold more than it may is refused before it reads, one that does is killed, and the champion stays.
func TestMemoryLimitIsKept(t *testing.T) {
	b := newBench(t, 200)
	request := b.request()
	request.Limits.MemoryBytes = memoryBase
	if _, err := Spawn(t.Context(), self(t), request); err == nil || !strings.Contains(err.Error(), "trainer.memory_bytes allows 256 MiB") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := guardMemory(ctx, cancel, os.Getpid(), 1<<20); err != nil || !errors.Is(context.Cause(ctx), ErrLimit) {
		t.Errorf("a process over its limit ended with %v, %v", err, context.Cause(ctx))
	}
}

func TestDeadlineIsKept(t *testing.T) {
	b := newBench(t, 200)
	s := b.supervisor(t, self(t))
	s.cfg.Limits.Deadline = time.Millisecond
	_, err := s.Train(t.Context(), Request{Config: Config{Site: testSite, Skip: Optional()}, Why: "nightly"})
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "trainer.deadline of 1ms passed") {
		t.Errorf("error %v", err)
	}
	if j := b.job(t); j.State != control.JobFailed || !strings.Contains(j.Detail, "trainer.deadline") {
		t.Errorf("job %+v", j)
	}
	l := Limits{Deadline: time.Minute, SecondsPerEvent: 0.001}
	if err := l.admit(90_000); err != nil {
		t.Error(err)
	}
	if err := l.admit(90_001); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "would take about 1m30s") {
		t.Errorf("error %v", err)
	}
}

// Somebody stops a training from another process; it is not begun again tonight.
func TestCancel(t *testing.T) {
	b := newBench(t, 200)
	if cancelled, err := Cancel(t.Context(), b.store, testSite); cancelled || err != nil {
		t.Errorf("with nothing to cancel: %t, %v", cancelled, err)
	}
	s := b.supervisor(t, self(t))
	other := b.openStore(t)
	var once sync.Once
	_, err := s.Train(t.Context(), Request{Config: Config{Site: testSite, Skip: Optional()}, Why: "nightly", Progress: func(Progress) {
		once.Do(func() {
			if cancelled, err := Cancel(t.Context(), other, testSite); !cancelled || err != nil {
				t.Errorf("cancelled %t, %v", cancelled, err)
			}
		})
	}})
	if err == nil || !strings.Contains(err.Error(), cancelledOnRequest) {
		t.Fatalf("error %v", err)
	}
	j := b.job(t)
	if j.State != control.JobCancelled || j.Detail != cancelledOnRequest {
		t.Errorf("job %+v", j)
	}
	now := j.StartedAt.Add(2 * time.Hour)
	f := facts{now: now, night: j.StartedAt.Add(-time.Minute), hasChampion: true, rows: YoungRows, trained: YoungRows, jobs: []control.Job{j}}
	if why, due := f.due(); due {
		t.Errorf("due again tonight: %s", why)
	}
	if f.night = now; !func() bool { _, due := f.due(); return due }() {
		t.Error("not due the next night")
	}
}

// Of two trainings the one that began later stays in force, whichever ends last.
func TestATrainingThatStoodStillDoesNotPromote(t *testing.T) {
	r := openRegistry(t)
	run := func(fence int64) error {
		_, err := Run(t.Context(), Config{Site: testSite, Skip: Optional()}, Deps{Source: &sliceSource{events: planted(100, 1)}, Registry: r, Fence: fence})
		return err
	}
	if err := run(2000); err != nil {
		t.Fatal(err)
	}
	champion, err := r.ChampionVersion(t.Context(), testSite)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(1000); !errors.Is(err, registry.ErrFenced) {
		t.Errorf("error %v, want ErrFenced", err)
	}
	if v, err := r.ChampionVersion(t.Context(), testSite); err != nil || v != champion {
		t.Errorf("champion %s, %v", v, err)
	}
	if err := run(3000); err != nil {
		t.Error(err)
	}
	if back, err := r.Rollback(t.Context(), testSite); err != nil || back != champion { // by hand, whatever the fences
		t.Errorf("rolled back to %s, %v", back, err)
	}
}
