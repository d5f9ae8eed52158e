package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/erasure"
)

func useKey(t *testing.T, stores ...*Store) erasure.Key {
	t.Helper()
	key := erasure.NewKey()
	for _, s := range stores {
		if err := s.UseErasureKey(t.Context(), &key); err != nil {
			t.Fatal(err)
		}
	}
	return key
}

// testErasures walks one erasure through its steps, as seen by the process that does it and by another.
func testErasures(t *testing.T, a, b *Store) {
	ctx := t.Context()
	key := useKey(t, a, b)
	if l := must[*erasure.Ledger](t)(b.Ledger(ctx)); l != nil {
		t.Fatalf("a ledger of nobody has %d entries", len(l.Entries()))
	}
	e := must[Erasure](t)(a.RequestErasure(ctx, erasure.Who{Site: "shop", User: "anna"}))
	row := erasure.Row{Site: "shop", User: "anna", At: e.Until.UnixMilli()}
	for name, s := range map[string]*Store{"requester": a, "other process": b} {
		s.erased.drop() // CacheAge passes in the other process
		if !must[*erasure.Ledger](t)(s.Ledger(ctx)).Covers(row) || !must[*erasure.Ledger](t)(s.Forgotten(ctx)).Covers(row) {
			t.Fatalf("%s does not know who was erased", name)
		}
	}
	if got := must[[]Erasure](t)(b.UnfinishedErasures(ctx)); len(got) != 1 || got[0].ID != e.ID || got[0].Step != ErasureResolving {
		t.Fatalf("unfinished: %+v", got)
	}

	later := e.Until.Add(3 * time.Second)
	linked := erasure.Entry{Site: "shop", Kind: erasure.KindLinked, Hash: key.Hash(erasure.KindLinked, "shop", "browser"), Until: later, Erasure: e.ID}
	for _, from := range []ErasureStep{ErasureResolving, ErasureRebuilding} { // a crash in between resolves again
		if err := a.ResolveErasure(ctx, e.ID, from, later, []erasure.Entry{linked}); err != nil {
			t.Fatal(err)
		}
	}
	ledger := must[*erasure.Ledger](t)(b.Ledger(ctx))
	if len(ledger.Entries()) != 2 {
		t.Fatalf("%d entries after resolving twice, want 2", len(ledger.Entries()))
	}
	row.At = later.UnixMilli() // the person was seen after the request, before it was resolved
	if !ledger.Covers(row) || !ledger.Covers(erasure.Row{Site: "shop", Browser: "browser", At: row.At}) {
		t.Fatal("the ledger does not cover what was resolved")
	}
	if err := a.AwaitErasedStates(ctx, e.ID, 7); err != nil {
		t.Fatal(err)
	}
	if err := a.TroubleErasure(ctx, e.ID, "no disk"); err != nil {
		t.Fatal(err)
	}
	if got := must[Erasure](t)(b.Erasure(ctx, "shop", e.ID)); got.Generation != 7 || got.Trouble != "no disk" || got.Step != ErasureRebuilding || !got.Until.Equal(later) {
		t.Fatalf("read %+v", got)
	}
	if err := a.EnterErasureStep(ctx, e.ID, ErasureResolving, ErasureRewriting); !errors.Is(err, ErrErasureMoved) {
		t.Fatalf("a step was entered from another than it was in: %v", err)
	}
	if err := a.EnterErasureStep(ctx, e.ID, ErasureRebuilding, ErasureRewriting); err != nil {
		t.Fatal(err)
	}
	b.erased.drop()
	if must[*erasure.Ledger](t)(b.Forgotten(ctx)).Covers(row) {
		t.Fatal("the online store knows nothing of the person any more, and somebody new is refused still")
	}
	if err := a.CertifyErasure(ctx, e.ID, map[string]int{"rows": 3}, true); !errors.Is(err, ErrErasureMoved) {
		t.Fatalf("an erasure ended that was not proved: %v", err)
	}
	if err := a.EnterErasureStep(ctx, e.ID, ErasureRewriting, ErasureProving); err != nil {
		t.Fatal(err)
	}
	if err := a.CertifyErasure(ctx, e.ID, map[string]int{"rows": 3}, true); err != nil {
		t.Fatal(err)
	}
	got := must[Erasure](t)(b.Erasure(ctx, "shop", e.ID))
	if got.Step != ErasureDone || got.FinishedAt.IsZero() || string(got.Certificate) != `{"rows":3}` || got.Trouble != "" {
		t.Fatalf("read %+v", got)
	}
	if left := must[[]Erasure](t)(b.UnfinishedErasures(ctx)); len(left) != 0 {
		t.Fatalf("unfinished: %+v", left)
	}
	if _, err := b.Erasure(ctx, "other", e.ID); !errors.Is(err, ErrUnknownErasure) {
		t.Fatalf("another site reads the erasure: %v", err)
	}
	if !must[*erasure.Ledger](t)(b.Ledger(ctx)).Covers(row) {
		t.Fatal("a finished erasure filters nothing any more")
	}
	late := key.Hash(erasure.KindLinked, "shop", "tablet")
	for range 2 {
		if err := b.LinkErased(ctx, e.ID, erasure.KindLinked, late); err != nil {
			t.Fatal(err)
		}
	}
	if got := must[Erasure](t)(a.Erasure(ctx, "shop", e.ID)); got.Step != ErasureResolving || got.Generation != 0 || !got.FinishedAt.IsZero() {
		t.Fatalf("after a late link: %+v", got)
	}
	if ledger := must[*erasure.Ledger](t)(a.Ledger(ctx)); len(ledger.Entries()) != 3 || !ledger.Covers(erasure.Row{Site: "shop", Browser: "tablet", At: later.UnixMilli()}) {
		t.Fatalf("the ledger has %d entries", len(ledger.Entries()))
	}
	if err := a.EnterErasureStep(ctx, e.ID, ErasureResolving, ErasureRewriting); err != nil {
		t.Fatal(err)
	}
	if err := b.LinkErased(ctx, e.ID, erasure.KindLinked, late); err != nil {
		t.Fatal(err)
	}
	if got := must[Erasure](t)(a.Erasure(ctx, "shop", e.ID)); got.Step != ErasureRewriting {
		t.Fatalf("a link that is known began the erasure again: %+v", got)
	}
}

