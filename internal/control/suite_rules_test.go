package control

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// testRules: what one process writes another reads, in the order of priorities, and a writer that has not seen the newest revision
// changes nothing.
func testRules(t *testing.T, a, b *Store) {
	ctx := t.Context()
	rule := Rule{
		Site: "shop", ID: "sale", Name: "Sale", Placements: []string{"home"}, Condition: `context.sale`, Filter: `item.available`,
		Boost: []Boost{{Filter: `item.price < 5`, By: 2}, {Expr: `1.5`}}, Priority: 3, Enabled: true,
		StartsAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), EndsAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	first := must[Rule](t)(a.PutRule(ctx, rule, NoETag))
	if first.Revision != 1 || first.UpdatedAt.IsZero() {
		t.Errorf("stored as %+v", first)
	}
	if _, err := b.PutRule(ctx, rule, NoETag); !errors.Is(err, ErrChanged) {
		t.Errorf("a rule that exists was made again: %v", err)
	}
	rule.Name = "Summer sale"
	second := must[Rule](t)(b.PutRule(ctx, rule, first.ETag()))
	if _, err := a.PutRule(ctx, rule, first.ETag()); !errors.Is(err, ErrChanged) || second.Revision != 2 {
		t.Errorf("revision %d, and a writer behind it: %v", second.Revision, err)
	}
	for id, priority := range map[string]int{"low": -1, "also": 3, "high": 9} {
		must[Rule](t)(a.PutRule(ctx, Rule{Site: "shop", ID: id, Priority: priority}, ""))
	}
	must[Rule](t)(a.PutRule(ctx, Rule{Site: "other", ID: "sale"}, ""))
	list := must[[]Rule](t)(a.Rules(ctx, "shop"))
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	if strings.Join(ids, " ") != "high also sale low" {
		t.Errorf("rules are %v", ids)
	}
	got := must[Rule](t)(a.Rule(ctx, "shop", "sale"))
	if got.Name != "Summer sale" || len(got.Boost) != 2 || got.Boost[0] != rule.Boost[0] || got.Site != "shop" || !got.StartsAt.Equal(rule.StartsAt) ||
		got.Condition != rule.Condition || got.Placements[0] != "home" {
		t.Errorf("read as %+v", got)
	}
	if err := a.DeleteRule(ctx, "shop", "sale", first.ETag()); !errors.Is(err, ErrChanged) {
		t.Errorf("deleted behind its revision: %v", err)
	}
	if err := a.DeleteRule(ctx, "shop", "sale", second.ETag()); err != nil {
		t.Error(err)
	}
	if err := b.DeleteRule(ctx, "shop", "sale", ""); !errors.Is(err, ErrUnknownRule) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := b.Rule(ctx, "shop", "sale"); !errors.Is(err, ErrUnknownRule) {
		t.Errorf("read after it was deleted: %v", err)
	}
	for what, bad := range map[string]Rule{
		"site": {Site: "No", ID: "a"}, "id": {Site: "shop", ID: "A b"}, "placement": {Site: "shop", ID: "a", Placements: []string{"?"}},
		"times": {Site: "shop", ID: "a", StartsAt: rule.EndsAt, EndsAt: rule.StartsAt}, "priority": {Site: "shop", ID: "a", Priority: MaxRulePriority + 1},
		"length": {Site: "shop", ID: "a", Filter: strings.Repeat("x", maxDocumentBytes)}, "name": {Site: "shop", ID: "a", Name: strings.Repeat("x", maxRuleName+1)},
	} {
		if _, err := a.PutRule(ctx, bad, ""); err == nil {
			t.Errorf("a rule with a bad %s was stored", what)
		}
	}
}
