package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/registry"
)

func TestTimeOfDay(t *testing.T) {
	vienna, err := ParseTimeOfDay("02:30", "Europe/Vienna")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ now, want string }{
		{"2026-03-10T02:30:00+01:00", "2026-03-10T02:30:00+01:00"},
		{"2026-03-10T02:29:59+01:00", "2026-03-09T02:30:00+01:00"},
		{"2026-03-01T00:00:00+01:00", "2026-02-28T02:30:00+01:00"}, // over the end of a month
		{"2026-07-10T00:00:00Z", "2026-07-09T02:30:00+02:00"},      // still yesterday's in UTC terms
	} {
		now, err1 := time.Parse(time.RFC3339, c.now)
		want, err2 := time.Parse(time.RFC3339, c.want)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := vienna.lastBefore(now); !got.Equal(want) {
			t.Errorf("at %s the last was %s, want %s", c.now, got, c.want)
		}
	}
	// On the days when the clock is changed there is one such moment as well: 2:30 is skipped in March, doubled in October.
	for _, day := range []time.Time{time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC)} {
		moments := map[int64]bool{}
		for now := day; now.Before(day.Add(24 * time.Hour)); now = now.Add(time.Minute) {
			if m := vienna.lastBefore(now); m.After(day) {
				moments[m.Unix()] = true
			}
		}
		if len(moments) != 1 {
			t.Errorf("%d nights after %s", len(moments), day)
		}
	}
	for _, bad := range [][2]string{{"3:60", "UTC"}, {"", "UTC"}, {"noon", ""}, {"03:00", "Atlantis/Capital"}} {
		if _, err := ParseTimeOfDay(bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestDue(t *testing.T) {
	night := time.Date(2026, 3, 10, 3, 0, 0, 0, time.UTC)
	now := night.Add(10 * time.Hour)
	job := func(state control.JobState, ago time.Duration) control.Job {
		j := control.Job{State: state, StartedAt: now.Add(-ago)}
		if state != control.JobRunning {
			j.EndedAt = j.StartedAt.Add(time.Minute)
		}
		return j
	}
	done := job(control.JobDone, 5*time.Hour)
	lastNight := job(control.JobDone, 30*time.Hour)
	for _, c := range []struct {
		name  string
		facts facts
		want  string
	}{
		{"no data", facts{}, ""},
		{"too little data", facts{rows: FirstModelRows - 1}, ""},
		{"enough for a first model", facts{rows: FirstModelRows}, "first model"},
		{"a first try was not enough and nothing came since", facts{rows: 300, trained: 300, jobs: []control.Job{done}}, ""},
		{"a first try was not enough and more came", facts{rows: 400, trained: 300, jobs: []control.Job{done}}, "first model"},
		{"more came, but a moment ago", facts{rows: 400, trained: 300, jobs: []control.Job{job(control.JobDone, 30*time.Second)}}, ""},
		{"young data grew", facts{rows: 599, trained: 300, hasChampion: true, jobs: []control.Job{done}}, ""},
		{"young data doubled", facts{rows: 600, trained: 300, hasChampion: true, jobs: []control.Job{done}}, "twice the data"},
		{"old data doubled", facts{rows: 4 * YoungRows, trained: YoungRows, hasChampion: true, jobs: []control.Job{done}}, ""},
		{"night", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{lastNight}}, "nightly"},
		{"night, done", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{done, lastNight}}, ""},
		{"night, stopped half-way", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{job(control.JobCancelled, time.Hour), lastNight}}, "nightly"},
		{"night, stopped half-way and then done", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{done, job(control.JobCancelled, 6*time.Hour)}}, ""},
		{"one is running", facts{rows: 600, trained: 100, hasChampion: true, jobs: []control.Job{job(control.JobRunning, time.Hour)}}, ""},
		{"failed a moment ago", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{job(control.JobFailed, 2*time.Minute)}}, ""},
		{"failed a while ago", facts{rows: 500, trained: 400, hasChampion: true, jobs: []control.Job{job(control.JobFailed, time.Hour)}}, "nightly"},
		{"failed again and again", facts{rows: 900, trained: 400, hasChampion: true, jobs: []control.Job{
			job(control.JobFailed, time.Hour), job(control.JobFailed, 2*time.Hour), job(control.JobFailed, 3*time.Hour)}}, ""},
		{"failed again and again the night before", facts{rows: 900, trained: 800, hasChampion: true, jobs: []control.Job{
			job(control.JobFailed, 31*time.Hour), job(control.JobFailed, 32*time.Hour), job(control.JobFailed, 33*time.Hour)}}, "nightly"},
	} {
		c.facts.now, c.facts.night = now, night
		if why, due := c.facts.due(); why != c.want || due != (c.want != "") {
			t.Errorf("%s: due %v %q, want %q", c.name, due, why, c.want)
		}
	}
}

