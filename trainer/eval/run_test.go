package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// walks writes a shop where item i is followed by item i+1, mostly: sequence models must win over popularity.
func walks(t *testing.T) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 0))
	var b strings.Builder
	b.WriteString("session_id,item_id,timestamp\n")
	for s := range 600 {
		item := rng.IntN(100)
		for e := range 4 {
			fmt.Fprintf(&b, "s%d,i%d,%d\n", s, item, 1_600_000_000+s*1000+e)
			if item = (item + 1) % 100; rng.IntN(5) == 0 {
				item = rng.IntN(100)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "walks.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunMeasuresEveryModel(t *testing.T) {
	c := Config{Data: walks(t), K: []int{10, 5}, Tune: true, Trials: 12, Seed: 7, Site: "default"}
	r, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Examples == 0 || r.Examples != 3*r.Sessions || r.Items != 100 || r.Rows != 2400 || r.Clock != "event" {
		t.Errorf("report %+v", r)
	}
	var order []string
	hits := map[string]MetricValue{}
	for _, result := range r.Results {
		order = append(order, result.Model)
		hits[result.Model] = result.Metrics["HR@5"]
		figures := 12
		if result.Model == ModelContent {
			figures = 10 // nothing is known of the items, so that all its lists are empty, and have no novelty
		}
		if len(result.Metrics) != figures || result.Tuning == nil || result.QueryP99 < result.QueryP50 {
			t.Errorf("%s: %d metrics, tuning %v", result.Model, len(result.Metrics), result.Tuning)
		}
	}
	if !slices.Equal(order, Models()) {
		t.Errorf("models %v, want %v", order, Models())
	}
	for _, name := range []string{ModelTransitions, ModelVMIS, ModelVSTAN} {
		if *hits[name].Low <= *hits[ModelPopularity].High || hits[name].Value < 0.7 {
			t.Errorf("%s reaches %+v, popularity %+v", name, hits[name], hits[ModelPopularity])
		}
	}
	again, err := Run(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Results {
		if a, b := figures(t, r.Results[i]), figures(t, again.Results[i]); a != b {
			t.Errorf("the same seed gave %s and %s", a, b)
		}
	}
}

func figures(t *testing.T, r Result) string {
	t.Helper()
	b, err := json.Marshal([]any{r.Params, r.Metrics})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Scripts read these names.
func TestJSONShape(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: walks(t), Models: []string{ModelVSTAN}})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := r.WriteJSON(&buf); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(buf.String(), "\n"); lines != 1 {
		t.Errorf("%d lines, want one object on one line", lines)
	}
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"protocol", "data", "seed", "repeat_policy", "examples", "results"} {
		if _, ok := got[key]; !ok {
			t.Errorf("no %q in %s", key, buf.String())
		}
	}
	result := got["results"].([]any)[0].(map[string]any)
	for _, key := range []string{"model", "params", "metrics", "fit_seconds", "query_p50_us", "query_p99_us"} {
		if _, ok := result[key]; !ok {
			t.Errorf("no %q in the result", key)
		}
	}
	if params := result["params"].(map[string]any); params["scoring"] != "vstan" || params["m"] != 500.0 {
		t.Errorf("params %v", params)
	}
	metrics := result["metrics"].(map[string]any)
	hr := metrics["HR@20"].(map[string]any)
	if !(hr["low"].(float64) <= hr["value"].(float64) && hr["value"].(float64) <= hr["high"].(float64)) {
		t.Errorf("HR@20 %v", hr)
	}
	if cover := metrics["coverage@20"].(map[string]any); cover["low"] != nil || cover["value"].(float64) <= 0 {
		t.Errorf("coverage %v, want no interval", cover)
	}
	if got["repeat_policy"] != "none" || result["repeat_policy"] != "none" {
		t.Errorf("repeat policy %v, %v", got["repeat_policy"], result["repeat_policy"])
	}
	tuning := result["tuning"].(map[string]any)
	if grid := tuning["grid"].(map[string]any); len(grid) != 1 || len(grid["repeats"].([]any)) != 4 || tuning["objective"] != "mean of HR@20 and MRR@20" {
		t.Errorf("tuning %v, want the choice of the repeat policy", tuning)
	}
}

func TestTableShowsTheFigures(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: walks(t), Models: []string{ModelPopularity}, Tune: true})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := r.WriteTable(&buf); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("n = %d predictions", r.Examples), "popularity", "HR@20", "coverage@20", "half_life_ns", "chosen", "half_life_ns, repeats by mean of", "validation predictions",
		"times: 2020-09-13T12:26:40Z to", "seed 0",
	} {
		if !strings.Contains(buf.String(), want) {
			t.Errorf("no %q in\n%s", want, buf.String())
		}
	}
}

func TestRunRefusesWrongUsage(t *testing.T) {
	for want, c := range map[string]Config{
		`protocol "guess" is not known; available: next-item, leave-last, temporal`:    {Protocol: "guess"},
		"protocol temporal makes its own split":                                        {Protocol: "temporal", SplitColumn: "split"},
		"protocol leave-last holds out one event":                                      {Protocol: "leave-last", Holdout: 0.1},
		"protocol next-item has no time at which":                                      {TestFrom: time.Unix(1, 0)},
		"protocol temporal draws nothing by chance":                                    {Protocol: "temporal", Seeds: 2},
		"seeds must be 1 to 100, not 101":                                              {Protocol: "random-holdout", Seeds: 101},
		`baseline "vstan" is not among the models that are measured: popularity`:       {Models: []string{"popularity"}, Baseline: "vstan"},
		`model "als" is not known; available: popularity, transitions, vmisknn, vstan`: {Models: []string{"als"}},
		"k must be 1 to 1000":                                                          {K: []int{0, 10}},
		"holdout 1 must be":                                                            {Holdout: 1},
		"exclude each other":                                                           {Holdout: 0.1, SplitColumn: "split"},
		"trials (-1) and workers":                                                      {Trials: -1},
		"no lake is at hand":                                                           {Data: "lake"},
		"no data: give the path":                                                       {},
	} {
		_, err := Run(context.Background(), c)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want a usage error with %q", err, want)
		}
	}
}

func TestTuningWithoutValidationIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "few.csv")
	if err := os.WriteFile(path, []byte("session_id,item_id,split\n1,a,train\n1,b,train\n2,c,valid\n2,d,valid\n3,a,test\n3,b,test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Data: path, Tune: true}
	if _, err := Run(context.Background(), c); err == nil || !strings.Contains(err.Error(), "validation part is empty") {
		t.Errorf("error %v", err)
	}
	c.Tune = false
	if r, err := Run(context.Background(), c); err != nil || r.Examples != 1 {
		t.Errorf("untuned: %v, %v", r, err)
	}
}
