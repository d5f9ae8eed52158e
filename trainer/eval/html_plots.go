package eval

import (
	"fmt"
	"math"
	"strconv"
)

// Geometry of the plots, in the units of their view boxes, which a browser shows as about one pixel each.
const (
	plotWidth  = 460.0
	plotLabels = 118.0 // for the names on the left
	plotRight  = 64.0  // for the figures on the right
	plotRow    = 26.0
	plotTop    = 8.0
	plotAxis   = 24.0 // for the numbers below
	plotTicks  = 4
)

// bars is a plot of one metric with a bar for every model, and its interval over it.
type bars struct {
	Name   string
	Width  float64
	Height float64
	Bottom float64 // where the axis lies
	Ticks  []tick
	Rows   []bar
}

type bar struct {
	Name      string
	Value     string
	Title     string
	Y, Middle float64
	X, Length float64
	Low, High float64 // ends of the interval; equal where there is none
	Best      bool
	Baseline  bool
}

type tick struct {
	X    float64
	Text string
}

// scale maps values to places.
type scale struct{ from, to, min, max float64 }

func (s scale) at(v float64) float64 {
	if s.max == s.min {
		return s.from
	}
	return s.from + (v-s.min)/(s.max-s.min)*(s.to-s.from)
}

// newScale covers the values between low and high with round ticks.
func newScale(low, high, from, to float64) (scale, []tick) {
	if !(high > low) {
		high = low + 1
	}
	step := roundStep((high - low) / plotTicks)
	s := scale{from: from, to: to, min: math.Floor(low/step) * step, max: math.Ceil(high/step-1e-9) * step}
	var ticks []tick
	digits := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	for i := 0; ; i++ {
		v := s.min + float64(i)*step
		if v > s.max+step/2 {
			return s, ticks
		}
		ticks = append(ticks, tick{X: s.at(v), Text: strconv.FormatFloat(v+0, 'f', digits, 64)})
	}
}

// roundStep is the least of 1, 2, 5 and 10 times a power of ten that is not below a distance.
func roundStep(distance float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(distance)))
	for _, step := range []float64{1, 2, 5} {
		if step*power >= distance*(1-1e-9) {
			return step * power
		}
	}
	return 10 * power
}

// bars makes a plot for each metric of quality at the longest list.
func (r *Report) bars() []bars {
	var out []bars
	k := parseMetric(r.PrimaryMetric).k
	for _, name := range r.qualities() {
		if m := parseMetric(name); m.k == k {
			out = append(out, r.plotBars(name))
		}
	}
	return out
}

// qualities lists the metrics that say how good lists are, the primary one first.
func (r *Report) qualities() []string {
	if len(r.Results) == 0 {
		return nil
	}
	out := []string{r.PrimaryMetric}
	for _, name := range metricsOf(r.Results[0].Metrics) {
		if parseMetric(name).quality() && name != r.PrimaryMetric {
			out = append(out, name)
		}
	}
	return out
}

func (r *Report) plotBars(name string) bars {
	high, best := 0.0, 0.0
	for _, result := range r.Results {
		m := result.Metrics[name]
		high, best = max(high, m.high()), max(best, m.Value)
	}
	height := plotTop + float64(len(r.Results))*plotRow
	p := bars{Name: name, Width: plotWidth, Height: height + plotAxis, Bottom: height}
	s, ticks := newScale(0, high, plotLabels, plotWidth-plotRight)
	p.Ticks = ticks
	for i, result := range r.Results {
		m, y := result.Metrics[name], plotTop+float64(i)*plotRow
		p.Rows = append(p.Rows, bar{
			Name: result.Model, Value: figure(m.Value), Title: fmt.Sprintf("%s: %s %s (%s)", result.Model, name, figure(m.Value), m.brief()),
			Y: y + 4, Middle: y + plotRow/2, X: s.from, Length: s.at(m.Value) - s.from,
			Low: s.at(m.low()), High: s.at(m.high()), Best: m.Value == best, Baseline: result.Model == r.Baseline,
		})
	}
	return p
}

func (m MetricValue) low() float64 {
	if m.Low == nil {
		return m.Value
	}
	return *m.Low
}

func (m MetricValue) high() float64 {
	if m.High == nil {
		return m.Value
	}
	return *m.High
}

