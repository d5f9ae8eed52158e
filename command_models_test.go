package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/registry"
)

// TestDamagedModels: damage to one version hides no other, `models` says what is damaged, puts nothing damaged in force,
// and the way out that it names leads out.
func TestDamagedModels(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, controlFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	siteDir := filepath.Join(dir, "models", event.DefaultSite)
	models := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := Run(t.Context(), append([]string{"models", "--data-dir", dir}, args...), &out, &out)
		return out.String(), err
	}
	sound, damaged := publishModel(t, dir, "a"), publishModel(t, dir, "b")
	if err := os.Truncate(filepath.Join(siteDir, damaged, "manifest.json"), 10); err != nil {
		t.Fatal(err)
	}

	if _, err := models("promote", damaged); !errors.Is(err, registry.ErrCorrupt) {
		t.Fatalf("promoting the damaged version gave %v", err)
	}
	if out, err := models("promote", sound); err != nil || out != "champion "+sound+"\n" {
		t.Fatalf("promoting the sound version gave %q, %v", out, err)
	}
	out, err := models("list")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("listed %s", out)
	}
	expectText(t, lines[1], damaged, "damaged: manifest.json: ")
	expectText(t, lines[2], sound+" (champion)", "first")

	out, err = models("list", "--json")
	var listed struct {
		Champion string
		Models   []struct{ Version, Damaged string }
	}
	if err := errors.Join(err, json.Unmarshal([]byte(out), &listed)); err != nil {
		t.Fatal(err)
	}
	if listed.Champion != sound || len(listed.Models) != 2 || listed.Models[0].Damaged == "" || listed.Models[1].Damaged != "" {
		t.Errorf("listed %s", out)
	}

	champion := filepath.Join(siteDir, "champion")
	if err := os.Truncate(champion, 3); err != nil {
		t.Fatal(err)
	}
	out, err = models("list")
	if !errors.Is(err, registry.ErrCorrupt) || !strings.Contains(err.Error(), champion) {
		t.Errorf("a damaged champion file gave %v", err)
	}
	expectText(t, out, sound, damaged)
	if _, err := models("promote", sound); err != nil {
		t.Errorf("the way out is closed: %v", err)
	}
}

// publishModel stores a version of one item, as a training would.
func publishModel(t *testing.T, dir, item string) (version string) {
	t.Helper()
	r, err := registry.Open(filepath.Join(dir, "models"))
	if err != nil {
		t.Fatal(err)
	}
	var sessions model.Sessions
	sessions.Append([]int32{0}, []int64{1})
	popular, err := popularity.Fit(popularity.Default(), &sessions, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, int(item[0]-'a'), 0, 0, 0, time.UTC) // in the order of the items
	m, err := r.Publish(t.Context(), registry.Manifest{Site: event.DefaultSite, CreatedAt: at, Gate: registry.Gate{Reason: "first"}},
		[]registry.Artifact{{Name: "vocabulary", Model: model.NewVocabulary(item)}, {Name: popularity.Name, Model: popular}})
	if err != nil {
		t.Fatal(err)
	}
	return m.Version
}