// shop is a site whose data grows, with a trainer that writes the job rows a Supervisor would.
type shop struct {
	t        *testing.T
	store    *control.Store
	registry *registry.Registry
	rows     atomic.Int64
	counted  int // site counts that were asked for
	fail     bool
	slow     bool // a training lasts until its process is stopped
	sites    []string
	log      []string
}

func (s *shop) TotalRows(context.Context) (int64, error) { return s.rows.Load(), nil }

func (s *shop) Rows(context.Context, string) (int64, error) {
	s.counted++
	return s.rows.Load(), nil
}

func (s *shop) train(ctx context.Context, site, why string) (Result, error) {
	s.log = append(s.log, fmt.Sprintf("%s %s at %d", time.Now().UTC().Format("2 15:04"), why, s.rows.Load()))
	job, err := s.store.StartJob(ctx, JobKind, site, why)
	if err != nil {
		return Result{}, err
	}
	if s.slow {
		<-ctx.Done()
		return Result{}, errors.Join(ctx.Err(), s.store.FinishJob(context.WithoutCancel(ctx), job.ID, control.JobOutcome{State: control.JobCancelled}))
	}
	if s.fail {
		err := errors.New("out of memory")
		return Result{}, errors.Join(err, s.store.FinishJob(ctx, job.ID, control.JobOutcome{State: control.JobFailed, Detail: err.Error()}))
	}
	result := Result{Promoted: true, Rows: s.rows.Load()}
	m, err := s.registry.Publish(ctx, registry.Manifest{Site: site, CreatedAt: time.Now()}, smallVersion(s.t))
	if err == nil {
		err = s.registry.Promote(ctx, site, m.Version)
	}
	return result, errors.Join(err, s.store.FinishJob(ctx, job.ID, control.JobOutcome{State: control.JobDone, Result: result}))
}

