package eval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
)

// hundred has a session of three events for each of a hundred times.
func hundred() *Test {
	all := &model.Sessions{}
	for i := range int64(100) {
		all.Append([]int32{1, 2, 3}, []int64{i, i, i})
	}
	return NextItem(all)
}

// asked returns the times of all queries of a test.
func asked(t *Test) []int64 {
	var out []int64
	for g := range t.Groups() {
		for c := range t.Group(g) {
			out = append(out, c.Query.Now.UnixMilli())
		}
	}
	return out
}

func TestSampleDrawsWholeGroupsWithinItsBound(t *testing.T) {
	all := hundred()
	got := all.sample(50, rand.New(rand.NewPCG(1, 1)))
	if got.Groups() != 25 || got.Len() != 50 {
		t.Fatalf("%d sessions of %d cases, want 25 of 50", got.Groups(), got.Len())
	}
	times := asked(got)
	for i := 2; i < len(times); i += 2 {
		if times[i] <= times[i-2] {
			t.Errorf("session %d is out of order or drawn twice", i/2)
		}
	}
	if whole := all.sample(200, rand.New(rand.NewPCG(1, 1))); whole != all {
		t.Error("a part that fits was sampled")
	}
}

func TestNewestGroups(t *testing.T) {
	s := &model.Sessions{}
	for at := range int64(4) {
		s.Append([]int32{0, 1, 2}, []int64{at, at, at})
	}
	for n, want := range map[int][]int64{0: {3, 3}, 1: {3, 3}, 2: {3, 3}, 5: {2, 2, 3, 3}, 8: {0, 0, 1, 1, 2, 2, 3, 3}, 100: {0, 0, 1, 1, 2, 2, 3, 3}} {
		if got := asked(NextItem(s).Newest(n)); !slices.Equal(got, want) {
			t.Errorf("at most %d cases: asked at %v, want %v", n, got, want)
		}
	}
}

// A session that never ends is no reason to measure on nothing, or on nothing else.
func TestOneEndlessGroupDoesNotPushOutTheOthers(t *testing.T) {
	s := &model.Sessions{}
	for at := range int64(3) {
		s.Append([]int32{0, 1, 2}, []int64{at, at, at})
	}
	s.Append(make([]int32, 40), make([]int64, 40))
	all := NextItem(s)
	if got := asked(all.Newest(10)); !slices.Equal(got, []int64{0, 0, 1, 1, 2, 2}) {
		t.Errorf("the newest ask at %v, want all short sessions", got)
	}
	for seed := range uint64(20) {
		if got := all.sample(10, rand.New(rand.NewPCG(seed, 1))); got.Len() != 6 {
			t.Errorf("a sample of at most 10 has %d cases, want those of the 3 short sessions", got.Len())
		}
	}
	alone := all.Pick([]int{3})
	if newest, sample := alone.Newest(10), alone.sample(10, rand.New(rand.NewPCG(1, 1))); newest.Len() != 39 || sample.Len() != 39 {
		t.Errorf("of one endless session %d are the newest and %d a sample, want it whole", newest.Len(), sample.Len())
	}
}

// A part of a part is still made of its own groups.
func TestPickOfAPickAndAfter(t *testing.T) {
	got := hundred().Pick([]int{7, 3, 9}).Pick([]int{2, 0})
	if want := []int64{9, 9, 7, 7}; !slices.Equal(asked(got), want) || got.Len() != 4 || got.Groups() != 2 {
		t.Errorf("asked at %v, want %v", asked(got), want)
	}
	if later := asked(hundred().After(97)); !slices.Equal(later, []int64{98, 98, 99, 99}) {
		t.Errorf("asked at %v, want only after 97", later)
	}
}

func TestHitsOfManyWanted(t *testing.T) {
	wanted := []int32{-1}
	for i := range int32(3 * fewWanted) {
		wanted = append(wanted, 2*i)
	}
	answer := list(1, 4, 6, -1, 95, 94)
	for _, few := range [][]int32{wanted, {4, -1, 94, 6}} {
		if got := appendHits(nil, answer, few); !slices.Equal(got, []int{2, 3, 6}) {
			t.Errorf("hits at %v of %d wanted, want 2, 3, 6: an unknown item is never hit", got, len(few))
		}
	}
}
