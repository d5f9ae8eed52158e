package filter

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestExamplesOfTheGuide compiles and asks every example of docs/filters.md.
func TestExamplesOfTheGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/filters.md")
	if err != nil {
		t.Fatal(err)
	}
	price := 49.9
	item := &thing{
		texts: map[Field]string{FieldTitle: "Trail shoe", FieldBrand: "Salewa"}, price: &price, times: map[Field]time.Time{FieldPublishedAt: noon.Add(-48 * time.Hour)},
		lists: map[Field][]string{FieldCategories: {"shoes", "outdoor"}, FieldLabels: {"new"}},
		own:   map[string]any{"sizes": []any{41.0, 42.0}, "vegan": true},
	}
	values := &Values{Context: map[string]string{"budget": "50", "size": "42"}, User: map[string]string{"tier": "gold"}, Now: noon}
	_, examples, _ := strings.Cut(string(text), "## Examples")
	examples, _, _ = strings.Cut(examples, "\n## ")
	asked := 0
	for line := range strings.Lines(examples) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		expression, says := strings.ReplaceAll(strings.Trim(cells[1], " `"), "\x00", "|"), strings.TrimSpace(cells[2])
		got := "does not match"
		if p, err := Compile(expression); err != nil {
			got = err.Error()
		} else if p.Bind(values).Match(item) {
			got = "matches"
		}
		if asked++; got != says {
			t.Errorf("%s: %s, the guide says %s", expression, got, says)
		}
	}
	if asked < 15 {
		t.Errorf("only %d examples were found", asked)
	}
}