func smallVersion(t *testing.T) []registry.Artifact {
	var sessions model.Sessions
	sessions.Append([]int32{0}, []int64{1})
	p, err := popularity.Fit(popularity.Default(), &sessions, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return []registry.Artifact{{Name: vocabularyName, Model: model.NewVocabulary("x")}, {Name: ModelPopularity, Model: p}}
}

// run lets the schedule run for a while of fake time, as one process from start to stop.
func (s *shop) run(d time.Duration) {
	s.t.Helper()
	schedule, err := NewSchedule(ScheduleConfig{
		Sites:   func(context.Context) ([]string, error) { return s.sites, nil },
		Nightly: TimeOfDay{Hour: 3, Location: time.UTC}, Every: 5 * time.Minute,
		Control: s.store, Registry: s.registry, Rows: s, Train: s.train,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(s.t.Context(), d-time.Second) // the end of a run must not meet a tick
	defer stop()
	if err := schedule.Run(ctx); err != nil {
		s.t.Fatal(err)
	}
	<-time.After(time.Second) // fake time
}

func inFakeTime(t *testing.T, test func(s *shop)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // fake time starts at 2000-01-01 00:00 UTC
		store, err := control.Open(t.Context(), filepath.Join(dir, "control.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { // inside the bubble, which a cleanup is not
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}()
		models, err := registry.Open(t.Context(), objstore.Place{Dir: filepath.Join(dir, "models")})
		if err != nil {
			t.Fatal(err)
		}
		test(&shop{t: t, store: store, registry: models, sites: []string{testSite}})
	})
}

func (s *shop) expect(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.log, want) {
		s.t.Fatalf("trained %q, want %q", s.log, want)
	}
}

// A shop opens, its data grows, nights pass, restarts and downtime come between.
func TestScheduleOverDays(t *testing.T) {
	inFakeTime(t, func(s *shop) {
		s.run(time.Hour) // nothing to train on
		s.expect()
		s.rows.Store(FirstModelRows)
		s.run(time.Hour)
		s.expect("1 01:00 first model at 200")
		s.rows.Store(399)
		s.run(30 * time.Minute)
		s.expect("1 01:00 first model at 200")
		s.rows.Store(500)
		s.run(15 * time.Minute)
		s.rows.Store(YoungRows)
		s.run(15 * time.Minute)
		want := []string{"1 01:00 first model at 200", "1 02:30 twice the data at 500", "1 02:45 twice the data at 1000000"}
		s.expect(want...)
		s.rows.Store(YoungRows * 5)
		counted := s.counted
		s.run(23 * time.Hour) // from 03:00 on the first
		want = append(want, "1 03:00 nightly at 5000000")
		s.expect(want...)
		if s.counted > counted+1 {
			t.Errorf("counted a site that did not grow %d times", s.counted-counted)
		}
		s.run(4 * time.Hour) // a restart in between
		want = append(want, "2 03:00 nightly at 5000000")
		s.expect(want...)
		s.run(time.Hour) // another restart, on the same day
		s.expect(want...)
		<-time.After(72 * time.Hour) // fake time: the machine is off
		s.run(time.Hour)
		s.expect(append(want, "5 07:00 nightly at 5000000")...)
	})
}

// A training that fails is tried again after a rest, and not for ever.
func TestScheduleRetries(t *testing.T) {
	inFakeTime(t, func(s *shop) {
		s.rows.Store(1000)
		s.fail = true
		s.run(26 * time.Hour)
		s.expect("1 00:00 first model at 1000", "1 00:15 nightly at 1000", "1 00:30 nightly at 1000",
			"1 03:00 nightly at 1000", "1 03:15 nightly at 1000", "1 03:30 nightly at 1000")
		s.fail = false
		s.run(2 * time.Hour)
		s.expect(append(slices.Clone(s.log[:6]), "2 03:00 first model at 1000")...) // the next process knows of no earlier try
	})
}

// A process that is stopped in the middle of the night's training owes it: the next one does it at once, and no more.
func TestScheduleResumesAStoppedNight(t *testing.T) {
	inFakeTime(t, func(s *shop) {
		s.rows.Store(1000)
		s.run(2 * time.Hour)
		s.slow = true
		s.run(time.Hour + 5*time.Minute) // stopped at 03:05
		s.slow = false
		s.run(2 * time.Hour)
		s.expect("1 00:00 first model at 1000", "1 03:00 nightly at 1000", "1 03:05 nightly at 1000")
	})
}

// A site that is made while the schedule runs trains without a restart.
func TestScheduleSeesNewSites(t *testing.T) {
	inFakeTime(t, func(s *shop) {
		s.rows.Store(1000)
		asked := 0
		schedule, err := NewSchedule(ScheduleConfig{
			Sites: func(context.Context) ([]string, error) {
				switch asked++; asked {
				case 1:
					return []string{testSite}, nil
				case 2:
					return nil, errors.New("database is busy")
				}
				return []string{testSite, "shop2"}, nil
			},
			Every: time.Minute, Control: s.store, Registry: s.registry, Rows: s,
			Train: func(ctx context.Context, site, why string) (Result, error) {
				result, err := s.train(ctx, site, why)
				s.log[len(s.log)-1] = site + " " + s.log[len(s.log)-1]
				return result, err
			},
		})
		if err != nil {
			s.t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(s.t.Context(), 10*time.Minute)
		defer stop()
		if err := schedule.Run(ctx); err != nil {
			s.t.Fatal(err)
		}
		s.expect(testSite+" 1 00:00 first model at 1000", "shop2 1 00:02 first model at 1000")
	})
}

// Two processes on one control store do not train the same night twice.
func TestScheduleIsSharedThroughTheLedger(t *testing.T) {
	inFakeTime(t, func(s *shop) {
		s.rows.Store(1000)
		s.run(time.Minute)
		twin := &shop{t: s.t, store: s.store, registry: s.registry, sites: s.sites}
		twin.rows.Store(1000)
		twin.run(time.Hour)
		twin.expect()
		jobs, err := s.store.Jobs(s.t.Context(), control.JobFilter{Kind: JobKind})
		if err != nil || len(jobs) != 1 {
			t.Fatalf("jobs %v, %v", jobs, err)
		}
	})
}

func TestTrainedRows(t *testing.T) {
	result := func(rows int64) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"rows":%d}`, rows)) }
	jobs := []control.Job{{State: control.JobFailed}, {State: control.JobDone, Result: result(7)}, {State: control.JobDone, Result: result(9)}}
	if got := trainedRows(jobs); got != 7 {
		t.Errorf("the newest training that ended had %d rows", got)
	}
	if got := trainedRows(nil); got != 0 {
		t.Errorf("no training had %d rows", got)
	}
}

func TestNewScheduleRefuses(t *testing.T) {
	if _, err := NewSchedule(ScheduleConfig{}); err == nil {
		t.Fatal("an empty configuration was accepted")
	}
}
