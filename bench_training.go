package main

import (
	"context"
	"fmt"
	"io"
)

// benchTraining measures what the nightly training and its models cost, on synthetic data of the size of a busy shop.
func benchTraining(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	for _, part := range []struct {
		name string
		run  func(ctx context.Context, progress io.Writer, emit func(benchResult) error) error
	}{
		{"iALS", benchIALS},
		{"iALS queries", benchIALSQuery},
		{"session kNN", benchSessionKNN},
		{"EASE", benchEASE},
	} {
		fmt.Fprintf(progress, "%s...\n", part.name)
		if err := part.run(ctx, progress, emit); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}
