package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/seal"
)

// testKeyRights: a key keeps what it was made with, a stored key of before may do everything, and an expired one nothing.
func testKeyRights(t *testing.T, a, b *Store) {
	ctx := t.Context()
	end := time.Now().Add(time.Hour)
	k, secret, err := a.CreateKey(ctx, NewKey{
		Site: "shop", Kind: KeySecret, Scopes: []Scope{ScopeModels, ScopeRecommend, ScopeModels}, Rate: 2.5, ExpiresAt: end,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := must[Key](t)(b.Authenticate(ctx, secret))
	if !slices.Equal(got.Scopes, []Scope{ScopeRecommend, ScopeModels}) || got.Rate != 2.5 || got.ExpiresAt.UnixMilli() != end.UnixMilli() {
		t.Fatalf("read back as %+v", got)
	}
	if !got.Allows(ScopeModels) || got.Allows(ScopeAdmin) || got.AllowsEvents("") || !got.AllowsReads("") {
		t.Error("the scopes are not what was asked for")
	}
	_, everything, err := a.CreateKey(ctx, NewKey{Site: "shop", Kind: KeySecret})
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range Scopes() {
		if !must[Key](t)(a.Authenticate(ctx, everything)).Allows(scope) {
			t.Errorf("a key without scopes lacks %s", scope)
		}
	}
	_, read, err := a.CreateKey(ctx, NewKey{Site: "shop", Kind: KeyRead, Origins: []string{"https://shop.example"}})
	if err != nil || !strings.HasPrefix(read, "pk_") {
		t.Fatalf("the read key is %.3s... (%v)", read, err)
	}
	if r := must[Key](t)(a.Authenticate(ctx, read)); r.AllowsEvents("") || r.AllowsEvents("https://shop.example") ||
		!r.AllowsReads("https://shop.example") || r.AllowsReads("https://evil.example") || r.AllowsReads("") || r.Allows(ScopeItemsRead) {
		t.Error("a read key does not do just that")
	}
	if _, err := a.db.ExecContext(ctx, `UPDATE keys SET expires_at = ? WHERE id = ?`, millis(time.Now())-1, k.ID); err != nil {
		t.Fatal(err)
	}
	b.keys.drop()
	if _, err := b.Authenticate(ctx, secret); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an expired key gave %v", err)
	}
	if _, _, err := b.RotateKey(ctx, "shop", k.ID, 0); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an expired key was rotated: %v", err)
	}
}

