package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/synthetic"
)

const (
	ialsRounds = 5 // iterations after the first one; the median counts

	queryItems   = 100_000 // of the catalogue that a list is chosen from
	queryRounds  = 2000
	queryListLen = 20
)

// benchIALS measures one iteration of iALS over ten million interactions in 64 dimensions. Its limit is what its multiply-adds
// would take if all processors did nothing else and waited for no memory.
func benchIALS(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	x := synthetic.Interactions(synthetic.Shape{Rows: 138_000, Items: 27_000, Positives: 10_000_000, Seed: 1})
	cfg := ials.Default(x.NumItems)
	cfg.Dimensions = 64
	training, err := ials.NewTraining(cfg, x)
	if err != nil {
		return err
	}
	runtime.GC() // what it took to make the interactions is not part of the fit
	var took []float64
	for round := range 1 + ialsRounds {
		start := time.Now()
		if err := training.Iterate(ctx); err != nil {
			return err
		}
		seconds := time.Since(start).Seconds()
		if round > 0 { // the first one meets memory that nobody has touched
			took = append(took, seconds)
		}
		loss, err := training.Loss(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(progress, "iteration %d: %.3f s, loss %.6g\n", round+1, seconds, loss)
	}
	rate := linalg.Peak() * float64(runtime.GOMAXPROCS(0))
	result := benchResult{Bench: "training", Metric: "ials_iteration_10m_64d", Value: median(took), Unit: "s"}
	return emit(result.against(ialsOperations(cfg, x)/rate, "its multiply-adds at the peak of all processors"))
}

// ialsOperations counts the operations of an iteration: on both sides the Gram matrix, and for each step of a row, and once
// before, a product with it and two passes over the factors that the row met.
func ialsOperations(cfg ials.Config, x *model.Interactions) float64 {
	d, passes := float64(cfg.Dimensions), float64(1+cfg.Steps)
	rows := float64(x.Rows() + x.NumItems)
	return rows*2*d*d + passes*(rows*2*d*d+2*float64(len(x.Items))*4*d)
}

// benchIALSQuery measures, on one processor, a list for somebody who is folded in: the exact best of a hundred thousand items. It is
// seen beside one pass over all factors, most of which the scan need not look at.
func benchIALSQuery(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	x := synthetic.Interactions(synthetic.Shape{Rows: 50_000, Items: queryItems, Positives: 2_000_000, Seed: 1})
	cfg := ials.Default(x.NumItems)
	cfg.Dimensions, cfg.Iterations = 64, 3
	m, err := ials.Fit(ctx, cfg, x)
	if err != nil {
		return err
	}
	runtime.GC()
	rows, scores := slices.Repeat([]float32{1}, queryItems*cfg.Dimensions), make([]float32, queryItems)
	var dst []model.Scored
	var took, scans []float64
	for round := range queryRounds {
		met, _ := x.Row(round)
		start := time.Now()
		dst = m.Score(dst[:0], model.Query{History: met}, queryListLen)
		took = append(took, float64(time.Since(start).Nanoseconds())/1e6)
		if len(dst) != queryListLen {
			return fmt.Errorf("%d items for visitor %d, want %d", len(dst), round, queryListLen)
		}
		start = time.Now()
		linalg.DotRows(scores, rows, rows[:cfg.Dimensions])
		scans = append(scans, float64(time.Since(start).Nanoseconds())/1e6)
	}
	limit := median(scans)
	fmt.Fprintf(progress, "one pass over %d MB: %.1f GB/s\n", len(rows)*4/1_000_000, float64(len(rows))*4/limit/1e6)
	for _, p := range []struct {
		name  string
		value float64
	}{{"ials_top20_of_100k", median(took)}, {"ials_top20_of_100k_p99", percentile(took, 99)}} {
		result := benchResult{Bench: "training", Metric: p.name, Value: p.value, Unit: "ms"}
		if err := emit(result.against(limit, "one pass over all factors")); err != nil {
			return err
		}
	}
	return nil
}
