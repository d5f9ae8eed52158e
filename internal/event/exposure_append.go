package event

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// AppendExposure is MarshalExposure into the caller's memory. A compact record, of which there is one for every list, is written by
// hand: its bytes are those of encoding/json in less than half the time, and without garbage (BenchmarkExposure). A record that holds more, of which there are
// few, is left to encoding/json.
func AppendExposure(b []byte, x *Exposure) ([]byte, error) {
	if len(x.Candidates)+len(x.Features)+len(x.Inputs) > 0 {
		whole, err := MarshalExposure(x)
		return append(b, whole...), err
	}
	w := exposureWriter{b: append(b, '{')}
	w.text("rec_id", x.RecID)
	w.text("site", x.Site)
	w.text("placement", x.Placement)
	w.given("variant", x.Variant)
	w.given("model_version", x.ModelVersion)
	w.given("served_by", x.ServedBy)
	w.given("degraded", x.Degraded)
	if x.Stale {
		w.name("stale")
		w.b = append(w.b, "true"...)
	}
	w.time("served_at", x.ServedAt)
	w.given("profile_id", x.ProfileID)
	w.given("anonymous_id", x.AnonymousID)
	w.given("user_id", x.UserID)
	w.given("session_id", x.SessionID)
	w.name("request")
	w.request(&x.Request)
	w.name("items")
	w.items(x.Items)
	w.integer("feature_version", int64(x.FeatureVersion))
	w.integer("duration_us", x.DurationMicros)
	w.given("detail", x.Detail)
	if w.err != nil {
		return b, fmt.Errorf("encode exposure %s: %w", x.RecID, w.err)
	}
	return append(w.b, '}'), nil
}

// exposureWriter appends JSON. Its first error is kept.
type exposureWriter struct {
	b   []byte
	err error
}

func (w *exposureWriter) request(q *ExposureRequest) {
	w.b = append(w.b, '{')
	w.texts("item_ids", q.ItemIDs)
	w.integer("limit", int64(q.Limit))
	w.given("filter", q.Filter)
	w.texts("boosts", q.Boosts)
	w.texts("exclude_ids", q.ExcludeIDs)
	w.number("diversity", q.Diversity)
	if len(q.Context) > 0 {
		w.name("context")
		w.any(q.Context)
	}
	w.given("after_event", q.AfterEvent)
	w.b = append(w.b, '}')
}

func (w *exposureWriter) items(items []ExposureItem) {
	if items == nil {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = append(w.b, '[')
	for i := range items {
		it := &items[i]
		w.element(i)
		w.b = append(w.b, '{')
		w.text("item_id", it.ItemID)
		w.name("position")
		w.b = strconv.AppendInt(w.b, int64(it.Position), 10)
		w.number("score", &it.Score)
		w.given("source", it.Source)
		w.number("propensity", it.Propensity)
		w.texts("reasons", it.Reasons)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// name begins a field.
func (w *exposureWriter) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), name...), '"', ':')
}

// element begins an element of a list.
func (w *exposureWriter) element(i int) {
	if i > 0 {
		w.b = append(w.b, ',')
	}
}

func (w *exposureWriter) text(name, text string) {
	w.name(name)
	w.quote(text)
}

// given writes a text unless it is empty.
func (w *exposureWriter) given(name, text string) {
	if text != "" {
		w.text(name, text)
	}
}

func (w *exposureWriter) texts(name string, texts []string) {
	if len(texts) == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i, text := range texts {
		w.element(i)
		w.quote(text)
	}
	w.b = append(w.b, ']')
}

// integer writes a number unless it is 0.
func (w *exposureWriter) integer(name string, n int64) {
	if n != 0 {
		w.name(name)
		w.b = strconv.AppendInt(w.b, n, 10)
	}
}

// number writes a number unless it is nil.
func (w *exposureWriter) number(name string, n *float64) {
	if n == nil {
		return
	}
	w.name(name)
	if size := math.Abs(*n); size != 0 && (size < 1e-6 || size >= 1e21) || math.IsNaN(size) {
		w.any(*n) // with an exponent, or an error
		return
	}
	w.b = strconv.AppendFloat(w.b, *n, 'f', -1, 64)
}

func (w *exposureWriter) time(name string, t time.Time) {
	w.name(name)
	text, err := t.AppendText(append(w.b, '"'))
	if err != nil {
		w.fail(err)
		return
	}
	w.b = append(text, '"')
}

// quote writes a string. What has to be escaped is left to encoding/json.
func (w *exposureWriter) quote(text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.any(text)
			return
		}
	}
	w.b = append(append(append(w.b, '"'), text...), '"')
}

func (w *exposureWriter) any(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.fail(err)
	}
	w.b = append(w.b, text...)
}

func (w *exposureWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