// testErasureKey refuses to go on with a key that would filter nothing.
func testErasureKey(t *testing.T, a, b *Store) {
	ctx := t.Context()
	if _, err := a.RequestErasure(ctx, erasure.Who{Site: "shop", User: "anna"}); !errors.Is(err, ErrNoErasureKey) {
		t.Fatalf("without a key: %v", err)
	}
	first, other := useKey(t, a), useKey(t, b)
	if _, err := a.RequestErasure(ctx, erasure.Who{Site: "shop", User: "anna"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RequestErasure(ctx, erasure.Who{Site: "shop", User: "bert"}); !errors.Is(err, ErrOtherErasureKey) {
		t.Fatalf("a second key made entries: %v", err)
	}
	if got := must[[]Erasure](t)(a.Erasures(ctx, "")); len(got) != 1 {
		t.Fatalf("the refused request left %d erasures", len(got))
	}
	if _, err := b.Ledger(ctx); !errors.Is(err, ErrOtherErasureKey) {
		t.Fatalf("a ledger was read with the wrong key: %v", err)
	}
	if err := b.UseErasureKey(ctx, &other); !errors.Is(err, ErrOtherErasureKey) {
		t.Fatalf("the wrong key was taken: %v", err)
	}
	if err := b.UseErasureKey(ctx, nil); !errors.Is(err, ErrNoErasureKey) {
		t.Fatalf("no key was taken although people were erased: %v", err)
	}
	if err := b.UseErasureKey(ctx, &first); err != nil {
		t.Fatal(err)
	}
	if _, err := a.RequestErasure(ctx, erasure.Who{Site: "Shop!", User: "anna"}); err == nil {
		t.Fatal("a site that cannot be was taken")
	}
}

// testErasureRace requests many erasures from two processes at once: none is lost, and the sequence counts each.
func testErasureRace(t *testing.T, a, b *Store) {
	key := useKey(t, a, b)
	const each = 10
	all, ctx := errgroup.WithContext(t.Context())
	for i, s := range []*Store{a, b} {
		all.Go(func() error {
			for n := range each {
				if _, err := s.RequestErasure(ctx, erasure.Who{Site: "shop", User: fmt.Sprintf("user-%d-%d", i, n)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	ledger := must[*erasure.Ledger](t)(a.Ledger(context.WithoutCancel(ctx)))
	if ledger.Sequence() != 2*each || len(ledger.Entries()) != 2*each {
		t.Fatalf("sequence %d of %d entries, want %d", ledger.Sequence(), len(ledger.Entries()), 2*each)
	}
	for i := range 2 {
		for n := range each {
			want := key.Hash(erasure.KindUser, "shop", fmt.Sprintf("user-%d-%d", i, n))
			if !slices.ContainsFunc(ledger.Entries(), func(e erasure.Entry) bool { return e.Hash == want }) {
				t.Fatalf("user-%d-%d is missing", i, n)
			}
		}
	}
}

// A model is not reproducible once rows that it was trained on are gone from the lake: not by an erasure that found none there,
// that has not come to the lake yet, or that was over before.
func TestNotReproducibleSince(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	held := func(rows int) json.RawMessage {
		return fmt.Appendf(nil, `{"before":{"lake events":%d,"states":9}}`, rows)
	}
	gone := Erasure{ID: "gone", Step: ErasureDone, Certificate: held(3), FinishedAt: noon}
	for _, c := range []struct {
		name     string
		erasures []Erasure
		trained  time.Time
		want     string
	}{
		{"trained before", []Erasure{gone}, noon.Add(-time.Hour), "gone"},
		{"trained after", []Erasure{gone}, noon.Add(time.Hour), ""},
		{"nothing was in the lake", []Erasure{{ID: "x", Step: ErasureDone, Certificate: held(0), FinishedAt: noon}}, noon.Add(-time.Hour), ""},
		{"not looked yet", []Erasure{{ID: "x", Step: ErasureResolving}}, noon.Add(-time.Hour), ""},
		{"the lake is still whole", []Erasure{{ID: "x", Step: ErasureRewriting, Certificate: held(3), UpdatedAt: noon}}, noon.Add(-time.Hour), ""},
		{"the lake is done, the logs are not", []Erasure{{ID: "x", Step: ErasureTruncating, Certificate: held(3), UpdatedAt: noon}}, noon.Add(-time.Hour), "x"},
		{"the first of several", []Erasure{gone, {ID: "later", Step: ErasureDone, Certificate: held(1), FinishedAt: noon.Add(time.Hour)}}, noon.Add(-time.Hour), "gone"},
	} {
		if got := NotReproducibleSince(c.erasures, c.trained); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
