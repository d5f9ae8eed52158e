package control

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// testStore is the contract of the control store. Every backend runs it: open returns a store on the same database at
// each call, as several processes would have it.
func testStore(t *testing.T, open func(t *testing.T) *Store) {
	t.Run("keys", func(t *testing.T) { testKeys(t, open(t), open(t)) })
	t.Run("bad keys", func(t *testing.T) { testBadKeys(t, open(t)) })
	t.Run("key rights", func(t *testing.T) { testKeyRights(t, open(t), open(t)) })
	t.Run("key rotation", func(t *testing.T) { testKeyRotation(t, open(t), open(t)) })
	t.Run("key use", func(t *testing.T) { testKeyUse(t, open(t), open(t)) })
	t.Run("signing secrets", func(t *testing.T) { testSigningSecrets(t, open(t), open(t)) })
	t.Run("audit", func(t *testing.T) { testAudit(t, open(t), open(t)) })
	t.Run("user attributes", func(t *testing.T) { testUserAttributes(t, open(t), open(t)) })
	t.Run("placement changes", func(t *testing.T) { testPlacementChanges(t, open(t), open(t)) })
	t.Run("placements", func(t *testing.T) { testPlacements(t, open(t), open(t)) })
	t.Run("rules", func(t *testing.T) { testRules(t, open(t), open(t)) })
	t.Run("experiments", func(t *testing.T) { testExperiments(t, open(t), open(t)) })
	t.Run("experiment race", func(t *testing.T) { testExperimentRace(t, open(t), open(t)) })
	t.Run("bad experiments", func(t *testing.T) { testBadExperiments(t, open(t)) })
	t.Run("bad placements", func(t *testing.T) { testBadPlacements(t, open(t)) })
	t.Run("feeds", func(t *testing.T) { testFeeds(t, open(t), open(t)) })
	t.Run("jobs", func(t *testing.T) { testJobs(t, open(t), open(t)) })
	t.Run("leases", func(t *testing.T) { testLeases(t, open(t), open(t)) })
	t.Run("lease race", func(t *testing.T) { testLeaseRace(t, open(t), open(t)) })
	t.Run("hold lease", func(t *testing.T) { testHoldLease(t, open(t), open(t)) })
	t.Run("epoch race", func(t *testing.T) { testEpochRace(t, open(t), open(t)) })
	t.Run("epochs", func(t *testing.T) { testEpochs(t, open(t), open(t)) })
	t.Run("imports", func(t *testing.T) { testImports(t, open(t), open(t)) })
	t.Run("grows", func(t *testing.T) { testGrows(t, open(t), open(t)) })
	t.Run("rebuilds", func(t *testing.T) { testRebuilds(t, open(t), open(t)) })
	t.Run("states", func(t *testing.T) { testStates(t, open(t), open(t)) })
	t.Run("state claim race", func(t *testing.T) { testStateClaimRace(t, open(t), open(t)) })
	t.Run("erasures", func(t *testing.T) { testErasures(t, open(t), open(t)) })
	t.Run("erasure key", func(t *testing.T) { testErasureKey(t, open(t), open(t)) })
	t.Run("erasure race", func(t *testing.T) { testErasureRace(t, open(t), open(t)) })
	t.Run("letters", func(t *testing.T) { testLetters(t, open(t), open(t)) })
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func testKeys(t *testing.T, a, b *Store) {
	ctx := t.Context()
	k, secret, err := a.CreateKey(ctx, NewKey{Site: "shop", Kind: KeyWrite, Label: "web", Origins: []string{"HTTPS://Shop.Example:443/"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "pk_") || len(secret) != len("pk_")+40 {
		t.Fatalf("secret %q is not pk_ and 200 bits of base32", secret)
	}
	if !strings.HasPrefix(secret, k.Hint) || len(k.Hint) > 8 {
		t.Fatalf("hint %q gives away too much, or is of another key", k.Hint)
	}
	for name, s := range map[string]*Store{"creator": a, "other process": b} {
		got := must[Key](t)(s.Authenticate(ctx, secret))
		if got.ID != k.ID || got.Site != "shop" || got.Kind != KeyWrite || !slices.Equal(got.Origins, []string{"https://shop.example"}) {
			t.Fatalf("%s authenticated %+v", name, got)
		}
	}
	if _, err := a.Authenticate(ctx, secret+"a"); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a longer secret gave %v", err)
	}
	if _, err := a.Authenticate(ctx, hashSecret(secret)); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("the stored hash opens the door: %v", err)
	}
	if err := a.RevokeKey(ctx, "shop", k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(ctx, secret); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a revoked key still works in the process that revoked it: %v", err)
	}
	b.keys.drop() // CacheAge passes
	if _, err := b.Authenticate(ctx, secret); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("a revoked key still works in another process: %v", err)
	}
	listed := must[[]Key](t)(b.Keys(ctx, "shop"))
	if len(listed) != 1 || listed[0].RevokedAt.IsZero() || listed[0].Label != "web" {
		t.Fatalf("listed %+v", listed)
	}
	first := listed[0].RevokedAt
	if err := b.RevokeKey(ctx, "shop", k.ID); err != nil {
		t.Fatal(err)
	}
	if again := must[[]Key](t)(b.Keys(ctx, "")); !again[0].RevokedAt.Equal(first) {
		t.Fatal("revoking again changed the time")
	}
	if err := a.RevokeKey(ctx, "", "key_none"); !errors.Is(err, ErrUnknownKey) {
		t.Fatalf("revoking an unknown key gave %v", err)
	}
	if other := must[[]Key](t)(a.Keys(ctx, "other")); len(other) != 0 {
		t.Fatalf("another site lists %+v", other)
	}
}

