package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

const (
	knnClicks  = 10_000_000
	knnItems   = 100_000
	knnQueries = 20_000 // clicks of other sessions, each of which asks for a list
)

// benchSessionKNN measures the index over ten million clicks, whose limit is one copy of them, and on one processor the queries of
// both scorings, whose limit is to read as much of the past as they do: the items of as many sessions anywhere in it.
func benchSessionKNN(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	sessions := synthetic.Sessions(synthetic.Clicks{Clicks: knnClicks, Items: knnItems, Seed: 1})
	runtime.GC()
	start := time.Now()
	index, err := vmisknn.BuildIndex(sessions, knnItems)
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	start = time.Now()
	copied := len(slices.Clone(sessions.Items)) + len(slices.Clone(sessions.Times))
	limit := time.Since(start).Seconds()
	fmt.Fprintf(progress, "index of %d sessions: %.2f s; %d numbers copied in %.3f s\n", sessions.Len(), took, copied, limit)
	built := benchResult{Bench: "training", Metric: "vmisknn_index_10m_clicks", Value: took, Unit: "s"}
	if err := emit(built.against(limit, "one copy of the clicks")); err != nil {
		return err
	}
	test := synthetic.Sessions(synthetic.Clicks{Clicks: knnQueries, Items: knnItems, Seed: 2})
	for _, scoring := range []vmisknn.Scoring{vmisknn.VMIS, vmisknn.VSTAN} {
		if err := benchKNNQueries(ctx, vmisknn.Default(scoring), index, sessions, test, emit); err != nil {
			return err
		}
	}
	return nil
}

func benchKNNQueries(ctx context.Context, cfg vmisknn.Config, index *vmisknn.Index, past, test *model.Sessions, emit func(benchResult) error) error {
	m, err := vmisknn.New(cfg, index)
	if err != nil {
		return err
	}
	runtime.GC()
	took := make([]float64, 0, test.Events())
	var dst []model.Scored
	for i := range test.Len() {
		if err := ctx.Err(); err != nil {
			return err
		}
		items, _ := test.At(i)
		for n := range items {
			start := time.Now()
			dst = m.Score(dst[:0], model.Query{Items: items[:n+1]}, queryListLen)
			took = append(took, float64(time.Since(start).Nanoseconds())/1e3)
		}
	}
	read := cfg.K // VMIS reads the items of neighbours only, VSTAN those of all candidates
	if cfg.Scoring == vmisknn.VSTAN {
		read = cfg.M
	}
	limit := readSessions(past, read)
	for _, p := range []struct {
		name  string
		value float64
	}{{"p50", percentile(took, 50)}, {"p99", percentile(took, 99)}} {
		result := benchResult{Bench: "training", Metric: fmt.Sprintf("%s_query_%s_10m_clicks", cfg.Scoring, p.name), Value: p.value, Unit: "us"}
		if err := emit(result.against(limit, "reading as many sessions")); err != nil {
			return err
		}
	}
	return nil
}

// readSessions returns the median time in microseconds that it takes to read the items of n sessions anywhere in the past.
func readSessions(past *model.Sessions, n int) float64 {
	rng := rand.New(rand.NewPCG(1, 0))
	var took []float64
	sum := int32(0)
	for range 1000 {
		places := make([]int, n)
		for i := range places {
			places[i] = rng.IntN(past.Len())
		}
		start := time.Now()
		for _, s := range places {
			for _, item := range past.Items[past.Offsets[s]:past.Offsets[s+1]] {
				sum += item
			}
		}
		took = append(took, float64(time.Since(start).Nanoseconds())/1e3)
	}
	if sum == 0 { // never; it keeps the reading from being thought useless
		return 0
	}
	return median(took)
}
