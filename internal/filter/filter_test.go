package filter

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// thing is an item of these tests.
type thing struct {
	texts     map[Field]string
	price     *float64
	available bool
	times     map[Field]time.Time
	lists     map[Field][]string
	own       map[string]any
}

func (t *thing) TextOf(f Field) string { return t.texts[f] }
func (t *thing) NumberOf(Field) (float64, bool) {
	if t.price == nil {
		return 0, false
	}
	return *t.price, true
}
func (t *thing) BoolOf(Field) bool        { return t.available }
func (t *thing) TimeOf(f Field) time.Time { return t.times[f] }
func (t *thing) ListOf(f Field) Value {
	list := t.lists[f]
	return Texts(&list)
}
func (t *thing) OwnOf(name string) Value { return Of(t.own[name]) }

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func shoe() *thing {
	price := 49.9
	return &thing{
		texts: map[Field]string{FieldItemID: "s1", FieldTitle: "Trail shoe", FieldBrand: "Fleet"}, price: &price, available: true,
		times: map[Field]time.Time{FieldPublishedAt: noon.Add(-48 * time.Hour)},
		lists: map[Field][]string{FieldCategories: {"shoes", "outdoor"}, FieldLabels: {"new"}},
		own: map[string]any{
			"size": json.Number("42"), "material": "mesh", "vegan": true, "colours": []any{"red", "blue"}, "sizes": []any{json.Number("41"), json.Number("42")},
			"released": "2026-02-01T00:00:00Z",
		},
	}
}

func mustCompile(tb testing.TB, text string) *Program {
	tb.Helper()
	p, err := Compile(text)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return p
}

