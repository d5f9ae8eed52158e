package eval

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

// tiny is a scale so small that only the nearest position counts.
const tiny = 1e-5

// The day is the unit of the half-lives below.
const day = 24 * time.Hour

func popularitySpace(train *Part, _ settled) family[popularity.Config] {
	type C = popularity.Config
	f := family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, cheap: true,
		space: space[C]{base: popularity.Default(), axes: []axis[C]{
			over("half_life_ns", func(c *C) *time.Duration { return &c.HalfLife }, 0, time.Hour, day/4, day, 3*day, 7*day, 14*day, 30*day),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: rankOnce,
	}
	if train.Sessions.Segments != nil {
		f.axes = append(f.axes, over("segment_prior", func(c *C) *float64 { return &c.SegmentPrior }, 0, 1000))
	}
	return f
}

// rankOnce counts once for all repeat policies, which decide only what is passed over.
func rankOnce(train *Part) (fitting[popularity.Config], error) {
	var mu sync.Mutex // guards ranked
	ranked := map[popularity.Config]*popularity.Model{}
	return func(_ context.Context, c popularity.Config) (model.Scorer, error) {
		policy := c.Repeats
		c.Repeats = model.RepeatsAllowed
		mu.Lock()
		defer mu.Unlock()
		if ranked[c] == nil {
			m, err := popularity.Fit(c, train.Sessions, train.NumItems, train.Categories())
			if err != nil {
				return nil, err
			}
			ranked[c] = m
		}
		return ranked[c].With(policy), nil
	}, nil
}

func transitionsSpace(*Part, settled) family[transitions.Config] {
	type C = transitions.Config
	return family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, share: 8, // every trial fits anew, which costs as much as thousands of queries
		space: space[C]{base: transitions.Default(), axes: []axis[C]{
			over("gap_decay", func(c *C) *float64 { return &c.GapDecay }, 0.4, 0.6, 0.8, 0.9),
			over("backward", func(c *C) *float64 { return &c.Backward }, 0, 0.25, 0.5, 1),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.2, 0.35, 0.5, 0.7, 0.85),
			over("half_life_ns", func(c *C) *time.Duration { return &c.HalfLife }, 0, 3*day, 7*day, 14*day, 30*day, 90*day),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *Part) (fitting[C], error) {
			return func(_ context.Context, c C) (model.Scorer, error) {
				return transitions.Fit(c, train.Sessions, train.NumItems)
			}, nil
		},
	}
}

// ialsSpace follows the ranges of the method's second look (Rendle et al. 2022); more dimensions cost a fit in proportion.
func ialsSpace(train *Part, _ settled) family[ials.Config] {
	type C = ials.Config
	return family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, wide: true, share: 16,
		space: space[C]{base: ials.Default(train.NumItems), axes: []axis[C]{
			over("dimensions", func(c *C) *int { return &c.Dimensions }, 32, 64, 128),
			over("unobserved", func(c *C) *float64 { return &c.Unobserved }, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
			over("regularization", func(c *C) *float64 { return &c.Regularization }, 0.001, 0.003, 0.01, 0.03, 0.1),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.5, 0.7, 0.85, 0.95, 1),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *Part) (fitting[C], error) {
			met, err := train.Interactions()
			return func(ctx context.Context, c C) (model.Scorer, error) { return ials.Fit(ctx, c, met) }, err
		},
	}
}

// easeSpace begins at what does well on catalogues of any kind; a fit costs the cube of the items, so few of its settings are
// tried, one at a time, because one takes all processors.
func easeSpace(train *Part, _ settled) family[ease.Config] {
	type C = ease.Config
	return family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, wide: true, share: easeShare(train.NumItems),
		space: space[C]{base: ease.Default(), axes: []axis[C]{
			over("l2", func(c *C) *float64 { return &c.L2 }, 3, 10, 30, 100, 300, 1000),
			over("l2_degree", func(c *C) *float64 { return &c.L2Degree }, 0, 0.5, 0.75, 1),
			over("visitor_exponent", func(c *C) *float64 { return &c.VisitorExponent }, 0, 0.25, 0.5, 0.75),
			over("diagonal_exponent", func(c *C) *float64 { return &c.DiagonalExponent }, 0.5, 0.75, 1),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.5, 0.7, 0.85, 0.95, 1),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *Part) (fitting[C], error) {
			met, err := train.Interactions()
			return func(ctx context.Context, c C) (model.Scorer, error) { return ease.Fit(ctx, c, met, nil) }, err
		},
	}
}

// easeShare keeps the search of a large catalogue to a few fits of a minute.
func easeShare(items int) int {
	if items > 3000 {
		return 80
	}
	return 16
}

