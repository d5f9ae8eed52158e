package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/registry"
)

// Two versions: settings differ in one field, one model is in one of them only, figures are put beside each other.
func TestModelsDiff(t *testing.T) {
	a, b := shownModel{listedModel{Manifest: shownManifest()}, true}, shownModel{listedModel{Manifest: shownManifest()}, false}
	b.Version = "v2"
	delete(b.Models, "blend")
	popular := b.Models["popularity"]
	popular.Params = json.RawMessage(`{"half_life_ns":21600000000000,"per_category":200}`)
	popular.Metrics["MRR@20"] = registry.Metric{Value: 0.1, Low: 0.05, High: 0.15}
	delete(popular.Metrics, "novelty@10")
	b.Models["popularity"] = popular

	printed := func() string {
		t.Helper()
		d, err := diffModels(a, b)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := printDiff(&out, d); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.FieldsFunc(out.String(), func(r rune) bool { return r == ' ' }), " ")
	}
	text := printed()
	for _, want := range []string{
		"version v1 (champion) v2\n", "interactions 800 800\n", "\npopularity half_life: 180d -> 6h\n", "\nblend kind: blend -> -\n",
		"on the same test.\n", "\npopularity MRR@20 0.2000 (0.1500 to 0.2500) 0.1000 (0.0500 to 0.1500) -0.1000\n",
		"\npopularity novelty@10 3.5000 (3.0000 to 4.0000) - -\n", "\npopularity coverage@20 0.7500 0.7500 +0.0000\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "per_category") {
		t.Errorf("a setting that is the same is told:\n%s", text)
	}
	for name, change := range map[string]func(m *registry.Manifest){
		"another snapshot":         func(m *registry.Manifest) { m.Source.SnapshotID++ },
		"another choice of events": func(m *registry.Manifest) { m.Source.Events-- },
		"another number of tests":  func(m *registry.Manifest) { m.Gate.Examples++ },
	} {
		b.Source, b.Gate = a.Source, a.Gate
		change(&b.Manifest)
		if text := printed(); !strings.Contains(text, "different tests") || strings.Contains(text, "same test") {
			t.Errorf("%s: it is not said that tests differ:\n%s", name, text)
		}
	}
}
