package feature

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

func siteOf(events []*event.Event) *SiteAggregate {
	s := &SiteAggregate{}
	for _, e := range events {
		s.Apply(e)
	}
	return s
}

// sameView compares what two values show, numbers up to rounding: sums of floats depend on their order in the last bits.
func sameView(t *testing.T, what string, a, b any) {
	t.Helper()
	var trees [2]any
	for i, v := range []any{a, b} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &trees[i]); err != nil {
			t.Fatal(err)
		}
	}
	if path := differs("", trees[0], trees[1]); path != "" {
		t.Errorf("%s: views differ at %s", what, path)
	}
}

func differs(path string, a, b any) string {
	switch a := a.(type) {
	case float64:
		if b, ok := b.(float64); ok && near(a, b) {
			return ""
		}
		return path
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return path
		}
		for k := range a {
			if at := differs(path+"/"+k, a[k], b[k]); at != "" {
				return at
			}
		}
		return ""
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return path
		}
		for i := range a {
			if at := differs(fmt.Sprintf("%s/%d", path, i), a[i], b[i]); at != "" {
				return at
			}
		}
		return ""
	default:
		if a != b {
			return path
		}
		return ""
	}
}

// laws checks that merging is commutative to the byte, associative up to rounding, and leaves a value alone that nothing is
// added to; and that the merged parts show what the whole shows.
func laws[T any](t *testing.T, parts [3]func() T, whole T, merge func(T, T), encode func(T) []byte, view func(T) any) {
	t.Helper()
	sum := func(order ...int) T {
		s := parts[order[0]]()
		for _, i := range order[1:] {
			merge(s, parts[i]())
		}
		return s
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
		if string(encode(sum(pair[0], pair[1]))) != string(encode(sum(pair[1], pair[0]))) {
			t.Errorf("merging %d and %d is not commutative", pair[0], pair[1])
		}
	}
	right := parts[0]()
	merge(right, sum(1, 2))
	sameView(t, "associative", view(sum(0, 1, 2)), view(right))
	sameView(t, "parts and whole", view(right), view(whole))
}

func TestItemMergeLaws(t *testing.T) {
	for seed := range uint64(20) {
		events := history(seed, 300)
		var parts [3]ItemAggregate
		whole, empty := &ItemAggregate{}, &ItemAggregate{}
		for i, e := range events {
			e.AnonymousID = fmt.Sprintf("b%d", i%90)
			for j := range e.Items {
				for _, a := range []*ItemAggregate{&parts[i%3], whole} {
					a.Apply(e, &e.Items[j])
					a.Meet(fmt.Sprintf("other%d", (i+j)%MaxPartners/2), e.OccurredAt.UnixMilli())
				}
			}
		}
		copyOf := func(i int) func() *ItemAggregate {
			return func() *ItemAggregate {
				a, err := DecodeItemAggregate(parts[i].Encode(nil))
				if err != nil {
					t.Fatal(err)
				}
				return a
			}
		}
		laws(t, [3]func() *ItemAggregate{copyOf(0), copyOf(1), copyOf(2)}, whole, (*ItemAggregate).Merge,
			func(a *ItemAggregate) []byte { return a.Encode(nil) }, func(a *ItemAggregate) any { return a.View("x") })
		before := string(whole.Encode(nil))
		whole.Merge(&ItemAggregate{})
		empty.Merge(whole)
		if string(whole.Encode(nil)) != before || string(empty.Encode(nil)) != before {
			t.Errorf("seed %d: the empty aggregate is no identity", seed)
		}
	}
}

func TestSiteMergeLaws(t *testing.T) {
	for seed := range uint64(20) {
		events := history(seed, 400)
		var parts [3]SiteAggregate
		whole, empty := &SiteAggregate{}, &SiteAggregate{}
		for i, e := range events {
			parts[i%3].Apply(e)
			whole.Apply(e)
		}
		copyOf := func(i int) func() *SiteAggregate {
			return func() *SiteAggregate {
				s, err := DecodeSiteAggregate(parts[i].Encode(nil))
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
		}
		laws(t, [3]func() *SiteAggregate{copyOf(0), copyOf(1), copyOf(2)}, whole, (*SiteAggregate).Merge,
			func(s *SiteAggregate) []byte { return s.Encode(nil) }, func(s *SiteAggregate) any { return s.View("s") })
		before := string(whole.Encode(nil))
		whole.Merge(&SiteAggregate{})
		empty.Merge(whole)
		if string(whole.Encode(nil)) != before || string(empty.Encode(nil)) != before {
			t.Errorf("seed %d: the empty aggregate is no identity", seed)
		}
		// The ring is exact in any order.
		shuffled := &SiteAggregate{}
		for _, i := range rand.New(rand.NewPCG(seed, 3)).Perm(len(events)) {
			shuffled.Apply(events[i])
		}
		sameView(t, "shuffled", shuffled.View("s"), whole.View("s"))
	}
}
