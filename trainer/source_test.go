package trainer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/event"
)

const testSite = "shop"

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestMain(m *testing.M) {
	playTrainingProcess()
	goleak.VerifyTestMain(m)
}

// sliceSource yields a slice, in an order of its own at every reading, as a lake after compaction may.
type sliceSource struct {
	events    []Interaction
	catalogue []event.CatalogueItem
	order     *rand.Rand // nil keeps the order of the slices
}

func (s *sliceSource) Snapshot(context.Context, string) (Snapshot, error) {
	out := Snapshot{ID: 1, Rows: int64(len(s.events)), Fences: map[string]int64{"0": int64(len(s.events))}}
	for _, e := range s.events {
		if e.OccurredAt.After(out.Newest) {
			out.Newest = e.OccurredAt
		}
	}
	return out, nil
}

func (s *sliceSource) Events(_ context.Context, _ string, _ Snapshot, from time.Time, yield func(*Interaction) error) error {
	for _, i := range s.places(len(s.events)) {
		e := s.events[i]
		if e.OccurredAt.Before(from) {
			continue
		}
		if err := yield(&e); err != nil {
			return err
		}
	}
	return nil
}

func (s *sliceSource) Catalogue(_ context.Context, _ string, _ Snapshot, yield func(*event.CatalogueItem) error) error {
	for _, i := range s.places(len(s.catalogue)) {
		item := s.catalogue[i]
		if err := yield(&item); err != nil {
			return err
		}
	}
	return nil
}

// places are the places of a slice in the order of this reading.
func (s *sliceSource) places(n int) []int {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	if s.order != nil {
		s.order.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	}
	return at
}

func (s *sliceSource) Older(_ context.Context, _ string, _ Snapshot, before time.Time) (Older, error) {
	var out Older
	for _, e := range s.events {
		if !e.OccurredAt.Before(before) {
			continue
		}
		out.Events++
		if out.First.IsZero() || e.OccurredAt.Before(out.First) {
			out.First = e.OccurredAt
		}
		if e.OccurredAt.After(out.Last) {
			out.Last = e.OccurredAt
		}
	}
	return out, nil
}

// view is one view_item of a browser.
func view(browser, item string, at time.Time) Interaction {
	return Interaction{
		Type: event.ViewItem, OccurredAt: at, AnonymousID: browser, Personalized: true, Sequence: at.UnixMilli(),
		Items: []InteractionItem{{ID: item}},
	}
}

// planted makes sessions that walk through chains of items: a00, a01, a02, ... and never leave their chain. Popular
// chains are walked more often. Anything that learns from order finds the next item; popularity cannot.
func planted(sessions int, seed uint64) []Interaction {
	const chains, length, steps = 20, 12, 5
	rng := rand.New(rand.NewPCG(seed, 0))
	var out []Interaction
	for s := range sessions {
		chain := int(float64(chains) * rng.Float64() * rng.Float64())
		first := rng.IntN(length)
		began := testStart.Add(time.Duration(s) * 10 * time.Minute)
		for step := range steps {
			item := fmt.Sprintf("%c%02d", 'a'+chain, (first+step)%length)
			out = append(out, view(fmt.Sprintf("browser-%d", s), item, began.Add(time.Duration(step)*time.Second)))
		}
	}
	return out
}

// shuffled takes the order out of events: the same items are seen as often, but by anyone at any time.
func shuffled(events []Interaction, seed uint64) []Interaction {
	rng := rand.New(rand.NewPCG(seed, 1))
	out := append([]Interaction(nil), events...)
	rng.Shuffle(len(out), func(i, j int) { out[i].Items, out[j].Items = out[j].Items, out[i].Items })
	return out
}
