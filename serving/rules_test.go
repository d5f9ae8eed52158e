package serving

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// TestRules puts rules into the control store and looks at what they do to a list.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []control.Rule
		want  []string
	}{
		{"none", nil, []string{"a", "b", "c", "d"}},
		{"filter", []control.Rule{{Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
		{"filters go together", []control.Rule{{Filter: `item.brand == "Fleet"`}, {Filter: `"socks" in item.categories`}}, []string{"c"}},
		{"boosts multiply", []control.Rule{
			{Boost: []control.Boost{{Filter: `item.item_id == "b"`, By: 50}}}, {Boost: []control.Boost{{Expr: `item.item_id == "b" ? 0.01 : 1.0`}}},
		}, []string{"a", "c", "b", "d"}},
		{"of this placement", []control.Rule{{Placements: []string{"home", "popular"}, Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
		{"of another placement", []control.Rule{{Placements: []string{"home"}, Filter: `item.brand == "Fleet"`}}, []string{"a", "b", "c", "d"}},
		{"condition holds", []control.Rule{{Condition: `context.sale && now.getFullYear() == 2026`, Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
		{"condition fails", []control.Rule{{Condition: `context.sale == false`, Filter: `item.brand == "Fleet"`}}, []string{"a", "b", "c", "d"}},
		{"condition cannot be decided", []control.Rule{{Condition: `context.missing == "x"`, Filter: `item.brand == "Fleet"`}}, []string{"a", "b", "c", "d"}},
		{"begins now", []control.Rule{{StartsAt: noon, EndsAt: noon.Add(time.Second), Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
		{"begins later", []control.Rule{{StartsAt: noon.Add(time.Second), Filter: `item.brand == "Fleet"`}}, []string{"a", "b", "c", "d"}},
		{"has ended", []control.Rule{{EndsAt: noon, Filter: `item.brand == "Fleet"`}}, []string{"a", "b", "c", "d"}},
		{"not understood", []control.Rule{{Filter: `item.prize > 3`}, {Filter: `item.brand == "Fleet"`}}, []string{"a", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := shelf(t)
			for i, rule := range c.rules {
				rule.Site, rule.ID, rule.Enabled = testSite, string(rune('p'+i)), true
				_, err := h.control.PutRule(t.Context(), rule, "")
				h.must(err)
			}
			for range 2 { // the second list comes from what was compiled for the first
				if got := ids(h.ask(`{"placement":"popular","context":{"sale":true}}`)); !slices.Equal(got, c.want) {
					t.Errorf("%v, want %v", got, c.want)
				}
			}
			skipped := 0.0
			if c.name == "not understood" {
				skipped = 1
			}
			if n, _ := metric(t, h.metrics, "millrace_rules_skipped_total"); n != skipped {
				t.Errorf("%g rules skipped, want %g", n, skipped)
			}
		})
	}
}

// TestRulesChange: a change is in force with the next list, and rules that are switched off or gone do nothing.
func TestRulesChange(t *testing.T) {
	h := shelf(t)
	rule := control.Rule{Site: testSite, ID: "fleet", Enabled: true, Filter: `item.brand == "Fleet"`}
	first := func(want ...string) {
		t.Helper()
		if got := ids(h.ask(`{"placement":"popular","limit":2}`)); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	put := func() {
		t.Helper()
		_, err := h.control.PutRule(t.Context(), rule, "")
		h.must(err)
	}
	put()
	first("a", "c")
	rule.Filter = `"socks" in item.categories`
	put()
	first("c", "d")
	rule.Enabled = false
	put()
	first("a", "b")
	rule.Enabled = true
	put()
	h.must(h.control.DeleteRule(t.Context(), testSite, "fleet", ""))
	first("a", "b")
}

// TestRulesAreExplained: an explanation names the rules in force, and the list is made again with them although they are gone.
func TestRulesAreExplained(t *testing.T) {
	h := shelf(t)
	_, err := h.control.PutRule(t.Context(), control.Rule{Site: testSite, ID: "fleet", Enabled: true, Filter: `item.brand == "Fleet"`}, "")
	h.must(err)
	answer := h.ask(`{"placement":"popular","explain":true}`)
	if answer.Explain == nil || !slices.Equal(answer.Explain.Applied.Rules, []string{"fleet"}) {
		t.Fatalf("explained by %+v", answer.Explain)
	}
	h.must(h.control.DeleteRule(t.Context(), testSite, "fleet", ""))
	x := h.firstExposure()
	replayed, err := h.serving.replay(t.Context(), x)
	h.must(err)
	if !replayed.Identical {
		t.Errorf("made again as %+v", replayed)
	}
}

// TestRulesByHTTP goes the way of an operator: write, read, change what was read, and delete.
func TestRulesByHTTP(t *testing.T) {
	h := shelf(t)
	const body = `{"name":"Fleet","filter":"item.brand == \"Fleet\"","ends_at":"2027-01-01T00:00:00Z"}`
	for _, c := range []struct {
		method, path, body, header, value string
		status                            int
		says                              string
	}{
		{"GET", "/v1/rules/fleet", "", "", "", 404, ProblemUnknownRule},
		{"PUT", "/v1/rules/fleet", `{"filter":"item.prize > 1"}`, "", "", 400, "did you mean item.price?"},
		{"PUT", "/v1/rules/fleet", `{"filter":"true","condition":"item.price > 1"}`, "", "", 400, `"pointer":"/condition"`},
		{"PUT", "/v1/rules/fleet", `{}`, "", "", 400, "neither a filter nor a boost nor a pin"},
		{"PUT", "/v1/rules/fleet", body, "If-Match", `"1"`, 412, ProblemChanged},
		{"PUT", "/v1/rules/fleet", body, "If-None-Match", "*", 200, `"revision":1`},
		{"PUT", "/v1/rules/fleet", body, "If-None-Match", "*", 412, ProblemChanged},
		{"GET", "/v1/rules/fleet", "", "", "", 200, `"enabled":true`},
		{"PUT", "/v1/rules/fleet", body, "If-Match", `"1"`, 200, `"revision":2`},
		{"GET", "/v1/rules", "", "", "", 200, `"id":"fleet"`},
		{"DELETE", "/v1/rules/fleet", "", "If-Match", `"1"`, 412, ProblemChanged},
	} {
		w := h.do(c.method, c.path, c.body, c.header, c.value)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
	}
	if got := ids(h.ask(`{"placement":"popular"}`)); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("with the rule %v", got)
	}
	if w := h.do("DELETE", "/v1/rules/fleet", ""); w.Code != 204 {
		t.Errorf("delete: %d %s", w.Code, w.Body)
	}
	if got := ids(h.ask(`{"placement":"popular"}`)); len(got) != 4 {
		t.Errorf("without the rule %v", got)
	}
}

// TestRulesByUser: a rule asks for an attribute of the user that the request names.
func TestRulesByUser(t *testing.T) {
	h := shelf(t)
	if w := h.do("PUT", "/v1/users/ada", `{"attributes":{"tier":"gold","budget":50}}`); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	_, err := h.control.PutRule(t.Context(), control.Rule{
		Site: testSite, ID: "gold", Enabled: true, Condition: `user.tier == "gold"`, Filter: `item.price < user.budget`,
	}, "")
	h.must(err)
	for user, want := range map[string][]string{"ada": {"b", "c"}, "bob": {"a", "b", "c", "d"}} {
		if got := ids(h.ask(`{"placement":"popular","user_id":"` + user + `"}`)); !slices.Equal(got, want) {
			t.Errorf("%s is shown %v, want %v", user, got, want)
		}
	}
}
