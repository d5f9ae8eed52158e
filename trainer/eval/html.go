package eval

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"
)

//go:embed report.html
var reportHTML string

// page is what the template shows: the report and what is worked out of it.
type page struct {
	*Report
	Headline string
	Facts    []fact
	Depths   []depth // tables of all figures, the longest list first
	Bars     []bars
	Forest   *forest
	Mix      *scatter
	Slices   []sliceTable
	Shares   []shareRow
	Tunings  []tuningTable
	Kinds    []fact // what the figures are
}

// fact is a name with what there is to say of it.
type fact struct{ Name, Value string }

// WriteHTML writes the report as one page with plots that needs nothing else: no script, no other file, no network. A report
// that was read back from its JSON gives the same page.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"figure": func(v float64) string { return figure(v) },
		"grouped": func(n int) string {
			return grouped(n)
		},
		"seconds": func(s float64) string { return strconv.FormatFloat(s, 'f', 2, 64) + " s" },
	}).Parse(reportHTML)
	if err != nil {
		return fmt.Errorf("write report page: %w", err)
	}
	p := &page{
		Report: r, Headline: r.headline(), Facts: r.facts(), Depths: r.depths(), Bars: r.bars(), Forest: r.forest(), Mix: r.mix(),
		Slices: r.sliceTables(), Shares: r.shareRows(), Tunings: r.tunings(), Kinds: r.kinds(),
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("write report page: %w", err)
	}
	return nil
}

// best returns the result with the highest primary metric; nil where there is none.
func (r *Report) best() *Result {
	var best *Result
	for i := range r.Results {
		if best == nil || r.Results[i].Metrics[r.PrimaryMetric].Value > best.Metrics[r.PrimaryMetric].Value {
			best = &r.Results[i]
		}
	}
	return best
}

// headline says which model did best, and whether more than chance.
func (r *Report) headline() string {
	best := r.best()
	if best == nil {
		return "No model was measured."
	}
	words := fmt.Sprintf("%s does best: %s %s", best.Model, r.PrimaryMetric, figure(best.Metrics[r.PrimaryMetric].Value))
	if best.Metrics[r.PrimaryMetric].Low != nil {
		words += fmt.Sprintf(" (95 %% interval %s)", best.Metrics[r.PrimaryMetric].brief())
	}
	if best.Versus == nil || best.Versus.Metrics[r.PrimaryMetric].Low == nil {
		return words + "."
	}
	switch diff := best.Versus.Metrics[r.PrimaryMetric]; {
	case *diff.Low > 0:
		return fmt.Sprintf("%s, %+.4f over %s, which is more than chance.", words, diff.Value, best.Versus.Model)
	default:
		return fmt.Sprintf("%s, %+.4f over %s, which may be chance.", words, diff.Value, best.Versus.Model)
	}
}

// facts are the data and the protocol.
func (r *Report) facts() []fact {
	facts := []fact{
		{"Data", r.Data}, {"Protocol", r.Protocol}, {"Test", r.Split},
		{"Predictions", fmt.Sprintf("%s of %s %ss, every one counted, all %s items ranked", grouped(r.Examples), grouped(r.Groups), r.Unit, grouped(r.Items))},
		{"Learned from", r.learned()},
		{"Cold", r.cold()},
	}
	if r.Clock == clockLogical {
		facts = append(facts, fact{"Times", "none; the order of the rows is the clock"})
	} else {
		facts = append(facts, fact{"Times", r.First.Format("2006-01-02 15:04") + " to " + r.Last.Format("2006-01-02 15:04") + " UTC"})
	}
	rows := grouped(r.Rows) + " used"
	if r.LeftOut > 0 {
		rows += ", " + grouped(r.LeftOut) + " left out (no sign of interest)"
	}
	if r.BadRows > 0 {
		rows += ", " + grouped(r.BadRows) + " bad; the first: " + r.FirstBadRow
	}
	facts = append(facts, fact{"Rows", rows})
	if len(r.Types) > 0 {
		facts = append(facts, fact{"Event types", r.types()})
	}
	seeds := strconv.FormatUint(r.Seed, 10)
	if len(r.Seeds) > 0 {
		seeds = strings.Trim(fmt.Sprint(r.Seeds), "[]") + "; figures are of all of them together"
	}
	return append(facts, fact{"Seed", seeds}, fact{"Repeat policy", r.RepeatPolicy}, fact{"Intervals", "95 %, bootstrap over " + r.Unit + "s"})
}

func (r *Report) learned() string {
	words := grouped(r.TrainEvents) + " events"
	if r.TrainUsers > 0 {
		words += " of " + grouped(r.TrainUsers) + " users"
	}
	return words
}

// types lists the event types, those with the most rows first.
func (r *Report) types() string {
	var names []string
	for _, name := range byCount(r.Types) {
		names = append(names, fmt.Sprintf("%s %s", name, grouped(r.Types[name])))
	}
	return strings.Join(names, ", ")
}

// kinds says what the figures of the report are.
func (r *Report) kinds() []fact {
	words := map[string]string{
		"NDCG":            "the gain of the wanted items, discounted by the logarithm of their places, as a share of the best possible list's",
		"HR":              "the share of lists with a wanted item",
		"MRR":             "the mean of 1 / the place of the first wanted item",
		"Recall":          "the share of the wanted items that the list has",
		"MAP":             "the precision at each wanted item of the list, averaged over all wanted items",
		"popularity_bias": "the mean clicks of the recommended items, as a share of the most clicked item's",
		"novelty":         "the mean self-information of the recommended items, in bits: rarer items have more",
		"diversity":       "1 minus the mean share of categories that two items of a list have in common",
		"coverage":        "the share of all items that were in any list; it has no interval",
	}
	if r.Protocol == ProtocolStrongGeneralization {
		words["Recall"] += ", of as many as fit into it"
	}
	present := map[string]bool{}
	for name := range r.allMetrics() {
		present[parseMetric(name).kind] = true
	}
	var out []fact
	for _, kind := range metricKinds() {
		if present[kind] {
			out = append(out, fact{kind, words[kind]})
		}
	}
	return out
}

// figure is a value for people: four digits after the point below 2, fewer above.
func figure(v float64) string {
	digits := 4
	for limit := 2.0; (v >= limit || v <= -limit) && digits > 1; limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// brief is the interval in few words.
func (m MetricValue) brief() string {
	if m.Low == nil || m.High == nil {
		return ""
	}
	return figure(*m.Low) + " – " + figure(*m.High)
}

// grouped writes a number with a thin space between thousands.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + " d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return d.String()
}
