package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/synthetic"
)

const (
	easeItems     = 12_000
	easeNearItems = 100_000 // of a catalogue that takes the neighbourhood form
)

// benchEASE measures a fit of EASE over 12,000 items, and the inversion that is nearly all of it. The limit of both is what the
// operations of the inversion would take if all processors did nothing else and waited for no memory. Then it measures the
// neighbourhoods of a large catalogue; their limit is what the elimination of their systems would take.
func benchEASE(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	fmt.Fprintf(progress, "kernel %s\n", linalg.Kernel())
	rate := linalg.Peak() / 2 * float64(runtime.GOMAXPROCS(0)) // in double precision
	n := float64(easeItems)
	fitted, inverted, err := timeEASE(ctx, progress, synthetic.Shape{Rows: 60_000, Items: easeItems, Positives: 3_000_000, Seed: 1})
	if err != nil {
		return err
	}
	for _, figure := range []struct {
		metric  string
		seconds float64
	}{{"ease_inverse_12k", inverted}, {"ease_fit_12k", fitted}} {
		result := benchResult{Bench: "training", Metric: figure.metric, Value: figure.seconds, Unit: "s"}
		if err := emit(result.against(n*n*n/rate, "the inversion's operations at the peak of all processors")); err != nil {
			return err
		}
	}
	near, _, err := timeEASE(ctx, progress, synthetic.Shape{Rows: 300_000, Items: easeNearItems, Positives: 3_000_000, Seed: 1})
	if err != nil {
		return err
	}
	candidates := float64(ease.Default().Candidates)
	result := benchResult{Bench: "training", Metric: "ease_neighbourhoods_100k", Value: near, Unit: "s"}
	return emit(result.against(easeNearItems*candidates*candidates*candidates/3/rate, "the elimination of its systems at the peak of all processors"))
}

// timeEASE tells how many seconds a fit takes, and of them, where it is of all items, the inversion.
func timeEASE(ctx context.Context, progress io.Writer, shape synthetic.Shape) (fitted, inverted float64, err error) {
	x := synthetic.Interactions(shape)
	runtime.GC() // what it took to make the interactions is not part of the fit
	start, inverting := time.Now(), time.Time{}
	m, err := ease.Fit(ctx, ease.Default(), x, func(share float64) {
		switch {
		case share == 0:
			inverting = time.Now()
		case share == 1 && inverted == 0 && !inverting.IsZero():
			inverted = time.Since(inverting).Seconds()
		}
	})
	if err != nil {
		return 0, 0, err
	}
	fitted = time.Since(start).Seconds()
	fmt.Fprintf(progress, "%d items, %s: %.2f s\n", shape.Items, m.Form(), fitted)
	return fitted, inverted, nil
}