// testKeyRotation: two secrets work during an overlap, never three, and an overlap of nothing leaves one.
func testKeyRotation(t *testing.T, a, b *Store) {
	ctx := t.Context()
	works := func(secret string) bool {
		t.Helper()
		b.keys.drop() // CacheAge passes
		_, err := b.Authenticate(ctx, secret)
		if err != nil && !errors.Is(err, ErrUnknownKey) {
			t.Fatal(err)
		}
		return err == nil
	}
	made, first, err := a.CreateKey(ctx, NewKey{Site: "shop", Kind: KeySecret, Label: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	k, second, err := a.RotateKey(ctx, "shop", made.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if k.ID != made.ID || k.Label != "kept" || !strings.HasPrefix(first, k.PreviousHint) || !strings.HasPrefix(second, k.Hint) || first == second {
		t.Fatalf("rotated to %+v", k)
	}
	listed := must[[]Key](t)(b.Keys(ctx, "shop"))
	if len(listed) != 1 || listed[0].PreviousHint != made.Hint || time.Until(listed[0].PreviousUntil) < 59*time.Minute {
		t.Fatalf("listed %+v", listed)
	}
	if !works(first) || !works(second) {
		t.Fatal("not both secrets work during the overlap")
	}
	if got := must[Key](t)(a.Authenticate(ctx, first)); got.ID != made.ID {
		t.Fatalf("the former secret opens %+v", got)
	}
	_, third, err := a.RotateKey(ctx, "", made.ID, time.Hour)
	if err != nil || works(first) || !works(second) || !works(third) {
		t.Fatalf("after two rotations (%v): %v %v %v", err, works(first), works(second), works(third))
	}
	if _, err := a.db.ExecContext(ctx, `UPDATE keys SET previous_until = ?`, millis(time.Now())-1); err != nil {
		t.Fatal(err)
	}
	if works(second) || !works(third) {
		t.Fatal("the former secret outlives the overlap, or takes the other with it")
	}
	_, fourth, err := a.RotateKey(ctx, "shop", made.ID, 0)
	if err != nil || works(third) || !works(fourth) {
		t.Fatalf("an overlap of nothing (%v): %v %v", err, works(third), works(fourth))
	}
	for name, rotate := range map[string]func() error{
		"another site":        func() error { _, _, err := a.RotateKey(ctx, "other", made.ID, 0); return err },
		"an unknown key":      func() error { _, _, err := a.RotateKey(ctx, "", "key_none", 0); return err },
		"another site's end":  func() error { return a.RevokeKey(ctx, "other", made.ID) },
		"a key of the others": func() error { _, err := a.KeyByID(ctx, "other", made.ID); return err },
	} {
		if err := rotate(); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, overlap := range []time.Duration{-1, MaxOverlap + 1} {
		if _, _, err := a.RotateKey(ctx, "shop", made.ID, overlap); !errors.Is(err, ErrBadOverlap) {
			t.Errorf("overlap %s: %v", overlap, err)
		}
	}
	_, fifth, err := a.RotateKey(ctx, "shop", made.ID, time.Hour)
	if err == nil {
		err = a.RevokeKey(ctx, "shop", made.ID)
	}
	if err != nil || works(fourth) || works(fifth) {
		t.Fatalf("a revoked key (%v): %v %v", err, works(fourth), works(fifth))
	}
	if _, _, err := a.RotateKey(ctx, "shop", made.ID, 0); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a revoked key was rotated: %v", err)
	}
}

// TestKeyLacks: no key makes, or is shown, what could do more than itself.
func TestKeyLacks(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	admin := Key{Site: "shop", Kind: KeySecret, Scopes: []Scope{ScopeRecommend, ScopeAdmin}}
	for _, c := range []struct {
		name  string
		k     Key
		other Key
		want  string
	}{
		{"all by all", Key{Site: "shop", Kind: KeySecret}, Key{Site: "shop", Kind: KeySecret}, ""},
		{"itself", admin, admin, ""},
		{"fewer scopes", admin, Key{Site: "shop", Kind: KeySecret, Scopes: []Scope{ScopeRecommend}}, ""},
		{"another site", admin, Key{Site: "b", Kind: KeySecret, Scopes: []Scope{ScopeRecommend}}, "another site"},
		{"all by a part", admin, Key{Site: "shop", Kind: KeySecret}, "every scope"},
		{"all that are named, which are not those to come", Key{Site: "shop", Kind: KeySecret, Scopes: Scopes()}, Key{Site: "shop", Kind: KeySecret}, "every scope"},
		{"another scope", admin, Key{Site: "shop", Kind: KeySecret, Scopes: []Scope{ScopeUsers}}, "scope users"},
		{"a write key", admin, Key{Site: "shop", Kind: KeyWrite}, "scope events"},
		{"a read key", admin, Key{Site: "shop", Kind: KeyRead, Origins: []string{"https://a.example"}}, ""},
		{"a faster one", Key{Site: "shop", Kind: KeySecret, Rate: 5}, Key{Site: "shop", Kind: KeySecret, Rate: 6}, "more than 5"},
		{"one of the default rate", Key{Site: "shop", Kind: KeySecret, Rate: 5}, Key{Site: "shop", Kind: KeySecret}, "more than 5"},
		{"one without an end", Key{Site: "shop", Kind: KeySecret, ExpiresAt: soon}, Key{Site: "shop", Kind: KeySecret}, "a later end"},
		{"one of a later end", Key{Site: "shop", Kind: KeySecret, ExpiresAt: soon}, Key{Site: "shop", Kind: KeySecret, ExpiresAt: soon.Add(1)}, "a later end"},
	} {
		if got := c.k.Lacks(c.other); (got == "") != (c.want == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// testKeyUse: the last use is written down when it is asked for, and only grows.
func testKeyUse(t *testing.T, a, b *Store) {
	ctx := t.Context()
	k, secret, err := a.CreateKey(ctx, NewKey{Site: "shop", Kind: KeySecret})
	if err != nil {
		t.Fatal(err)
	}
	used := func() time.Time { return must[Key](t)(b.KeyByID(ctx, "shop", k.ID)).LastUsedAt }
	before := storedNow()
	must[Key](t)(a.Authenticate(ctx, secret))
	if !used().IsZero() {
		t.Error("a request wrote")
	}
	if err := a.WriteKeyUse(ctx); err != nil {
		t.Fatal(err)
	}
	first := used()
	if first.Before(before) || first.After(time.Now()) {
		t.Errorf("used at %s, it was %s or later", first, before)
	}
	a.use.of(k.ID).last.Store(millis(first) - 1000)
	a.use.of(k.ID).written.Store(0)
	if err := a.WriteKeyUse(ctx); err != nil || !used().Equal(first) {
		t.Errorf("an older use took the place of a newer (%v): %s", err, used())
	}
}

// testSigningSecrets: they are read back with the key that sealed them alone, overlap as keys do, and are of one site.
func testSigningSecrets(t *testing.T, a, b *Store) {
	ctx := t.Context()
	if _, _, err := a.RotateSigningSecret(ctx, "shop", 0); !errors.Is(err, ErrNoSealKey) {
		t.Fatalf("without a seal key: %v", err)
	}
	key, other := seal.NewKey(), seal.NewKey()
	a.UseSealKey(&key)
	b.UseSealKey(&key)
	texts := func() []string {
		t.Helper()
		b.signing.drop() // CacheAge passes
		return must[[]string](t)(b.SigningTexts(ctx, "shop"))
	}
	if got := texts(); len(got) != 0 {
		t.Fatalf("before the first: %q", got)
	}
	made := make([]SigningSecret, 3)
	text := make([]string, 3)
	for i := range made {
		var err error
		if made[i], text[i], err = a.RotateSigningSecret(ctx, "shop", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(); !sameTexts(got, text[1:]) {
		t.Fatalf("in force: %q of %q", got, text)
	}
	var stored string
	if err := a.db.QueryRowContext(ctx, `SELECT sealed FROM signing_secrets WHERE id = ?`, made[2].ID).Scan(&stored); err != nil || strings.Contains(stored, text[2][6:]) {
		t.Fatalf("stored as %q (%v)", stored, err)
	}
	if _, mine, err := a.RotateSigningSecret(ctx, "other", 0); err != nil || !slices.Equal(must[[]string](t)(a.SigningTexts(ctx, "other")), []string{mine}) {
		t.Fatalf("another site: %v", err)
	}
	if err := a.EndSigningSecret(ctx, "other", made[1].ID); !errors.Is(err, ErrUnknownSigningSecret) {
		t.Fatalf("another site ended it: %v", err)
	}
	if err := a.EndSigningSecret(ctx, "shop", made[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := texts(); !slices.Equal(got, text[2:]) {
		t.Fatalf("after the end of one: %q", got)
	}
	if _, last, err := a.RotateSigningSecret(ctx, "shop", 0); err != nil || !slices.Equal(texts(), []string{last}) {
		t.Fatalf("without an overlap: %v", err)
	}
	if list := must[[]SigningSecret](t)(b.SigningSecrets(ctx, "shop")); len(list) != 4 || list[0].ExpiresAt.IsZero() || !list[3].ExpiresAt.IsZero() {
		t.Fatalf("listed %+v", list)
	}
	b.UseSealKey(&other)
	b.signing.drop()
	if got, err := b.SigningTexts(ctx, "shop"); !errors.Is(err, seal.ErrUnreadable) || len(got) != 0 {
		t.Errorf("with another seal key: %q %v", got, err)
	}
	if _, mine, err := b.RotateSigningSecret(ctx, "shop", time.Hour); err != nil || !slices.Equal(texts(), []string{mine}) {
		t.Errorf("a new secret beside one that nobody can read: %v", err)
	}
}

func sameTexts(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// testAudit: what changes is in the log of its site with who did it, without secrets, in pages; the bounds hold.
func testAudit(t *testing.T, a, b *Store) {
	ctx := t.Context()
	boss, bossSecret, err := a.CreateKey(As(ctx, Actor{Kind: ActorCommand, Name: "keys create"}), NewKey{Site: "shop", Kind: KeySecret})
	if err != nil {
		t.Fatal(err)
	}
	by := As(ctx, boss.Actor())
	_, rotated, err := a.RotateKey(by, "shop", boss.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.PutPlacement(by, Placement{Site: "shop", Name: "home", Kind: KindHome, Limit: 3}); err != nil {
		t.Fatal(err)
	}
	long := json.RawMessage(`{"text":"` + strings.Repeat("x", maxAuditBytes) + `"}`)
	if err := a.Audit(ctx, AuditEntry{Site: "shop", Action: "model.promote", Target: "v1", Before: long, After: map[string]int{"n": 1}}); err != nil {
		t.Fatal(err)
	}
	if err := a.Audit(ctx, AuditEntry{Site: "other", Action: "model.promote", Target: "v9"}); err != nil {
		t.Fatal(err)
	}
	log := must[[]AuditRecord](t)(b.AuditLog(ctx, "shop", "", 0))
	said := map[string]AuditRecord{}
	for _, r := range log {
		said[r.Action] = r
	}
	if len(log) != 4 || len(said) != 4 {
		t.Fatalf("the log is %+v", log)
	}
	text := must[[]byte](t)(json.Marshal(log))
	for _, secret := range []string{bossSecret, rotated, hashSecret(bossSecret), hashSecret(rotated)} {
		if strings.Contains(string(text), secret[8:]) {
			t.Error("a secret is in the log")
		}
	}
	if r := said["key.create"]; r.ActorKind != ActorCommand || r.Actor != "keys create" || r.Target != boss.ID || r.Before != nil || !strings.Contains(string(r.After), boss.Hint) {
		t.Errorf("creation: %+v", r)
	}
	if r := said["placement.put"]; r.ActorKind != ActorKey || !strings.Contains(r.Actor, boss.ID) || r.Target != "home" ||
		!strings.Contains(string(r.Before), `"limit":12`) || !strings.Contains(string(r.After), `"limit":3`) {
		t.Errorf("placement: %+v", r)
	}
	if r := said["model.promote"]; r.ActorKind != ActorSystem || string(r.After) != `{"n":1}` || len(r.Before) > 200 || !strings.Contains(string(r.Before), "sha256") {
		t.Errorf("promotion: %+v", r)
	}
	first := must[[]AuditRecord](t)(b.AuditLog(ctx, "shop", "", 3))
	rest := must[[]AuditRecord](t)(b.AuditLog(ctx, "shop", first[2].ID, 3))
	if len(first) != 3 || len(rest) != 1 || rest[0].ID != log[3].ID {
		t.Errorf("pages of %d and %d", len(first), len(rest))
	}
	if _, err := a.db.ExecContext(ctx, `UPDATE audit SET at = 1 WHERE id = ?`, log[0].ID); err != nil {
		t.Fatal(err)
	}
	for range auditSweep {
		if err := a.Audit(ctx, AuditEntry{Site: "third", Action: "x.y"}); err != nil {
			t.Fatal(err)
		}
	}
	if left := must[[]AuditRecord](t)(b.AuditLog(ctx, "shop", "", 0)); len(left) != 3 {
		t.Errorf("%d entries left, the one of 1970 should be gone alone", len(left))
	}
}

// testUserAttributes: the newest write stands, sites are apart, and an erasure takes what was said before it.
func testUserAttributes(t *testing.T, a, b *Store) {
	ctx := t.Context()
	key := erasure.NewKey()
	if err := a.UseErasureKey(ctx, &key); err != nil {
		t.Fatal(err)
	}
	put := func(site, user, attributes string) UserAttributes {
		t.Helper()
		return must[UserAttributes](t)(a.PutUserAttributes(ctx, UserAttributes{Site: site, UserID: user, Attributes: json.RawMessage(attributes)}))
	}
	first := put("shop", "ada", `{"tier":"silver"}`)
	second := put("shop", "ada", `{"tier":"gold"}`)
	put("other", "ada", `{"tier":"other"}`)
	if !second.UpdatedAt.After(first.UpdatedAt) {
		t.Errorf("written at %s and then at %s", first.UpdatedAt, second.UpdatedAt)
	}
	read := func(site, user string) string {
		t.Helper()
		u, ok, err := b.UserAttributes(ctx, site, user)
		if err != nil || ok != (u.UserID == user) {
			t.Fatalf("%v %v %+v", err, ok, u)
		}
		return string(u.Attributes)
	}
	if got := read("shop", "ada"); got != `{"tier":"gold"}` {
		t.Errorf("read %s", got)
	}
	if got := read("shop", "bob"); got != "" {
		t.Errorf("nobody has %s", got)
	}
	if _, err := a.RequestErasure(ctx, erasure.Who{Site: "shop", User: "ada"}); err != nil {
		t.Fatal(err)
	}
	if got := read("shop", "ada"); got != "" {
		t.Errorf("after the erasure: %s", got)
	}
	if got := read("other", "ada"); got != `{"tier":"other"}` {
		t.Errorf("the erasure took another site's: %q", got)
	}
	if log := must[[]AuditRecord](t)(b.AuditLog(ctx, "shop", "", 0)); len(log) != 1 || log[0].Action != "erasure.request" || strings.Contains(fmt.Sprint(log), "ada") {
		t.Errorf("the log says %+v", log)
	}
}

// testPlacementChanges: a change on what somebody else changed is refused, and deleting brings the standard back.
func testPlacementChanges(t *testing.T, a, b *Store) {
	ctx := t.Context()
	home := must[Placement](t)(a.Placement(ctx, "shop", "home"))
	tag := home.ETag()
	home.Limit = 5
	if err := a.PutPlacementIf(ctx, home, tag); err != nil {
		t.Fatal(err)
	}
	home.Limit = 6
	if err := b.PutPlacementIf(ctx, home, tag); !errors.Is(err, ErrChanged) {
		t.Fatalf("a change over another one: %v", err)
	}
	if got := must[Placement](t)(a.Placement(ctx, "shop", "home")); got.Limit != 5 || got.ETag() == tag {
		t.Fatalf("it stands as %+v", got)
	}
	side := Placement{Site: "shop", Name: "side", Kind: KindItem, Limit: 4}
	if err := b.PutPlacementIf(ctx, side, tag); !errors.Is(err, ErrChanged) {
		t.Errorf("a change of what is not there: %v", err)
	}
	if err := b.PutPlacementIf(ctx, side, NoETag); err != nil {
		t.Error(err)
	}
	if err := b.PutPlacementIf(ctx, side, NoETag); !errors.Is(err, ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	if err := a.DeletePlacement(ctx, "shop", "side", side.ETag()+"x"); !errors.Is(err, ErrChanged) {
		t.Errorf("deleted what was changed: %v", err)
	}
	if err := a.DeletePlacement(ctx, "other", "side", ""); !errors.Is(err, ErrUnknownPlacement) {
		t.Errorf("another site deleted: %v", err)
	}
	for range 2 { // a standard placement can be brought back twice
		if err := a.DeletePlacement(ctx, "shop", "home", ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.DeletePlacement(ctx, "shop", "side", side.ETag()); err != nil {
		t.Fatal(err)
	}
	if got := must[Placement](t)(a.Placement(ctx, "shop", "home")); got.ETag() != tag || !got.UpdatedAt.IsZero() {
		t.Errorf("home is %+v", got)
	}
	if _, err := a.Placement(ctx, "shop", "side"); !errors.Is(err, ErrUnknownPlacement) {
		t.Errorf("the deleted one: %v", err)
	}
}