// TestMatch asks a shoe what shops ask of items.
func TestMatch(t *testing.T) {
	values := &Values{
		Context: map[string]string{"budget": "50", "category": "shoes", "flag": "true", "size": "42", "brand": "Fleet", "colour": "red", "since": "2026-03-01T00:00:00Z", "days": "72h"},
		User:    map[string]string{"tier": "gold", "limit": "49.95"}, Now: noon,
	}
	for text, want := range map[string]bool{
		`"shoes" in item.categories && item.price < context.budget`: true,
		`item.price < 49`:                                                false,
		`item.price <= 49.9 && item.price >= 49.9`:                       true,
		`50 > item.price`:                                                true,
		`context.budget <= item.price`:                                   false,
		`item.brand == "Fleet"`:                                          true,
		`item.brand != "Fleet"`:                                          false,
		`item.brand in ["Other", "Fleet"]`:                               true,
		`item.brand == context.brand`:                                    true,
		`context.category in item.categories`:                            true,
		`!(context.category in item.categories)`:                         false,
		`item.item_group_id != "g"`:                                      false, // has none: cannot be decided
		`!(item.item_group_id == "g")`:                                   false,
		`has(item.item_group_id)`:                                        false,
		`!has(item.item_group_id)`:                                       true,
		`has(item.labels) && size(item.labels) == 1`:                     true,
		`item.labels.size() > 1`:                                         false,
		`item.categories[0] == "shoes"`:                                  true,
		`item.categories[7] == "shoes"`:                                  false,
		`item.title.startsWith("Trail")`:                                 true,
		`item.title.matches("(?i)trail .hoe$")`:                          true,
		`item.title.contains("boot")`:                                    false,
		`item.url.contains("boot") || item.price < 50`:                   true,
		`item.published_at > now - duration("72h")`:                      true,
		`now - item.published_at < duration("24h")`:                      false,
		`now - item.published_at < duration(context.days)`:               true,
		`item.published_at > context.since`:                              false,
		`item.expires_at > now`:                                          false,
		`!has(item.expires_at) || item.expires_at > now`:                 true,
		`now.getHours() == 12 && now.getHours("Europe/Berlin") == 13`:    true,
		`timestamp("2026-03-01T00:30:00+01:00").getHours() == 23`:        true,
		`context.flag`:                                                   true,
		`context.flag == true`:                                           true,
		`!context.flag`:                                                  false,
		`context.budget == "50"`:                                         true,
		`context.missing == "x"`:                                         false,
		`!(context.missing == "x")`:                                      false,
		`has(context.missing) ? item.price < context.missing : true`:     true,
		`user.tier == "gold" && item.price < user.limit`:                 true,
		`item.fields.size == 42`:                                         true,
		`item.fields.size == context.size`:                               true,
		`context.size in item.fields.sizes`:                              true,
		`context.colour in item.fields.colours`:                          true,
		`item.fields.size > context.size`:                                false,
		`item.fields.vegan`:                                              true,
		`item.fields.vegan == context.flag`:                              true,
		`item.fields["material"] == "mesh"`:                              true,
		`"red" in item.fields.colours`:                                   true,
		`item.fields.colours.exists(c, c.startsWith("b"))`:               true,
		`item.fields.colours.all(c, c.startsWith("b"))`:                  false,
		`item.categories.exists(c, c == context.category)`:               true,
		`["a", context.category].exists(c, c in item.categories)`:        true,
		`item.fields.missing == 1`:                                       false,
		`item.fields.missing != 1`:                                       false,
		`item.fields.material > 3`:                                       false,
		`timestamp(item.fields.released) < now`:                          true,
		`item.price * 2 < context.budget + 50`:                           true,
		`(item.price < 10 ? "cheap" : "dear") == "dear"`:                 true,
		`item.available`:                                                 true,
		`true`:                                                           true,
		`1 < 2 && "a" in ["a"]`:                                          true,
		`item.price in [1, 49.9]`:                                        true,
		`item.price in [context.budget, 49.9]`:                           true,
		`context.budget in [50, 60]`:                                     true,
		`-item.price < 0`:                                                true,
		`item.item_id in ["s0","s1","s2","s3","s4","s5","s6","s7","s8"]`: true,
		`item.title.size() == 10`:                                        true,
	} {
		if got := mustCompile(t, text).Bind(values).Match(shoe()); got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

// TestMistakes shows what people are told who write something wrong.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`item.prize < 50`:                      `line 1, column 5: an item has no field "prize" (did you mean item.price?)`,
		`item.price < 50 &&\nitm.brand == "x"`: `line 2, column 1: "itm" is not known here (did you mean item?)`,
		`item.price < "50"`:                    `line 1, column 12: < does not take (number, text) (both sides must be of one type; double(...) reads a text as a number)`,
		`item.categories == "shoes"`:           `line 1, column 17: == does not take (list(text), text) (write "x" in item.categories, or item.categories.exists(c, c == "x"))`,
		`item.price`:                           `line 1, column 5: the expression is a number, but a bool is needed here`,
		`item.price == null`:                   `line 1, column 15: there is no null here (has(item.price) tells whether there is one)`,
		`context.a < context.b`:                `line 1, column 11: what is to be compared here, texts or numbers? (write double(...) around each)`,
		`"a" in context.b`:                     `line 1, column 15: a value of context or user is one text, not a list (compare it with ==)`,
		`item.fields == 1`:                     `line 1, column 5: item.fields is not a value by itself (write item.fields.NAME)`,
		`item.fields.a.b == 1`:                 `line 1, column 14: "b": a value has no parts of its own`,
		`item.title.matches(item.brand)`:       `line 1, column 24: the pattern of matches must be a text in the expression (write it in quotes, as in item.title.matches("^Trail"))`,
		`item.title.matches("(")`:              `line 1, column 20: the pattern cannot be read: error parsing regexp: missing closing ): ` + "`(`" + ` (patterns are those of RE2)`,
		`item.fields.released < now`:           `line 1, column 12: an item's own field is a text, a number, a bool or a list, never a time (write timestamp(...) around it)`,
		`item.labels.exists(x, item.categories.exists(y, x == y))`: `line 1, column 45: exists and all cannot stand inside one another`,
		`item.labels.map(x, x)`:        `line 1, column 16: "map" is not known here (there are item, context, user and now; texts stand in quotes)`,
		`item.price <`:                 `line 1, column 13: syntax error: the expression ends too early`,
		``:                             `the expression is empty`,
		`now.getHours("Nowhere") == 1`: `line 1, column 14: this is not a time zone (write a name such as "Europe/Berlin")`,
		`item.brand in [item.title]`:   `line 1, column 20: a list may hold constants and values of context alone (compare one by one, with == and ||)`,
		`{"a": 1}["a"] == 1`:           `line 1, column 1: maps and objects cannot be written here`,
	} {
		_, err := Compile(strings.ReplaceAll(text, `\n`, "\n"))
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want an *Error", text, err)
			continue
		}
		if err.Error() != want {
			t.Errorf("%s:\n  %s\nwant\n  %s", text, err, want)
		}
	}
}
