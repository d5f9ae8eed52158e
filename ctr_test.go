package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/simshop/crowd"
)

const (
	// ctrTruth holds the tastes, which were written down before anything was tuned to them.
	ctrTruth = "internal/simshop/testdata/ctr.json"
	// ctrAim is the share of the way from popularity to the oracle that the home page goes at least.
	ctrAim = 0.6
	// ctrScale makes the small crowd: so many times fewer shoppers and items.
	ctrScale = 4
	// ctrQuickScale makes a crowd that is asked in seconds, and ctrQuickAim what its home page reaches at least: 60.7 % when it was
	// measured. With so few shoppers one seed is ten points above another, but it is always the same.
	ctrQuickScale, ctrQuickAim = 16, 0.5
	// ctrReturns is how often a shopper opens the home page again, a minute later each time.
	ctrReturns = 3
	// ctrResamples are the samples of the bootstrap.
	ctrResamples = 2000
)

// met is how one shopper met the three lists: expected clicks, and clicks drawn.
type met struct {
	events                 int // that it had when it asked
	popular, home, best    float64
	again                  [ctrReturns]float64 // home when it is opened again
	popularN, homeN, bestN int
}

// TestFewShoppers would fail if the home page or the training lost the most of what they know of tastes.
func TestFewShoppers(t *testing.T) {
	measureCTR(t, ctrQuickScale, ctrQuickAim)
}

// TestLongSmallCrowd would fail if the home page used less of what a month of browsing tells about its visitors, or training learnt
// less of it.
func TestLongSmallCrowd(t *testing.T) {
	kafkatest.Long(t)
	measureCTR(t, ctrScale, ctrAim)
}

// TestLongHomeKnowsTastes is the whole crowd.
func TestLongHomeKnowsTastes(t *testing.T) {
	kafkatest.Long(t)
	measureCTR(t, 1, ctrAim)
}

func measureCTR(t *testing.T, scale int, aim float64) {
	t.Helper()
	truth, err := crowd.Read(ctrTruth)
	if err != nil {
		t.Fatal(err)
	}
	shop := newCTRShop(t, truth.Scaled(scale))
	all := shop.meet()
	gap, low, high := gapOf(all)
	sum := total(all)
	n := float64(len(all))
	t.Logf("expected clicks a list of %d: popularity %.3f, home %.3f, oracle %.3f", truth.Clicks.ListLength, sum.popular/n, sum.home/n, sum.best/n)
	t.Logf("clicks drawn:                 popularity %.3f, home %.3f, oracle %.3f", float64(sum.popularN)/n, float64(sum.homeN)/n, float64(sum.bestN)/n)
	t.Logf("home closes %.1f %% of the gap (95 %% interval over %d shoppers: %.1f to %.1f)", 100*gap, len(all), 100*low, 100*high)
	for _, b := range ctrBins(all) {
		t.Logf("%s events: %d shoppers, popularity %.3f, home %.3f, oracle %.3f: %.1f %%", b.name, b.shoppers, b.popular, b.home, b.best, 100*b.gap())
	}
	for i, again := range sum.again {
		t.Logf("opened %d times: home %.3f, %.1f %% of the gap", i+2, again/n, 100*(again-sum.popular)/(sum.best-sum.popular))
	}
	if gap < aim {
		t.Errorf("home closes %.1f %% of the gap between popularity and the oracle, want %.0f %%", 100*gap, 100*aim)
	}
}

// meet shows every shopper the three lists.
func (s *ctrShop) meet() []met {
	popular := idsOf(s.ask("popular", ""))
	rng := rand.New(rand.NewPCG(s.crowd.Truth.Seed, 1))
	look := func(shopper *crowd.Shopper, list []string) (expected float64, drawn int) {
		if len(list) != s.crowd.Truth.Clicks.ListLength {
			s.t.Fatalf("a list of %d items for %s", len(list), shopper.ID)
		}
		chances, err := s.crowd.Clicks(shopper, list)
		s.must(err)
		for _, p := range chances {
			expected += p
			if rng.Float64() < p {
				drawn++
			}
		}
		return expected, drawn
	}
	var all []met
	for _, shopper := range s.crowd.Shoppers {
		m := met{events: s.events[shopper.ID]}
		m.popular, m.popularN = look(shopper, popular)
		m.home, m.homeN = look(shopper, idsOf(s.ask("home", shopper.ID)))
		m.best, m.bestN = look(shopper, s.crowd.Best(shopper))
		all = append(all, m)
	}
	for i := range ctrReturns {
		s.later.Add(int64(time.Minute))
		for n, shopper := range s.crowd.Shoppers {
			all[n].again[i], _ = look(shopper, idsOf(s.ask("home", shopper.ID)))
		}
	}
	return all
}

func total(all []met) (sum met) {
	for _, m := range all {
		sum.popular, sum.home, sum.best = sum.popular+m.popular, sum.home+m.home, sum.best+m.best
		for i := range m.again {
			sum.again[i] += m.again[i]
		}
		sum.popularN, sum.homeN, sum.bestN = sum.popularN+m.popularN, sum.homeN+m.homeN, sum.bestN+m.bestN
	}
	return sum
}

// gapOf is the share of the gap that home closes, with its interval over shoppers.
func gapOf(all []met) (gap, low, high float64) {
	share := func(sum met) float64 { return (sum.home - sum.popular) / (sum.best - sum.popular) }
	rng := rand.New(rand.NewPCG(1, 2))
	drawn, again := make([]float64, ctrResamples), make([]met, len(all))
	for k := range drawn {
		for i := range again {
			again[i] = all[rng.IntN(len(all))]
		}
		drawn[k] = share(total(again))
	}
	slices.Sort(drawn)
	return share(total(all)), drawn[ctrResamples*25/1000], drawn[ctrResamples*975/1000]
}