// forest is a plot of the differences to the baseline in the primary metric.
type forest struct {
	Name, Baseline string
	Width, Height  float64
	Bottom, Zero   float64
	Ticks          []tick
	Rows           []forestRow
}

type forestRow struct {
	Name, Value, Title string
	Verdict            string // "win", "loss" or ""
	Middle             float64
	X, Low, High       float64
}

// forest returns nil where there is nothing to compare.
func (r *Report) forest() *forest {
	f := &forest{Name: r.PrimaryMetric, Baseline: r.Baseline, Width: plotWidth}
	low, high := 0.0, 0.0
	var compared []*Result
	for i := range r.Results {
		if v := r.Results[i].Versus; v != nil {
			m := v.Metrics[r.PrimaryMetric]
			low, high = min(low, m.low()), max(high, m.high())
			compared = append(compared, &r.Results[i])
		}
	}
	if len(compared) == 0 {
		return nil
	}
	s, ticks := newScale(low, high, plotLabels, plotWidth-plotRight)
	f.Ticks, f.Zero, f.Bottom = ticks, s.at(0), plotTop+float64(len(compared))*plotRow
	f.Height = f.Bottom + plotAxis
	for i, result := range compared {
		m := result.Versus.Metrics[r.PrimaryMetric]
		f.Rows = append(f.Rows, forestRow{
			Name: result.Model, Value: fmt.Sprintf("%+.4f", m.Value), Verdict: m.verdict(), Middle: plotTop + (float64(i)+0.5)*plotRow,
			Title: fmt.Sprintf("%s: %+.4f over %s (%s)", result.Model, m.Value, r.Baseline, m.signed()),
			X:     s.at(m.Value), Low: s.at(m.low()), High: s.at(m.high()),
		})
	}
	return f
}

// Geometry of the scatter plot.
const (
	mixWidth  = 460.0
	mixHeight = 300.0
	mixLeft   = 48.0
	mixRight  = 90.0 // for names beside the last points
	mixBottom = 254.0
	mixTop    = 14.0
)

// scatter is a plot of coverage against novelty, a point for each model.
type scatter struct {
	X, Y          string
	Width, Height float64
	Left, Bottom  float64
	Across, Up    []tick // of Up, X is the height
	Points        []point2
}

type point2 struct {
	Name, Title string
	X, Y        float64
	TextY       float64
	Best        bool
}

// mix returns nil where the report has not both figures.
func (r *Report) mix() *scatter {
	k := parseMetric(r.PrimaryMetric).k
	x, y := at("coverage", k), at("novelty", k)
	low, high, wide := math.Inf(1), math.Inf(-1), 0.0
	for _, result := range r.Results {
		novelty, ok := result.Metrics[y]
		if _, covered := result.Metrics[x]; !ok || !covered {
			return nil
		}
		low, high, wide = min(low, novelty.Value), max(high, novelty.Value), max(wide, result.Metrics[x].Value)
	}
	if len(r.Results) == 0 {
		return nil
	}
	p := &scatter{X: x, Y: y, Width: mixWidth, Height: mixHeight, Left: mixLeft, Bottom: mixBottom}
	across, ticks := newScale(0, wide, mixLeft, mixWidth-mixRight)
	up, heights := newScale(low, high, mixBottom, mixTop)
	p.Across, p.Up = ticks, heights
	best := r.best()
	for i := range r.Results {
		result := &r.Results[i]
		one := point2{
			Name: result.Model, X: across.at(result.Metrics[x].Value), Y: up.at(result.Metrics[y].Value), Best: result == best,
			Title: fmt.Sprintf("%s: %s %s, %s %s bits", result.Model, x, figure(result.Metrics[x].Value), y, figure(result.Metrics[y].Value)),
		}
		one.TextY = one.Y + 4
		p.Points = append(p.Points, one)
	}
	spread(p.Points)
	return p
}

// spread moves the names of points that lie close together apart, up or down.
func spread(points []point2) {
	const line, near = 13.0, 84.0
	for range 20 {
		for i := range points {
			for j := range points[:i] {
				a, b := &points[i], &points[j]
				gap := a.TextY - b.TextY
				if math.Abs(a.X-b.X) > near || math.Abs(gap) >= line {
					continue
				}
				push := (line - math.Abs(gap)) / 2
				if gap < 0 {
					push = -push
				}
				a.TextY, b.TextY = a.TextY+push, b.TextY-push
			}
		}
	}
}
