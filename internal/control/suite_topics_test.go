package control

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func testEpochs(t *testing.T, a, b *Store) {
	ctx := t.Context()
	if _, ok, err := a.TopicEpoch(ctx, "events"); ok || err != nil {
		t.Fatalf("an unknown topic: %v, %v", ok, err)
	}
	if e := must[TopicEpoch](t)(a.EnsureEpoch(ctx, "events", 16, true)); e.Epoch != 1 || e.Partitions != 16 {
		t.Fatalf("the first epoch is %+v", e)
	}
	if e := must[TopicEpoch](t)(b.EnsureEpoch(ctx, "events", 16, false)); e.Epoch != 1 {
		t.Fatalf("a restart opened epoch %d", e.Epoch)
	}
	_, err := b.EnsureEpoch(ctx, "events", 32, false)
	var changed *PartitionsChangedError
	if !errors.As(err, &changed) || changed.Known != 16 || changed.Seen != 32 || !errors.Is(err, ErrPartitionsChanged) {
		t.Fatalf("32 partitions gave %v", err)
	}
	for _, created := range []bool{true, false} { // the second start finds the topic, but its log is still another one
		if _, err := a.EnsureEpoch(ctx, "events", 16, created); !errors.Is(err, ErrTopicRecreated) {
			t.Fatalf("a recreated topic gave %v", err)
		}
	}
	if e := must[TopicEpoch](t)(a.AdoptTopic(ctx, "events", 32)); e.Epoch != 2 || e.Partitions != 32 {
		t.Fatalf("adopted as %+v", e)
	}
	if e := must[TopicEpoch](t)(b.EnsureEpoch(ctx, "events", 32, false)); e.Epoch != 2 {
		t.Fatalf("after adoption the epoch is %d", e.Epoch)
	}
	if _, err := a.AdoptTopic(ctx, "events", 0); err == nil {
		t.Fatal("adopted a topic without partitions")
	}
}

// testEpochRace lets many starts meet: of those that find the topic recreated and those that adopt it, each takes effect
// whole, so that epochs count exactly the adoptions.
func testEpochRace(t *testing.T, a, b *Store) {
	const starts, adoptions = 12, 6
	ctx := t.Context()
	errs := make(chan error, starts+adoptions)
	for i := range starts {
		s := []*Store{a, b}[i%2]
		go func() {
			e, err := s.EnsureEpoch(ctx, "fresh", 16, i%4 == 0)
			if err == nil && e.Epoch != 1 || err != nil && !errors.Is(err, ErrTopicRecreated) {
				errs <- fmt.Errorf("start %d: %+v, %w", i, e, err)
				return
			}
			errs <- nil
		}()
	}
	for i := range adoptions {
		s := []*Store{a, b}[i%2]
		go func() {
			_, err := s.AdoptTopic(ctx, "adopted", 16)
			errs <- err
		}()
	}
	for range starts + adoptions {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if e, _, err := a.TopicEpoch(ctx, "adopted"); err != nil || e.Epoch != adoptions {
		t.Errorf("%d adoptions gave %+v, %v", adoptions, e, err)
	}
}

// testRebuilds: every request counts, whichever process makes it.
func testRebuilds(t *testing.T, a, b *Store) {
	ctx := t.Context()
	if g := must[int64](t)(a.WantedRebuild(ctx, "events")); g != 0 {
		t.Fatalf("generation %d is wanted before anybody asked", g)
	}
	for want, s := range []*Store{a, b, a} {
		if g := must[int64](t)(s.RequestRebuild(ctx, "events")); g != int64(want)+1 {
			t.Fatalf("request %d gave generation %d", want+1, g)
		}
	}
	if g := must[int64](t)(b.WantedRebuild(ctx, "events")); g != 3 {
		t.Fatalf("generation %d is wanted after three requests", g)
	}
	if g := must[int64](t)(b.WantedRebuild(ctx, "other")); g != 0 {
		t.Fatalf("another topic wants generation %d", g)
	}
}

// testGrows: a grow goes through its steps in order whoever takes them, a step taken twice changes nothing, and the door is
// closed until the end.
func testGrows(t *testing.T, a, b *Store) {
	ctx := t.Context()
	events, features := "millrace.events", "millrace.features"
	for _, topic := range []string{events, features} {
		must[TopicEpoch](t)(a.EnsureEpoch(ctx, topic, 4, true))
	}
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	expect := func(step GrowStep, epoch int64, partitions int32) {
		t.Helper()
		for name, s := range map[string]*Store{"one": a, "other": b} {
			grows := must[[]Grow](t)(s.Grows(ctx))
			if (step == "") != (len(grows) == 0) || len(grows) == 1 && (grows[0].Step != step || grows[0].Topic != events || grows[0].Partitions != 6 || grows[0].Age < 0 || grows[0].Age > time.Hour) {
				t.Fatalf("%s process sees %+v, want step %q", name, grows, step)
			}
			for _, topic := range []string{events, features} {
				if e, _, err := s.TopicEpoch(ctx, topic); err != nil || e.Epoch != epoch || e.Partitions != partitions {
					t.Fatalf("%s process sees %+v (%v), want epoch %d with %d partitions", name, e, err, epoch, partitions)
				}
			}
		}
		if in := must[Intake](t)(a.Intake(ctx)); in.Closed != (step != "") {
			t.Fatalf("at step %q the intake is %+v", step, in)
		}
	}
	if in := must[Intake](t)(a.Intake(ctx)); in.Closed || in.Partitions != 4 {
		t.Fatalf("the intake is %+v before any grow", in)
	}
	fail(a.StartGrow(ctx, events, 4, GrowClosing)) // it has them
	expect("", 1, 4)
	for _, partitions := range []int32{0, 3} {
		if err := a.StartGrow(ctx, events, partitions, GrowClosing); err == nil {
			t.Fatalf("a topic of 4 partitions grows to %d", partitions)
		}
	}
	fail(a.StartGrow(ctx, events, 6, GrowClosing))
	fail(b.OpenGrownEpoch(ctx, events, features)) // too early
	expect(GrowClosing, 1, 4)
	if err := b.StartGrow(ctx, events, 8, GrowClosing); !errors.Is(err, ErrGrowing) {
		t.Fatalf("a second grow to another count: %v", err)
	}
	for range 2 {
		fail(b.RaiseGrow(ctx, events))
		fail(b.StartGrow(ctx, events, 6, GrowClosing))
		expect(GrowRaising, 1, 4)
	}
	for range 2 {
		fail(b.OpenGrownEpoch(ctx, events, features))
		expect(GrowRebuilding, 2, 6)
	}
	fail(a.FinishGrow(ctx, events))
	expect("", 2, 6)
	if in := must[Intake](t)(a.Intake(ctx)); in.Partitions != 6 {
		t.Fatalf("the open intake has %d partitions after the grow", in.Partitions)
	}
	fail(a.StartGrow(ctx, events, 8, GrowClosing))
	must[TopicEpoch](t)(a.AdoptTopic(ctx, events, 8))
	if grows := must[[]Grow](t)(b.Grows(ctx)); len(grows) != 0 {
		t.Fatalf("an adopted topic still grows: %+v", grows)
	}
}
