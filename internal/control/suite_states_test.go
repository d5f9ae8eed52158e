package control

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

// testStates: the last claim has the word for a partition, whatever the one before still says, and what the online store
// shows is known only of a basis that was reported under the last claim but for claims of the same basis.
func testStates(t *testing.T, a, b *Store) {
	ctx := t.Context()
	claim := func(s *Store, basis StateBasis, want PartitionState) PartitionState {
		t.Helper()
		want.StateBasis = basis
		got := must[PartitionState](t)(s.ClaimState(ctx, "events", 4, basis))
		if got != want {
			t.Fatalf("claimed %+v, want %+v", got, want)
		}
		if all := must[map[int32]PartitionState](t)(b.ReportedStates(ctx, "events")); len(all) != 1 || all[4] != want {
			t.Fatalf("%+v stands there, want partition 4 with %+v", all, want)
		}
		return got
	}
	report := func(s *Store, p PartitionState, want error) {
		t.Helper()
		if err := s.ReportState(ctx, "events", 4, p.Claim); !errors.Is(err, want) {
			t.Fatalf("a report under claim %d gave %v, want %v", p.Claim, err, want)
		}
	}
	if all := must[map[int32]PartitionState](t)(a.ReportedStates(ctx, "events")); len(all) != 0 {
		t.Fatalf("%+v before anybody claimed", all)
	}
	report(a, PartitionState{Claim: 0}, ErrClaimEnded)

	old, now := StateBasis{Version: 2, Epoch: 3, Generation: 3}, StateBasis{Version: 1, Epoch: 3, Generation: 3}
	zombie := claim(a, old, PartitionState{Claim: 1})
	report(a, zombie, nil)
	again := claim(a, old, PartitionState{Claim: 2, Shown: true}) // the same state, opened again
	report(a, zombie, ErrClaimEnded)

	owner := claim(b, now, PartitionState{Claim: 3}) // an earlier version: an operator went back
	report(a, again, ErrClaimEnded)
	claim(a, old, PartitionState{Claim: 4}) // nobody knows any more what is shown, although it was this before
	report(b, owner, ErrClaimEnded)
	owner = claim(b, now, PartitionState{Claim: 5})
	report(b, owner, nil)
	report(b, owner, nil)
	for _, other := range []StateBasis{{Version: 1, Epoch: 4, Generation: 3}, {Version: 1, Epoch: 4, Generation: 4}} {
		owner = claim(b, other, PartitionState{Claim: owner.Claim + 1})
		report(b, owner, nil)
	}
	if all := must[map[int32]PartitionState](t)(a.ReportedStates(ctx, "other")); len(all) != 0 {
		t.Fatalf("another topic has %+v", all)
	}
}

// testStateClaimRace: of claims at the same moment each has a number of its own, and one has the word.
func testStateClaimRace(t *testing.T, a, b *Store) {
	const rivals = 8
	claims := make(chan int64, rivals)
	for i := range rivals {
		s := []*Store{a, b}[i%2]
		go func() {
			p, err := s.ClaimState(t.Context(), "events", 1, StateBasis{Version: int32(i)})
			if err != nil {
				t.Error(err)
			}
			claims <- p.Claim
		}()
	}
	got := make(map[int64]bool)
	for range rivals {
		got[<-claims] = true
	}
	if numbers := slices.Sorted(maps.Keys(got)); len(numbers) != rivals || numbers[0] != 1 || numbers[rivals-1] != rivals {
		t.Fatalf("%d rivals have the claims %v", rivals, numbers)
	}
	for claim := range got {
		if err := a.ReportState(t.Context(), "events", 1, claim); errors.Is(err, ErrClaimEnded) != (claim != rivals) {
			t.Errorf("a report under claim %d of %d: %v", claim, rivals, err)
		}
	}
}
