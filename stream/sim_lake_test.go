package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// simLake is a lake as a simulated process has it open. Where the lake lets us in, at is called when data files are written
// and not committed (duringCommit), and between the commits of two tables (betweenTables).
type simLake interface {
	Lake
	commitAt(ctx context.Context, in lake.Landing, at func(step) error) error
	ScanExposures(ctx context.Context, r lake.ScanRequest, yield func(lake.ExposureRow) error) error
}

// realLake is the product's lake. Its libraries keep goroutines and channels for the whole program, which fake time cannot
// have: a worker in real time does what it is asked, and fake time stands still meanwhile.
type realLake struct {
	lake *lake.Lake
	work chan func()
	done chan struct{}
	mu   sync.Mutex // one request at a time
}

// openRealLake is called in real time, as is close.
func openRealLake(ctx context.Context, dir string) (*realLake, error) {
	opened, err := lake.Open(ctx, lake.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	l := &realLake{lake: opened, work: make(chan func()), done: make(chan struct{})}
	go func() {
		for f := range l.work {
			f()
			l.done <- struct{}{}
		}
	}()
	return l, nil
}

func (l *realLake) close() error {
	close(l.work)
	return l.lake.Close()
}

func (l *realLake) ask(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.work <- f
	<-l.done
}

func (l *realLake) Next(_ context.Context, table string) (fences map[lake.FenceKey]lake.Fence, err error) {
	l.ask(func() { fences, err = l.lake.Next(context.Background(), table) })
	return fences, err
}

func (l *realLake) Commit(_ context.Context, in lake.Landing) (err error) {
	l.ask(func() { err = l.lake.Commit(context.Background(), in) })
	return err
}

func (l *realLake) commitAt(ctx context.Context, in lake.Landing, _ func(step) error) error {
	return l.Commit(ctx, in)
}

func (l *realLake) ScanEvents(_ context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) (err error) {
	var rows []lake.EventRow
	l.ask(func() {
		err = l.lake.ScanEvents(context.Background(), r, func(row lake.EventRow) error { rows = append(rows, row); return nil })
	})
	for i := 0; i < len(rows) && err == nil; i++ {
		err = yield(rows[i])
	}
	return err
}

func (l *realLake) ScanExposures(_ context.Context, r lake.ScanRequest, yield func(lake.ExposureRow) error) (err error) {
	var rows []lake.ExposureRow
	l.ask(func() {
		err = l.lake.ScanExposures(context.Background(), r, func(row lake.ExposureRow) error { rows = append(rows, row); return nil })
	})
	for i := 0; i < len(rows) && err == nil; i++ {
		err = yield(rows[i])
	}
	return err
}

// modelLake is the contract of the lake in a few lines; TestModelOfTheLake holds both against the same demands.
type modelLake struct {
	bug *simBug

	mu        sync.Mutex
	events    []lake.EventRow
	exposures []lake.ExposureRow
	fences    map[lake.FenceKey]lake.Fence
}

func newModelLake(bug *simBug) *modelLake {
	return &modelLake{bug: bug, fences: make(map[lake.FenceKey]lake.Fence)}
}

func (l *modelLake) Next(_ context.Context, table string) (map[lake.FenceKey]lake.Fence, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := maps.Clone(l.fences)
	maps.DeleteFunc(out, func(key lake.FenceKey, _ lake.Fence) bool { return key.Topic != topicOf(table) })
	return out, nil
}

func topicOf(table string) string {
	if table == lake.TableEvents {
		return event.TopicEvents
	}
	return event.TopicExposures
}

func (l *modelLake) Commit(ctx context.Context, in lake.Landing) error {
	return l.commitAt(ctx, in, func(step) error { return nil })
}

func (l *modelLake) commitAt(ctx context.Context, in lake.Landing, at func(step) error) error {
	covered := make(map[lake.FenceKey]lake.Fence)
	for _, f := range in.Fences {
		covered[f.Key()] = f
	}
	for _, r := range in.Events {
		if f, ok := covered[lake.FenceKey{Topic: r.At.Topic, Epoch: r.At.Epoch, Partition: r.At.Partition}]; !ok || r.At.Offset < f.From || r.At.Offset >= f.Next {
			return fmt.Errorf("row at %v is outside the landing's fences", r.At)
		}
	}
	first := landingOf(lake.TableEvents, in.Fences)
	if err := l.commitTable(ctx, lake.TableEvents, in, at); err != nil {
		return err
	}
	if len(first) > 0 && len(first) < len(in.Fences) {
		if err := at(betweenTables); err != nil {
			return err
		}
	}
	return l.commitTable(ctx, lake.TableExposures, in, at)
}

// landingOf are the fences of one table.
func landingOf(table string, fences []lake.Fence) (mine []lake.Fence) {
	for _, f := range fences {
		if f.Topic == topicOf(table) {
			mine = append(mine, f)
		}
	}
	return mine
}

func (l *modelLake) commitTable(ctx context.Context, table string, in lake.Landing, at func(step) error) error {
	mine := landingOf(table, in.Fences)
	if len(mine) == 0 {
		return nil
	}
	if done, err := l.judge(table, mine); done || err != nil {
		return err
	}
	if l.bug.is(bugTornCommit) {
		l.write(table, in, nil)
	}
	if err := at(duringCommit); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Others may have committed meanwhile.
	if done, err := l.judge(table, mine); done || err != nil {
		return err
	}
	if l.bug.is(bugTornCommit) {
		in = lake.Landing{}
	}
	l.write(table, in, mine)
	return nil
}

// judge says whether a landing is done already, or that the lake has moved.
func (l *modelLake) judge(table string, mine []lake.Fence) (done bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reached, from, actual := true, true, make(map[lake.FenceKey]lake.Fence)
	for _, f := range mine {
		have, known := l.fences[f.Key()]
		reached = reached && known && have.Next == f.Next && have.Hash == f.Hash
		from = from && (!known || have.Next == f.From)
		if known {
			actual[f.Key()] = have
		}
	}
	if !reached && !from && !l.bug.is(bugUnfenced) && !l.bug.is(bugGroupPosition) {
		return false, &lake.FenceMovedError{Table: table, Actual: actual}
	}
	return reached, nil
}

func (l *modelLake) write(table string, in lake.Landing, fences []lake.Fence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if table == lake.TableEvents {
		l.events = append(l.events, in.Events...)
	} else {
		l.exposures = append(l.exposures, in.Exposures...)
	}
	for _, f := range fences {
		f.From = 0
		l.fences[f.Key()] = f
	}
}

func (l *modelLake) ScanEvents(_ context.Context, _ lake.ScanRequest, yield func(lake.EventRow) error) error {
	l.mu.Lock()
	rows := append([]lake.EventRow(nil), l.events...)
	l.mu.Unlock()
	for _, r := range rows {
		value, err := event.Marshal(r.Event)
		if err != nil {
			return err
		}
		r.Event = &event.Event{}
		if err := errors.Join(event.Unmarshal(value, r.Event)); err != nil {
			return err
		}
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *modelLake) ScanExposures(_ context.Context, _ lake.ScanRequest, yield func(lake.ExposureRow) error) error {
	l.mu.Lock()
	rows := append([]lake.ExposureRow(nil), l.exposures...)
	l.mu.Unlock()
	for _, r := range rows {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

// TestModelOfTheLake asks of the model and of the real lake what the stream relies on.
func TestModelOfTheLake(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) simLake{
		"model": func(*testing.T) simLake { return newModelLake(nil) },
		"real": func(t *testing.T) simLake {
			l, err := openRealLake(t.Context(), filepath.Join(t.TempDir(), "lake"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.close(); err != nil {
					t.Error(err)
				}
			})
			return l
		},
	} {
		t.Run(name, func(t *testing.T) { checkLakeContract(t, open(t)) })
	}
}

func checkLakeContract(t *testing.T, l simLake) {
	landing := func(hash uint64, from, next int64, rows ...int64) lake.Landing {
		in := lake.Landing{Fences: []lake.Fence{{Topic: event.TopicEvents, Epoch: simEpoch, Partition: 2, From: from, Next: next, Hash: hash}}}
		for _, offset := range rows {
			in.Events = append(in.Events, lake.EventRow{Event: view(fmt.Sprintf("e%d", offset), "b", "i"),
				At: lake.Position{Topic: event.TopicEvents, Epoch: simEpoch, Partition: 2, Offset: offset}})
		}
		return in
	}
	const ok, moved, refused = "ok", "moved", "refused"
	for _, c := range []struct {
		name string
		in   lake.Landing
		want string
		next int64
		rows int
	}{
		{"a first landing begins anywhere", landing(7, 5, 8, 5, 7), ok, 8, 2},
		{"the same again has no effect", landing(7, 5, 8, 5, 7), ok, 8, 2},
		{"one that begins before the fence", landing(8, 7, 9, 7, 8), moved, 8, 2},
		{"one that begins behind the fence", landing(8, 9, 10, 9), moved, 8, 2},
		{"the same end with another record before it", landing(8, 5, 8, 5), moved, 8, 2},
		{"a row behind its fence", landing(9, 8, 9, 8, 9), refused, 8, 2},
		{"a row before its fence", landing(9, 8, 9, 7), refused, 8, 2},
		{"a row without a fence", lake.Landing{Events: landing(0, 0, 9, 8).Events}, refused, 8, 2},
		{"nothing but duplicates", landing(9, 8, 12), ok, 12, 2},
		{"the next", landing(9, 12, 13, 12), ok, 13, 3},
	} {
		err := l.Commit(t.Context(), c.in)
		got := ok
		if err != nil {
			got = refused
			if errors.As(err, new(*lake.FenceMovedError)) {
				got = moved
			}
		}
		if got != c.want {
			t.Fatalf("%s: %s (%v), want %s", c.name, got, err, c.want)
		}
		fences, err := l.Next(t.Context(), lake.TableEvents)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		if err := l.ScanEvents(t.Context(), lake.ScanRequest{Table: lake.TableEvents}, func(lake.EventRow) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
		if next := fences[lake.FenceKey{Topic: event.TopicEvents, Epoch: simEpoch, Partition: 2}].Next; next != c.next || rows != c.rows {
			t.Fatalf("%s: %d rows up to %d, want %d up to %d", c.name, rows, next, c.rows, c.next)
		}
	}
	if fences, err := l.Next(t.Context(), lake.TableExposures); err != nil || len(fences) != 0 {
		t.Fatalf("fences of exposures %v (%v): tables are mixed up", fences, err)
	}
}
