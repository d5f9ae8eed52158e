package eval

import (
	"context"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// dials is a made-up configuration: the scorer ranks the wanted item better the closer the dials are to their best.
type dials struct{ A, B, C int }

type dialScorer struct{ d dials }

func (dialScorer) Name() string { return "dials" }

// Score puts item 0 at a place that grows with the distance from the best dials, 7, 2 and 5.
func (s dialScorer) Score(dst []model.Scored, _ model.Query, k int) []model.Scored {
	away := abs(s.d.A-7) + abs(s.d.B-2) + abs(s.d.C-5)
	for i := range min(away, k) {
		dst = append(dst, model.Scored{Item: int32(i) + 1})
	}
	if away < k {
		dst = append(dst, model.Scored{Item: 0})
	}
	return dst
}

func abs(n int) int { return max(n, -n) }

func dialSpace(values int) *space[dials] {
	var all []int
	for i := range values {
		all = append(all, i)
	}
	return &space[dials]{
		base: dials{},
		axes: []axis[dials]{
			over("a", func(d *dials) *int { return &d.A }, all...),
			over("b", func(d *dials) *int { return &d.B }, all...),
			over("c", func(d *dials) *int { return &d.C }, all...),
		},
		fit: func(_ context.Context, d dials) (model.Scorer, error) { return dialScorer{d}, nil },
	}
}

func zeros(sessions int) *Test {
	s := &model.Sessions{}
	for range sessions {
		s.Append([]int32{0, 0, 0}, []int64{1, 2, 3})
	}
	return NextItem(s)
}

func TestTuneFindsTheBestOfASmallGrid(t *testing.T) {
	got, report, err := tune(context.Background(), dialSpace(8), zeros(3), tuneOptions{trials: 512, workers: 2, depth: 20})
	if err != nil {
		t.Fatal(err)
	}
	if want := (dials{7, 2, 5}); got != want || report.Value != 1 || report.Trials != 512 {
		t.Errorf("chose %+v with %g in %d trials, want %+v with 1 in 512", got, report.Value, report.Trials, want)
	}
	if report.Examples != 6 || report.Objective != "mean of HR@20 and MRR@20" || len(report.Grid["b"]) != 8 {
		t.Errorf("report %+v", report)
	}
}

func TestTuneNarrowsInALargeGrid(t *testing.T) {
	options := tuneOptions{trials: 320, workers: 2, depth: 20, seed: 3}
	got, report, err := tune(context.Background(), dialSpace(30), zeros(3), options) // 27,000 points
	if err != nil {
		t.Fatal(err)
	}
	if want := (dials{7, 2, 5}); got != want || report.Trials > 320 {
		t.Errorf("chose %+v in %d trials, want %+v", got, report.Trials, want)
	}
	options.workers = 1
	again, _, err := tune(context.Background(), dialSpace(30), zeros(3), options)
	if err != nil || again != got {
		t.Errorf("with one worker: %+v, %v; the choice must not depend on it", again, err)
	}
}
