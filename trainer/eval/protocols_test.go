package eval

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tastes writes a shop whose visitors keep to items of their own kind, over twenty days.
func tastes(t *testing.T) (events, items string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(2, 0))
	var b, c strings.Builder
	b.WriteString("user_id,item_id,timestamp,device\n")
	c.WriteString("item_id,title,categories\n")
	for day := range 20 {
		for u := range 120 {
			if rng.IntN(3) > 0 && day > 0 {
				continue
			}
			for e := range 3 {
				fmt.Fprintf(&b, "u%d,i%d,%d,%s\n", u, u%4*15+rng.IntN(15), 1_600_000_000+day*86_400+u*100+e, []string{"mobile", "desktop"}[u%2])
			}
		}
	}
	for i := range 60 {
		fmt.Fprintf(&c, "i%d,Item %d,kind %d\n", i, i, i/15)
	}
	dir := t.TempDir()
	events, items = filepath.Join(dir, "events.csv"), filepath.Join(dir, "items.csv")
	for path, text := range map[string]string{events: b.String(), items: c.String()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return events, items
}

func TestEveryProtocolMeasuresAndCompares(t *testing.T) {
	events, items := tastes(t)
	for _, protocol := range Protocols() {
		c := Config{
			Data: events, Items: items, Protocol: protocol, Baseline: ModelPopularity, Models: []string{ModelPopularity, ModelVMIS}, Tune: true, Trials: 6, Seed: 5,
		}
		r, err := Run(context.Background(), c)
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		draws := protocol == ProtocolRandomHoldout || protocol == ProtocolStrongGeneralization
		if draws != (len(r.Seeds) == 3) || r.Examples == 0 || r.TrainUsers == 0 || r.Groups == 0 {
			t.Errorf("%s: seeds %v, n = %d of %d %ss", protocol, r.Seeds, r.Examples, r.Groups, r.Unit)
		}
		popular, near := r.Results[0], r.Results[1]
		if popular.Versus != nil || near.Versus == nil {
			t.Fatalf("%s: compared %v and %v with popularity", protocol, popular.Versus, near.Versus)
		}
		diff, ours, theirs := near.Versus.Metrics[r.PrimaryMetric], near.Metrics[r.PrimaryMetric], popular.Metrics[r.PrimaryMetric]
		if d := diff.Value - (ours.Value - theirs.Value); d > 1e-9 || d < -1e-9 {
			t.Errorf("%s: %s differs by %g, but is %g and %g", protocol, r.PrimaryMetric, diff.Value, ours.Value, theirs.Value)
		}
		if near.Tuning == nil || !strings.Contains(near.Tuning.Objective, "@") {
			t.Errorf("%s: tuned by %+v", protocol, near.Tuning)
		}
		kinds := map[string]int{}
		for _, s := range near.Slices {
			kinds[s.Kind] += s.Examples
			if s.Small != (s.Examples < SmallSlice) || s.Groups > r.Groups*max(len(r.Seeds), 1) {
				t.Errorf("%s: slice %+v", protocol, s)
			}
		}
		if kinds[sliceVisitor] != r.Examples || kinds[sliceDevice] != r.Examples || kinds[sliceCategory] == 0 || kinds[sliceItem] < r.Examples {
			t.Errorf("%s: slices of %v predictions, of %d in all", protocol, kinds, r.Examples)
		}
		again, err := Run(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := figures(t, near), figures(t, again.Results[1]); a != b {
			t.Errorf("%s: the same seed gave %s and %s", protocol, a, b)
		}
	}
}

// The figure of several seeds is the mean over them, when they ask as many questions.
func TestSeedsAreListedAndMeant(t *testing.T) {
	events, _ := tastes(t)
	r, err := Run(context.Background(), Config{Data: events, Protocol: ProtocolRandomHoldout, Models: []string{ModelPopularity}, Seeds: 4, Seed: 9})
	if err != nil {
		t.Fatal(err)
	}
	result := r.Results[0]
	mean, n := 0.0, 0
	for i, s := range result.Seeds {
		if s.Seed != uint64(9+i) || s.Params == nil {
			t.Errorf("seed %d is %+v", i, s)
		}
		mean += s.Metrics["NDCG@10"] / 4
		n += s.Examples
	}
	if got := result.Metrics["NDCG@10"].Value; len(result.Seeds) != 4 || n != r.Examples || got-mean > 1e-9 || mean-got > 1e-9 {
		t.Errorf("NDCG %g, the mean of the %d seeds is %g; %d predictions of %d", got, len(result.Seeds), mean, n, r.Examples)
	}
}

// What a training chose is reported as an evaluation of the same data would.
func TestDescribeReportsWhatIsChosenAlready(t *testing.T) {
	events, items := tastes(t)
	c := Config{Data: events, Items: items, Models: []string{ModelPopularity, ModelVMIS, ModelBlend}, K: []int{10}, Baseline: ModelPopularity, Seed: 4}
	want, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	log, err := Load(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	d := split(t, log, Config{Seed: c.Seed})
	chosen, err := Choose(context.Background(), d, c.Models, ChooseOptions{Depth: 10, Seed: c.Seed})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := Describe(context.Background(), Config{Data: events, K: c.K, Baseline: c.Baseline, Seed: c.Seed}, log, d, chosen)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Results {
		if a, b := figures(t, got.Results[i]), figures(t, want.Results[i]); a != b {
			t.Errorf("%s: %s, want %s", want.Results[i].Model, a, b)
		}
	}
	if got.Examples != want.Examples || got.Split != want.Split || got.Results[1].Versus.Metrics["MRR@10"].Value != want.Results[1].Versus.Metrics["MRR@10"].Value {
		t.Errorf("%+v, want %+v", got, want)
	}
}
