package stream

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
)

// meddled is an online store that does something else with the first correction of rows by a sweep.
type meddled struct {
	onlinestore.Store
	once   sync.Once
	meddle func(wrong []onlinestore.Replacement) ([]onlinestore.Replacement, error)
}

func (m *meddled) Replace(ctx context.Context, wrong []onlinestore.Replacement) (err error) {
	if !strings.HasPrefix(wrong[0].Seen.Key, "o/") { // which is no row of a state
		m.once.Do(func() { wrong, err = m.meddle(wrong) })
	}
	if err != nil {
		return err
	}
	return m.Store.Replace(ctx, wrong)
}

// sweepGhosts starts a rebuild over an online store full of rows that no event explains, and stops the stream when every
// partition is rebuilt, unless it has ended by itself.
func (h *house) sweepGhosts(tr *traffic, meddle func(stop func(), wrong []onlinestore.Replacement) ([]onlinestore.Replacement, error)) (generation int64) {
	h.t.Helper()
	h.useLog = quickLog{h.client}
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	s.rebuilt(0) // a first sweep of its own would see the rows below, too
	s.halt()
	h.haunt(0)
	generation = h.requestRebuild()
	ctx, stop := context.WithCancel(h.t.Context())
	defer stop()
	h.useOnline = &meddled{Store: h.online, meddle: func(wrong []onlinestore.Replacement) ([]onlinestore.Replacement, error) {
		return meddle(stop, wrong)
	}}
	mortal := h.stream()
	h.useOnline = h.online
	defer mortal.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = mortal.Run(ctx)
	}()
	until(h.t, "the sweep is over", func() bool {
		select {
		case <-done:
			return true
		default:
		}
		status, err := mortal.RebuildStatus(h.t.Context(), generation)
		return err == nil && status.Done == status.Partitions
	})
	stop()
	<-done
	return generation
}

// TestSweepOfAZombie: a process stands still when it is about to correct rows, and another one owns the partition meanwhile
// and writes them. What it has written stays.
func TestSweepOfAZombie(t *testing.T) {
	h, tr := newHouse(t), newTraffic(14)
	var owners []onlinestore.Row
	h.sweepGhosts(tr, func(_ func(), wrong []onlinestore.Replacement) ([]onlinestore.Replacement, error) {
		for _, w := range wrong {
			row := w.Seen
			row.Offset, row.Value = row.Offset+1<<20, []byte("of the next owner")
			owners = append(owners, row)
		}
		return wrong, h.online.Put(t.Context(), owners)
	})
	if len(owners) == 0 {
		t.Fatal("the sweep corrected nothing")
	}
	for _, want := range owners {
		got, ok, err := h.online.Get(t.Context(), want.Key)
		if err != nil || !ok || got.Offset != want.Offset || string(got.Value) != string(want.Value) {
			t.Errorf("%s of the next owner became %+v (%v, %v)", want.Key, got, ok, err)
		}
	}
}

// TestSweepDiesHalfway kills the process when it has corrected some of the rows of a call: no row is missing afterwards, and
// the next start goes on.
func TestSweepDiesHalfway(t *testing.T) {
	h, tr := newHouse(t), newTraffic(15)
	done := 0
	generation := h.sweepGhosts(tr, func(kill func(), wrong []onlinestore.Replacement) ([]onlinestore.Replacement, error) {
		kill()
		done = len(wrong) / 2
		if err := h.online.Replace(t.Context(), wrong[:done]); err != nil {
			t.Error(err)
		}
		return nil, errKilled
	})
	if done == 0 {
		t.Fatal("the sweep corrected nothing")
	}
	s := h.start()
	s.rebuilt(generation)
	h.exactly(s)
}
