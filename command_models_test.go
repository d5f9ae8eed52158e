package main

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/registry"
)

// The reason of a gate tells figures; the list must tell what came of them.
func TestModelsListTellsTheDecision(t *testing.T) {
	var out strings.Builder
	err := printModels(&out, []listedModel{
		{Manifest: registry.Manifest{Version: "v1", Gate: registry.Gate{Promoted: true, Reason: "beats popularity"}}, NotReproducible: "erasure_1"},
		{Manifest: registry.Manifest{Version: "v2", Gate: registry.Gate{Reason: "knows 9 items"}}},
		{Manifest: registry.Manifest{Version: "v3", Damaged: "manifest.json", Gate: registry.Gate{Promoted: true}}},
	}, "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"v1 (champion)", "  promoted: beats popularity; not reproducible since erasure erasure_1\n", "  kept: knows 9 items\n", "  damaged: manifest.json\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
