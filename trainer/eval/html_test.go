package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func pageOf(t *testing.T, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// full is a report with everything that a page can show.
func full(t *testing.T) *Report {
	t.Helper()
	events, items := tastes(t)
	r, err := Run(context.Background(), Config{
		Data: events, Items: items, Protocol: ProtocolRandomHoldout, Baseline: ModelPopularity, Models: []string{ModelPopularity, ModelVMIS, ModelBlend},
		Seeds: 2, K: []int{5, 10}, Site: "shop",
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Data = `<script>alert("x")</script>`
	last := len(r.Results[0].Slices) - 1
	r.Results[0].Slices[last].Name = `"><img onerror=x>`
	return r
}

func TestPageShowsEverythingAndNeedsNothing(t *testing.T) {
	r := full(t)
	page := pageOf(t, r)
	for _, want := range []string{
		"random-holdout", "seed 0", "seed 1", "NDCG@10, difference to popularity", "coverage@10", "novelty@10", "Lists of 5", "kind 0", "returning", "head",
		"How parameters were chosen", `class="chip on"`, "What the blend is made of", "validation predictions", "120 users", "site shop", "&lt;script&gt;", "&#34;&gt;&lt;img",
		figure(r.Results[1].Metrics["NDCG@10"].Value), r.Results[1].Metrics["NDCG@10"].brief(), "diversity",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, not := range []string{"<script", "<link", "<img", "http://", "https://", "src=", "url(", "@import", "ZgotmplZ", "NaN", "Inf", "<no value>"} {
		if strings.Contains(page, not) {
			t.Errorf("%q in the page", not)
		}
	}
}

// Every element of the plots is closed and every attribute a number or a word: a browser shows what it can of a broken plot.
func TestPlotsAreWellFormed(t *testing.T) {
	page, plots := pageOf(t, full(t)), 0
	for rest := page; ; plots++ {
		from := strings.Index(rest, "<svg")
		if from < 0 {
			break
		}
		to := strings.Index(rest, "</svg>") + len("</svg>")
		d := xml.NewDecoder(strings.NewReader(rest[from:to]))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("plot %d: %v in\n%s", plots, err, rest[from:to])
			}
		}
		rest = rest[to:]
	}
	if plots != 7 {
		t.Errorf("%d plots, want five metrics, the differences and the mix", plots)
	}
}

// What is stored is the JSON; the page that is made of it later is the same.
func TestPageOfAStoredReportIsTheSame(t *testing.T) {
	r := full(t)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var stored Report
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	// The fields of parameters come back in alphabetical order.
	cut := func(page string) string {
		for {
			before, rest, found := strings.Cut(page, "<pre>")
			if !found {
				return page
			}
			_, after, _ := strings.Cut(rest, "</pre>")
			page = before + after
		}
	}
	if a, b := cut(pageOf(t, r)), cut(pageOf(t, &stored)); a != b {
		t.Error("the page of the stored report differs")
	}
}

func TestPageOfLittle(t *testing.T) {
	r, err := Run(context.Background(), Config{Data: walks(t), Models: []string{ModelPopularity}})
	if err != nil {
		t.Fatal(err)
	}
	page := pageOf(t, r)
	if strings.Contains(page, "difference to") || strings.Contains(page, "<h2>Seeds") || !strings.Contains(page, "popularity does best: MRR@20") {
		t.Error("the page of one model compares or repeats something")
	}
	if page := pageOf(t, &Report{}); !strings.Contains(page, "No model was measured") {
		t.Error("the page of nothing says something else")
	}
}

func TestScaleHasRoundTicks(t *testing.T) {
	for _, c := range []struct {
		low, high, min, max float64
		ticks               int
	}{{0, 0.37, 0, 0.4, 5}, {0, 1, 0, 1, 3}, {-0.013, 0.004, -0.015, 0.005, 5}, {9.2, 11.4, 9, 12, 4}, {0, 0, 0, 1, 3}, {0, 830, 0, 1000, 3}} {
		s, ticks := newScale(c.low, c.high, 0, 100)
		if !near(s.min, c.min) || !near(s.max, c.max) || len(ticks) != c.ticks {
			t.Errorf("%g to %g: %g to %g with %d ticks, want %g to %g with %d", c.low, c.high, s.min, s.max, len(ticks), c.min, c.max, c.ticks)
		}
		if math.Abs(ticks[0].X) > 1e-9 || math.Abs(ticks[len(ticks)-1].X-100) > 1e-9 {
			t.Errorf("%g to %g: ticks from %g to %g, want 0 to 100", c.low, c.high, ticks[0].X, ticks[len(ticks)-1].X)
		}
	}
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	low, high := 0.1, 0.3
	r := &Report{PrimaryMetric: "HR@5", Baseline: "a", Results: []Result{
		{Model: "a", Metrics: map[string]MetricValue{"HR@5": {Value: 0.2, Low: &low, High: &high}}},
		{Model: "b", Metrics: map[string]MetricValue{"HR@5": {Value: 0.4}}},
	}}
	p := r.bars()[0]
	a, b := p.Rows[0], p.Rows[1]
	if !near(2*a.Length, b.Length) || !near(a.Low-a.X, a.Length/2) || !near(a.High-a.X, 1.5*a.Length) || b.Low != b.High {
		t.Errorf("bars %+v and %+v", a, b)
	}
	if !a.Baseline || b.Baseline || a.Best || !b.Best {
		t.Errorf("a is the baseline and b the best: %+v, %+v", a, b)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for v, want := range map[float64]string{0.12345: "0.1235", 1.5: "1.5000", 3.14159: "3.142", 123.456: "123.46", -30.5: "-30.50"} {
		if got := figure(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -123456: "-123 456"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
