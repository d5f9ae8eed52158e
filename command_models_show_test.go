package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/registry"
)

// shownManifest is a version of two models, one of which was not measured.
func shownManifest() registry.Manifest {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return registry.Manifest{
		Version: "v1", Site: event.DefaultSite, CreatedAt: noon, Seed: 7,
		Source: registry.Source{SnapshotID: 42, From: noon.AddDate(0, 0, -9), To: noon, Rows: 900, Events: 800, Sessions: 70, Items: 60},
		Gate:   registry.Gate{Promoted: true, Reason: "beats popularity", Champion: "v0", Examples: 55},
		Models: map[string]registry.ModelInfo{
			"popularity": {
				Kind: "popularity", FitSeconds: 0.25, Params: json.RawMessage(`{"half_life_ns":15552000000000000,"per_category":200}`),
				Metrics: map[string]registry.Metric{
					"novelty@10": {Value: 3.5, Low: 3, High: 4}, "MRR@20": {Value: 0.2, Low: 0.15, High: 0.25},
					"HR@20": {Value: 0.5, Low: 0.4, High: 0.6}, "coverage@20": {Value: 0.75, Low: 0.75, High: 0.75}, "NDCG@20": {Value: 0.3, Low: 0.2, High: 0.4},
				},
			},
			"blend": {Kind: "blend", Params: json.RawMessage(`{"members":["popularity"],"contexts":[{"weights":[0.5,1],"examples":9}]}`)},
		},
		Files:   []registry.File{{Model: "popularity", Kind: "popularity", Name: "popularity.bin", Bytes: 1234, SHA256: "abcd"}},
		Reports: []registry.File{{Model: "report", Name: registry.ReportHTML, Bytes: 99, SHA256: "ef01"}},
	}
}

func TestModelsShowTellsAllOfAVersion(t *testing.T) {
	var out strings.Builder
	m := shownModel{listedModel{shownManifest(), "erasure_1"}, true}
	if err := printModel(&out, m); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.FieldsFunc(out.String(), func(r rune) bool { return r == ' ' }), " ")
	for _, want := range []string{
		"version v1 (champion)\n", "created 2026-03-01 12:00:00 UTC\n", "seed 7\n", "gate promoted: beats popularity\n",
		"judged on 55 predictions, beside the champion v0\n", "900 rows read, 800 interactions in 70 sessions of two or more, 60 items\n",
		"happened 2026-02-20 12:00:00 to 2026-03-01 12:00:00 UTC\n", "snapshot 42 ", "not since erasure erasure_1",
		"\nMODEL HR@20 MRR@20 NDCG@20 coverage@20\nblend - - - -\n" +
			"popularity 0.5000 (0.4000 to 0.6000) 0.2000 (0.1500 to 0.2500) 0.3000 (0.2000 to 0.4000) 0.7500\n",
		"\nMODEL novelty@10\nblend -\npopularity 3.5000 (3.0000 to 4.0000)\n",
		"\npopularity: popularity, fitted in 0.25 s\n half_life=180d per_category=200\n",
		` contexts[0].examples=9 contexts[0].weights=[0.5,1] members=["popularity"]`,
		"\npopularity.bin popularity 1234 abcd\n", "\nreport.html report 99 ef01\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	m.Champion, m.NotReproducible, m.Gate = false, "", registry.Gate{Reason: "knows 9 items"}
	m.Source.Logical = true
	out.Reset()
	if err := printModel(&out, m); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kept: knows 9 items\n", "without a champion\n", "in an order without times\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "(champion)") || strings.Contains(out.String(), "erasure") {
		t.Errorf("neither in force nor touched by an erasure, but shown so:\n%s", out.String())
	}
}

