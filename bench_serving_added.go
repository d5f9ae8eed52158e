package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// addedPairs is how many pairs of requests, with and without, the usual difference is of.
	addedPairs = 301
	// addedExcluded is how many items a request excludes, as many as it may.
	addedExcluded = 1_000
	// addedFilterLimit and addedExcludedLimit are what filters and exclusions may add to an answer, in milliseconds.
	addedFilterLimit   = 1
	addedExcludedLimit = 0.2
)

// addition is something that requests have more than others.
type addition struct {
	name  string
	more  map[string]any
	limit float64 // ms
}

// additions are filters of three conditions, which leave a half and a five-hundredth of the items, and exclusions.
func (b *servingBench) additions() []addition {
	rng := rand.New(rand.NewPCG(3, 2))
	excluded := make([]string, addedExcluded)
	for i, n := range rng.Perm(largeItems)[:addedExcluded] {
		excluded[i] = largeItem(int32(n))
	}
	return []addition{
		{"filter", map[string]any{"filter": `item.available && item.price < 100.0 && item.brand != "Brand 7"`}, addedFilterLimit},
		{"narrow_filter", map[string]any{"filter": `item.available && item.price < 100.0 && "Category 7" in item.categories`}, addedFilterLimit},
		{"exclusions", map[string]any{"exclude_ids": excluded}, addedExcludedLimit},
	}
}

// added measures what filters and exclusions add to answers: the usual difference between two requests, one after the other, that are
// alike but for them.
func (b *servingBench) added(ctx context.Context) error {
	if b.load.name != "large" {
		return nil
	}
	for _, p := range b.load.placements {
		for _, a := range b.additions() {
			added, err := b.add(ctx, p.name, a)
			if err != nil {
				return err
			}
			if err := b.emit(p.name+"_"+a.name+"_adds", added, "ms", a.limit, "what is promised"); err != nil {
				return err
			}
		}
	}
	return nil
}

// add is what an addition adds to the answers of a placement, in milliseconds.
func (b *servingBench) add(ctx context.Context, placement string, a addition) (float64, error) {
	plain := b.bodies(placement)[:addedPairs]
	differences := make([]float64, 0, 2*addedPairs)
	for i := range 2 * addedPairs {
		body := plain[i%addedPairs]
		more, err := withMore(body, a.more)
		if err != nil {
			return 0, err
		}
		var took [2]time.Duration
		for n := range took { // each is first by turns
			with := (n + i) % 2
			start := time.Now()
			if _, err := b.post(ctx, "/v1/recommend", [...][]byte{body, more}[with]); err != nil {
				return 0, err
			}
			took[with] = time.Since(start)
		}
		if i >= addedPairs { // the first ask for what is remembered then
			differences = append(differences, (took[1]-took[0]).Seconds()*1e3)
		}
	}
	b.say("%s with %s: %.3f ms more, p10 %.3f, p90 %.3f", placement, a.name, median(differences), percentile(differences, 10), percentile(differences, 90))
	return median(differences), nil
}

// withMore is a request with more members.
func withMore(body []byte, more map[string]any) ([]byte, error) {
	members := map[string]any{}
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, fmt.Errorf("read a request: %w", err)
	}
	for name, value := range more {
		members[name] = value
	}
	return json.Marshal(members)
}