func basketSpace(*Part, settled) family[basket.Config] {
	type C = basket.Config
	return family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, share: 4,
		space: space[C]{base: basket.Default(), axes: []axis[C]{
			over("evidence", func(c *C) *float64 { return &c.Evidence }, 0, 10, 30, 100, 300),
			over("lift", func(c *C) *float64 { return &c.Lift }, 0, 0.15, 0.3, 0.5, 0.7, 1),
			over("large_basket", func(c *C) *float64 { return &c.LargeBasket }, 0, 0.5, 1),
			over("half_life_ns", func(c *C) *time.Duration { return &c.HalfLife }, 0, 14*day, 30*day, 90*day, 180*day),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.5, 0.7, 0.9, 1),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *Part) (fitting[C], error) {
			return func(ctx context.Context, c C) (model.Scorer, error) {
				return basket.Fit(ctx, c, train.Baskets(), train.NumItems)
			}, nil
		},
	}
}

func contentSpace(*Part, settled) family[content.Config] {
	type C = content.Config
	return family[C]{
		repeats: func(c *C) *model.RepeatPolicy { return &c.Repeats }, share: 2,
		space: space[C]{base: content.Default(), axes: []axis[C]{
			over("title", func(c *C) *float64 { return &c.Title }, 0.3, 1, 2),
			over("categories", func(c *C) *float64 { return &c.Categories }, 0.3, 0.8, 2),
			over("pieces", func(c *C) *float64 { return &c.Pieces }, 0, 0.25, 0.5, 1),
			over("history_decay", func(c *C) *float64 { return &c.HistoryDecay }, 0.5, 0.7, 0.85, 1),
			over("last_items", func(c *C) *int { return &c.LastItems }, 1, 3, 6, 20),
			over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
		}},
		prepare: func(train *Part) (fitting[C], error) {
			items := make([]*event.CatalogueItem, train.NumItems)
			for i := range train.Items {
				items[i] = &train.Items[i]
			}
			return func(ctx context.Context, c C) (model.Scorer, error) { return content.Fit(ctx, c, items) }, nil
		},
	}
}

func vmisSpace(*Part, settled) family[vmisknn.Config] {
	type C = vmisknn.Config
	return family[C]{
		repeats: knnRepeats,
		space: space[C]{base: vmisknn.Default(vmisknn.VMIS), axes: append(knnAxes(),
			over("decay", func(c *C) *vmisknn.Decay { return &c.Decay }, vmisknn.Decays()...),
		)},
		prepare: shareIndex,
	}
}

// vstanSpace scales the position weights by the mean session length, as their authors do.
func vstanSpace(train *Part, _ settled) family[vmisknn.Config] {
	type C = vmisknn.Config
	length := float64(train.Sessions.Events()) / float64(max(train.Sessions.Len(), 1))
	scales := []float64{tiny, length / 8, length / 4, length / 2, length, 2 * length}
	return family[C]{
		repeats: knnRepeats,
		space: space[C]{base: vmisknn.Default(vmisknn.VSTAN), axes: append(knnAxes(),
			over("spw", func(c *C) *float64 { return &c.SPW }, scales...),
			over("ipw", func(c *C) *float64 { return &c.IPW }, scales...),
			over("inh", func(c *C) *float64 { return &c.INH }, scales...),
			over("snh_days", func(c *C) *float64 { return &c.SNH }, 2.5, 5, 10, 20, 40, 80, 100),
		)},
		prepare: shareIndex,
	}
}

func knnRepeats(c *vmisknn.Config) *model.RepeatPolicy { return &c.Repeats }

func knnAxes() []axis[vmisknn.Config] {
	type C = vmisknn.Config
	return []axis[C]{
		over("m", func(c *C) *int { return &c.M }, 100, 250, 500, 1000, 1500, 2500),
		over("k", func(c *C) *int { return &c.K }, 50, 100, 200, 500, 1000, 2000),
		over("last_items", func(c *C) *int { return &c.LastItems }, 1, 2, 3, 5, 10, 20),
		over("idf_weight", func(c *C) *float64 { return &c.IDFWeight }, 0, 0.5, 1, 2, 5, 10),
		over(axisRepeats, func(c *C) *model.RepeatPolicy { return &c.Repeats }, model.RepeatPolicies()...),
	}
}

// shareIndex builds one index for all settings.
func shareIndex(train *Part) (fitting[vmisknn.Config], error) {
	index, err := vmisknn.BuildIndex(train.Sessions, train.NumItems)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, c vmisknn.Config) (model.Scorer, error) { return vmisknn.New(c, index) }, nil
}
