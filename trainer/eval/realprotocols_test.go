package eval

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/history"
)

// Every public data set goes through the protocols that fit it, without a leak, and what models reach is of the order that
// is published or that a plain script reaches.
func TestRealProtocols(t *testing.T) {
	dir := os.Getenv("MILLRACE_TEST_DATA")
	if dir == "" {
		t.Skip("MILLRACE_TEST_DATA does not name the folder of public data sets")
	}
	for _, c := range []struct {
		name, file, items, protocol string
		examples                    int
		model, metric               string
		low, high                   float64
		change                      func(*Config)
	}{
		{name: "ml-100k", file: "ratings", items: "items", protocol: ProtocolRandomHoldout, examples: 3 * 943,
			model: ModelPopularity, metric: "NDCG@10", low: 0.24, high: 0.26, change: func(c *Config) { c.Models, c.Tune = []string{ModelPopularity}, true }},
		{name: "ml-100k", file: "ratings", items: "items", protocol: ProtocolStrongGeneralization, examples: 282,
			model: ModelVMIS, metric: "Recall@50", low: 0.35, high: 0.5},
		{name: "ml-100k", file: "ratings", protocol: ProtocolLeaveLast, examples: 940, model: ModelVMIS, metric: "NDCG@10", low: 0.07, high: 0.12},
		{name: "ml-100k", file: "ratings", protocol: ProtocolTemporal, examples: 299, model: ModelPopularity, metric: "NDCG@20", low: 0.3, high: 0.45},
		{name: "deskdrop", file: "events", protocol: ProtocolTemporal, examples: 456, model: ModelPopularity, metric: "Recall@20", low: 0.08, high: 0.16},
		{name: "deskdrop", file: "events", protocol: ProtocolNextItem, examples: 0, model: ModelVMIS, metric: "HR@20", low: 0.2, high: 1},
		{name: "taobao-sample", file: "events", protocol: ProtocolTemporal, examples: 542, model: ModelPopularity, metric: "HR@20", low: 0.01, high: 0.1,
			change: func(c *Config) { c.Weights = map[string]float64{"pv": 1, "fav": 2, "cart": 3, "buy": 5} }},
		{name: "movietweetings-100k", file: "ratings", items: "items", protocol: ProtocolTemporal, examples: 5542,
			model: ModelPopularity, metric: "NDCG@20", low: 0.12, high: 0.17},
		{name: "online-retail", file: "events", items: "items", protocol: ProtocolTemporal, examples: 1769, model: ModelPopularity, metric: "HR@20", low: 0.5, high: 0.7},
		{name: "serenade-clicks", file: "events", protocol: ProtocolTemporal, examples: 0, model: ModelPopularity, metric: "NDCG@20", low: 0, high: 0.1,
			change: func(c *Config) { c.Mapping = history.Mapping{"user_id": "session_id"} }},
	} {
		t.Run(c.name+" "+c.protocol, func(t *testing.T) {
			cfg := Config{Data: filepath.Join(dir, c.name, c.file+".csv.gz"), Protocol: c.protocol, Models: []string{ModelPopularity, ModelVMIS}, Baseline: ModelPopularity, Seed: 1}
			if c.items != "" {
				cfg.Items = filepath.Join(dir, c.name, c.items+".csv.gz")
			}
			if c.change != nil {
				c.change(&cfg)
			}
			r, err := Run(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if r.BadRows > 0 || c.examples > 0 && r.Examples != c.examples || r.Examples < MinPredictions {
				t.Errorf("n = %d, want %d; %d bad rows: %s", r.Examples, c.examples, r.BadRows, r.FirstBadRow)
			}
			for _, result := range r.Results {
				t.Logf("%s: %s %.4f", result.Model, c.metric, result.Metrics[c.metric].Value)
				if v := result.Metrics[c.metric].Value; result.Model == c.model && !(v >= c.low && v <= c.high) {
					t.Errorf("%s of %s is %.4f, want %g to %g", c.metric, result.Model, v, c.low, c.high)
				}
			}
		})
	}
	var usage *UsageError
	_, err := Run(context.Background(), Config{Data: filepath.Join(dir, "obd-small", "men.csv.gz"), Protocol: ProtocolTemporal})
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "nothing says which events belong together") {
		t.Errorf("a log of impressions without visitors: error %v", err)
	}
}
