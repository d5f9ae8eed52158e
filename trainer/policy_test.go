package trainer

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/transitions"
)

// One fit behind the filter answers as a fit with the policy itself would.
func TestFilteredAnswersAsThePolicyDoes(t *testing.T) {
	d := read(t, Config{}, planted(200, 1)...)
	fit := func(policy model.RepeatPolicy) model.Scorer {
		cfg := transitions.Default()
		cfg.Repeats = policy
		m, err := transitions.Fit(cfg, d.log.Sessions, d.log.Vocabulary.Len())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	all := fit(model.RepeatsAllowed)
	items, _ := d.log.Sessions.At(0)
	for _, policy := range model.RepeatPolicies() {
		for _, k := range []int{1, 3, 50} {
			q := model.Query{Items: items}
			want, got := fit(policy).Score(nil, q, k), filtered{all, policy}.Score(nil, q, k)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s, k %d: %v, want %v", policy, k, got, want)
			}
		}
	}
}

// A shop whose visitors go back and forth wants repeats; one whose visitors walk on does not.
func TestPolicyFollowsTheShop(t *testing.T) {
	forward := planted(600, 1)
	back := planted(600, 1)
	for i := range back { // a b c d e becomes a b a b a
		if i%5 > 1 {
			back[i].Items = back[i-2].Items
		}
	}
	for want, events := range map[model.RepeatPolicy][]Interaction{model.RepeatsNone: forward, model.RepeatsNotCurrent: back} {
		d := read(t, Config{}, events...)
		split, _, err := splitForGate(d)
		if err != nil {
			t.Fatal(err)
		}
		p, err := choosePolicies(t.Context(), defaultParams(), split)
		if err != nil {
			t.Fatal(err)
		}
		if p.knn.Repeats != want || p.transitions.Repeats != want {
			t.Errorf("chose %s and %s, want %s", p.knn.Repeats, p.transitions.Repeats, want)
		}
	}
}

func TestNewest(t *testing.T) {
	var s model.Sessions
	for range 4 {
		s.Append([]int32{0, 1, 2}, []int64{1, 2, 3})
	}
	for n, want := range map[int]int{0: 0, 1: 0, 2: 1, 5: 2, 8: 4, 100: 4} {
		if got := newest(&s, n).Len(); got != want {
			t.Errorf("at most %d predictions: %d sessions, want %d", n, got, want)
		}
	}
}