func testBadKeys(t *testing.T, s *Store) {
	for name, n := range map[string]NewKey{
		"site with capitals":       {Site: "Shop", Kind: KeyWrite},
		"empty site":               {Kind: KeyWrite},
		"no kind":                  {Site: "shop"},
		"origin with a path":       {Site: "shop", Kind: KeyWrite, Origins: []string{"https://shop.example/a"}},
		"origin without https":     {Site: "shop", Kind: KeyWrite, Origins: []string{"shop.example"}},
		"star":                     {Site: "shop", Kind: KeyWrite, Origins: []string{"*"}},
		"scope of a later day":     {Site: "shop", Kind: KeySecret, Scopes: []Scope{"fly"}},
		"public key with scopes":   {Site: "shop", Kind: KeyWrite, Scopes: []Scope{ScopeEvents}},
		"read key without origins": {Site: "shop", Kind: KeyRead},
		"negative rate":            {Site: "shop", Kind: KeySecret, Rate: -1},
		"no rate":                  {Site: "shop", Kind: KeySecret, Rate: math.NaN()},
		"end in the past":          {Site: "shop", Kind: KeySecret, ExpiresAt: time.Now().Add(-time.Second)},
		"long label":               {Site: "shop", Kind: KeyWrite, Label: strings.Repeat("x", maxLabelBytes+1)},
	} {
		if _, _, err := s.CreateKey(t.Context(), n); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func testPlacements(t *testing.T, a, b *Store) {
	ctx := t.Context()
	home := must[Placement](t)(a.Placement(ctx, "shop", "home"))
	if home.Kind != KindHome || home.Limit != DefaultPlacementLimit || home.BrowserReadable {
		t.Fatalf("standard home is %+v", home)
	}
	home.BrowserReadable, home.Limit = true, 8
	home.Settings = json.RawMessage(`{"diversity":0.5}`)
	side := Placement{Site: "shop", Name: "side-bar", Kind: KindItem, Limit: 4}
	for _, p := range []Placement{home, side} {
		if err := a.PutPlacement(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*Store{a, b} {
		got := must[Placement](t)(s.Placement(ctx, "shop", "home"))
		if !got.BrowserReadable || got.Limit != 8 || string(got.Settings) != `{"diversity":0.5}` || got.UpdatedAt.IsZero() {
			t.Fatalf("overridden home is %+v", got)
		}
	}
	if all := must[[]Placement](t)(b.Placements(ctx, "shop")); len(all) != len(Kinds())+1 {
		t.Fatalf("%d placements", len(all))
	}
	_, err := b.Placement(ctx, "other", "side-bar")
	var unknown *UnknownPlacementError
	if !errors.As(err, &unknown) || !errors.Is(err, ErrUnknownPlacement) || !strings.Contains(err.Error(), "again, cart, explore, home") {
		t.Fatalf("another site's placement gave %v", err)
	}
}

func testBadPlacements(t *testing.T, s *Store) {
	good := Placement{Site: "shop", Name: "x", Kind: KindItem, Limit: 1}
	for name, spoil := range map[string]func(*Placement){
		"site":            func(p *Placement) { p.Site = "no site" },
		"name":            func(p *Placement) { p.Name = "a/b" },
		"kind":            func(p *Placement) { p.Kind = "banner" },
		"limit 0":         func(p *Placement) { p.Limit = 0 },
		"limit too long":  func(p *Placement) { p.Limit = MaxPlacementLimit + 1 },
		"settings array":  func(p *Placement) { p.Settings = json.RawMessage(`[]`) },
		"settings broken": func(p *Placement) { p.Settings = json.RawMessage(`{`) },
	} {
		p := good
		spoil(&p)
		if err := s.PutPlacement(t.Context(), p); err == nil {
			t.Errorf("a bad %s was accepted", name)
		}
	}
}

func testJobs(t *testing.T, a, b *Store) {
	ctx := t.Context()
	j := must[Job](t)(a.StartJob(ctx, "train", "shop", "nightly"))
	if err := a.UpdateJob(ctx, j.ID, JobProgress{Progress: 0.5, Stage: "fit", Detail: "vmisknn"}); err != nil {
		t.Fatal(err)
	}
	running := must[[]Job](t)(b.Jobs(ctx, JobFilter{Kind: "train", Site: "shop", State: JobRunning}))
	if len(running) != 1 || running[0].Progress != 0.5 || running[0].Stage != "fit" || running[0].Detail != "vmisknn" {
		t.Fatalf("running: %+v", running)
	}
	err := a.FinishJob(ctx, j.ID, JobOutcome{State: JobDone, Detail: "promoted", Result: map[string]int{"rows": 7}})
	if err != nil {
		t.Fatal(err)
	}
	done := must[[]Job](t)(b.Jobs(ctx, JobFilter{State: JobDone}))
	if len(done) != 1 || string(done[0].Result) != `{"rows":7}` || done[0].Progress != 1 || done[0].EndedAt.IsZero() {
		t.Fatalf("done: %+v", done)
	}
	if err := b.UpdateJob(ctx, j.ID, JobProgress{}); !errors.Is(err, ErrJobEnded) {
		t.Fatalf("an ended job was updated: %v", err)
	}

	lost := must[Job](t)(a.StartJob(ctx, "train", "shop", ""))
	if _, err := a.db.ExecContext(ctx, `UPDATE jobs SET expires_at = ? WHERE id = ?`, millis(time.Now())-1, lost.ID); err != nil {
		t.Fatal(err)
	}
	failed := must[[]Job](t)(b.Jobs(ctx, JobFilter{State: JobFailed}))
	if len(failed) != 1 || failed[0].ID != lost.ID || failed[0].Detail != lostDetail || failed[0].EndedAt.IsZero() {
		t.Fatalf("a lost job reads as %+v", failed)
	}
	if still := must[[]Job](t)(b.Jobs(ctx, JobFilter{State: JobRunning})); len(still) != 0 {
		t.Fatalf("a lost job still runs: %+v", still)
	}
	if one := must[[]Job](t)(b.Jobs(ctx, JobFilter{ID: j.ID, Site: "shop"})); len(one) != 1 || one[0].ID != j.ID {
		t.Fatalf("by its id: %+v", one)
	}
	if one := must[[]Job](t)(b.Jobs(ctx, JobFilter{ID: j.ID, Site: "other"})); len(one) != 0 {
		t.Fatalf("another site found %+v", one)
	}
	if newest := must[[]Job](t)(b.Jobs(ctx, JobFilter{Limit: 2})); len(newest) != 2 {
		t.Fatalf("limit 2 gave %d jobs", len(newest))
	}
	if err := a.FinishJob(ctx, lost.ID, JobOutcome{State: JobRunning}); err == nil {
		t.Fatal("a job finished as running")
	}
}

func testLeases(t *testing.T, a, b *Store) {
	ctx := t.Context()
	holder := func(want string) {
		t.Helper()
		if got := must[string](t)(b.LeaseHolder(ctx, "train/shop")); got != want {
			t.Fatalf("the lease is held by %q, want %q", got, want)
		}
	}
	holder("")
	first := must[Lease](t)(a.AcquireLease(ctx, "train/shop", "a", time.Hour))
	holder("a")
	_, err := b.AcquireLease(ctx, "train/shop", "b", time.Hour)
	var held *LeaseHeldError
	if !errors.As(err, &held) || held.Holder != "a" || !held.Until.Equal(first.ExpiresAt) {
		t.Fatalf("a held lease gave %v", err)
	}
	if _, err := a.AcquireLease(ctx, "train/shop", "a", time.Hour); !errors.Is(err, ErrLeaseHeld) {
		t.Fatalf("the holder got its lease twice: %v", err)
	}
	must[Lease](t)(b.AcquireLease(ctx, "train/other", "b", time.Hour))
	must[Lease](t)(a.RenewLease(ctx, first, 2*time.Hour))
	if _, err := a.db.ExecContext(ctx, `UPDATE leases SET expires_at = ? WHERE name = ?`, millis(time.Now())-1, first.Name); err != nil {
		t.Fatal(err)
	}
	holder("") // it has run out
	if _, err := a.RenewLease(ctx, first, time.Hour); !errors.Is(err, ErrLeaseLost) {
		t.Fatalf("an expired lease was renewed: %v", err)
	}
	second := must[Lease](t)(b.AcquireLease(ctx, "train/shop", "b", time.Hour))
	if second.Token <= first.Token {
		t.Fatalf("token went from %d to %d", first.Token, second.Token)
	}
	if err := a.ReleaseLease(ctx, first); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AcquireLease(ctx, "train/shop", "a", time.Hour); !errors.Is(err, ErrLeaseHeld) {
		t.Fatalf("the old holder released the new holder's lease: %v", err)
	}
	holder("b")
	if err := b.ReleaseLease(ctx, second); err != nil {
		t.Fatal(err)
	}
	holder("")
	third := must[Lease](t)(a.AcquireLease(ctx, "train/shop", "a", time.Hour))
	if third.Token <= second.Token {
		t.Fatalf("token went from %d to %d after a release", second.Token, third.Token)
	}
}

// testLeaseRace lets many goroutines on two stores take one lease at once: exactly one may get it.
func testLeaseRace(t *testing.T, a, b *Store) {
	const rivals = 16
	results := make(chan error, rivals)
	for i := range rivals {
		s := []*Store{a, b}[i%2]
		go func() {
			_, err := s.AcquireLease(t.Context(), "race", "rival", time.Hour)
			results <- err
		}()
	}
	winners := 0
	for range rivals {
		err := <-results
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, ErrLeaseHeld):
			t.Error(err)
		}
	}
	if winners != 1 {
		t.Fatalf("%d rivals hold the lease", winners)
	}
}

func testHoldLease(t *testing.T, a, b *Store) {
	ctx := t.Context()
	const ttl = 600 * time.Millisecond // far above what a renewal takes, and a third of it is what this test waits
	err := a.HoldLease(ctx, "hold", "a", ttl, func(ctx context.Context, l Lease) error {
		if _, err := b.AcquireLease(ctx, "hold", "b", ttl); !errors.Is(err, ErrLeaseHeld) {
			t.Errorf("a lease at work was given away: %v", err)
		}
		return errors.New("boom")
	})
	if err == nil || err.Error() != "boom" {
		t.Fatalf("work's error became %v", err)
	}
	stolen := must[Lease](t)(b.AcquireLease(ctx, "hold", "b", time.Hour))
	if err := b.ReleaseLease(ctx, stolen); err != nil {
		t.Fatal(err)
	}
	err = a.HoldLease(ctx, "hold", "a", ttl, func(ctx context.Context, l Lease) error {
		// Another process takes the lease, as after a long pause of this one.
		_, err := b.db.ExecContext(ctx, `UPDATE leases SET token = token + 1 WHERE name = 'hold'`)
		<-ctx.Done()
		return err
	})
	if !errors.Is(err, ErrLeaseLost) {
		t.Fatalf("a lost lease gave %v", err)
	}
}

func testImports(t *testing.T, a, b *Store) {
	ctx := t.Context()
	p := must[ImportProgress](t)(a.CheckImport(ctx, "shop", "d1", "events.csv", "item_id=sku"))
	if p.NextRow != 0 || p.Done {
		t.Fatalf("a fresh file is at %+v", p)
	}
	p.NextRow, p.Accepted, p.Rejected = 100, 98, 2
	if err := a.SaveImportProgress(ctx, p); err != nil {
		t.Fatal(err)
	}
	got := must[ImportProgress](t)(b.CheckImport(ctx, "shop", "d1", "copy.csv", "item_id=sku"))
	if got.NextRow != 100 || got.Accepted != 98 || got.Rejected != 2 || got.StartedAt.IsZero() {
		t.Fatalf("resumes at %+v", got)
	}
	_, err := b.CheckImport(ctx, "shop", "d1", "events.csv", "item_id=name")
	if !errors.Is(err, ErrOtherMapping) || !strings.Contains(err.Error(), "item_id=sku") || !strings.Contains(err.Error(), "item_id=name") {
		t.Fatalf("another mapping gave %v", err)
	}
	other := p
	other.Mapping = "item_id=name"
	if err := b.SaveImportProgress(ctx, other); !errors.Is(err, ErrOtherMapping) {
		t.Fatalf("another mapping was saved: %v", err)
	}
	late := p
	late.NextRow, late.Accepted = 50, 50
	if err := b.SaveImportProgress(ctx, late); err != nil {
		t.Fatal(err)
	}
	p.Done = true
	if err := a.SaveImportProgress(ctx, p); err != nil {
		t.Fatal(err)
	}
	final, ok, err := b.ImportProgress(ctx, "shop", "d1")
	if err != nil || !ok || final.NextRow != 100 || final.Accepted != 98 || !final.Done {
		t.Fatalf("the ledger went back: %+v, %v, %v", final, ok, err)
	}
	if _, ok, err := a.ImportProgress(ctx, "other", "d1"); ok || err != nil {
		t.Fatalf("another site knows the file: %v, %v", ok, err)
	}
}

// testLetters: what one process remembers another knows, places differ in each of their parts, and only what retention has
// removed is forgotten.
func testLetters(t *testing.T, a, b *Store) {
	ctx := t.Context()
	source := RecordPlace{Topic: "millrace.events", Epoch: 2, Partition: 3, Offset: 40}
	letter := RecordPlace{Topic: "millrace.events.dead", Epoch: 1, Partition: 1, Offset: 7}
	known := func(s *Store, at RecordPlace) bool { t.Helper(); return must[bool](t)(s.LetterReplayed(ctx, at)) }
	if known(a, source) {
		t.Fatal("a letter is known that nobody replayed")
	}
	for range 2 { // a replay that died after sending sends and remembers again
		if err := a.RememberLetters(ctx, []ReplayedLetter{{source, letter}}); err != nil {
			t.Fatal(err)
		}
	}
	if !known(b, source) {
		t.Fatal("the other process does not know of the replay")
	}
	for name, other := range map[string]RecordPlace{
		"topic": {"millrace.exposures", 2, 3, 40}, "epoch": {"millrace.events", 1, 3, 40},
		"partition": {"millrace.events", 2, 2, 40}, "offset": {"millrace.events", 2, 3, 41},
	} {
		if known(a, other) {
			t.Errorf("a record with another %s passes as replayed", name)
		}
	}
	forget := func(before RecordPlace, kept bool) {
		t.Helper()
		if err := b.ForgetLetters(ctx, before); err != nil {
			t.Fatal(err)
		}
		if known(a, source) != kept {
			t.Fatalf("after forgetting before %+v the letter is known: %v", before, !kept)
		}
	}
	forget(RecordPlace{Epoch: 1, Partition: 1, Offset: 7}, true)
	forget(RecordPlace{Epoch: 2, Partition: 2, Offset: 9}, true)
	later := letter
	later.Offset = 8
	if err := a.RememberLetters(ctx, []ReplayedLetter{{source, later}}); err != nil {
		t.Fatal(err)
	}
	forget(RecordPlace{Epoch: 1, Partition: 1, Offset: 8}, true) // the second letter of the record is there still
	forget(RecordPlace{Epoch: 2, Partition: 1, Offset: 0}, false)
}