func TestSettingsReadAsStored(t *testing.T) {
	got, err := settingsOf(registry.ModelInfo{Kind: "x", Params: json.RawMessage(
		`{"none_ns":0,"hours_ns":21600000000000,"odd_ns":1500000000,"seed":18446744073709551615,"small":0.000001,"on":true,"inner":{"deep":"text"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"kind": "x", "none": "0s", "hours": "6h", "odd": "1.5s", "seed": "18446744073709551615", "small": "0.000001", "on": "true", "inner.deep": "text",
	}
	for field, value := range want {
		if got[field] != value {
			t.Errorf("%s is %q, want %q", field, got[field], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := settingsOf(registry.ModelInfo{Params: json.RawMessage(`{"half_life_ns":1.5}`)}); err == nil {
		t.Error("half a nanosecond is no error")
	}
}

// publishedShop is the data directory of a shop with two versions, the first in force and the second without a report.
func publishedShop(t *testing.T) (dir string, versions [2]string) {
	t.Helper()
	dir = t.TempDir()
	store, err := control.Open(t.Context(), filepath.Join(dir, controlFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	models, err := registry.Open(t.Context(), objstore.Place{Dir: filepath.Join(dir, "models")})
	if err != nil {
		t.Fatal(err)
	}
	var sessions model.Sessions
	sessions.Append([]int32{0, 1}, []int64{1000, 2000})
	popular, err := popularity.Fit(popularity.Default(), &sessions, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	artifacts := []registry.Artifact{{Name: "vocabulary", Model: model.NewVocabulary("a", "b")}, {Name: "popularity", Model: popular}}
	for i := range versions {
		m := shownManifest()
		m.Files, m.Reports, m.CreatedAt = nil, nil, m.CreatedAt.AddDate(0, 0, i)
		reports := []registry.Report{{Name: registry.ReportHTML, Content: []byte("<p>how it did</p>")}}
		if m, err = models.Publish(t.Context(), m, artifacts, reports[i:]...); err != nil {
			t.Fatal(err)
		}
		versions[i] = m.Version
	}
	if err := models.Promote(t.Context(), event.DefaultSite, versions[0]); err != nil {
		t.Fatal(err)
	}
	return dir, versions
}

func TestModelsShowAndDiffByName(t *testing.T) {
	dir, versions := publishedShop(t)
	page := filepath.Join(t.TempDir(), "report.html")
	stdout, stderr, exit := runHere(t, "models", "show", "champion", "--json", "--report", page, "--data-dir", dir)
	var shown struct {
		Version  string
		Champion bool
		Source   struct{ Events int }
	}
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || exit != exitDone || shown.Version != versions[0] || !shown.Champion || shown.Source.Events != 800 {
		t.Errorf("show champion: exit %d, %q, %s", exit, stdout, stderr)
	}
	if content, err := os.ReadFile(page); err != nil || string(content) != "<p>how it did</p>" {
		t.Errorf("report %q, %v", content, err)
	}
	stdout, stderr, exit = runHere(t, "models", "diff", "champion", "20260302", "--data-dir", dir)
	if exit != exitDone {
		t.Errorf("diff: exit %d, %s", exit, stderr)
	}
	expectText(t, stdout, versions[0]+" (champion)", versions[1], "none", "same test")

	missing := filepath.Join(t.TempDir(), "missing.html")
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"show", "202603"}, []string{versions[0], versions[1], "more of the name"}},
		{[]string{"show", "2027"}, []string{`"2027"`, versions[0], versions[1]}},
		{[]string{"diff", "champion", "2027"}, []string{`"2027"`, versions[0]}},
		{[]string{"show", "champion", "--site", "other"}, []string{"`millrace train`"}},
		{[]string{"show", versions[1], "--report", missing}, []string{versions[1], "no such report", "`millrace train`"}},
	} {
		_, stderr, exit := runHere(t, append(append([]string{"models"}, c.args...), "--data-dir", dir)...)
		if exit != exitFailed {
			t.Errorf("%v: exit %d, want %d", c.args, exit, exitFailed)
		}
		expectText(t, stderr, c.want...)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a report that there is not left a file")
	}
}
