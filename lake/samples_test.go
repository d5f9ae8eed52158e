package lake

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

var testStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openTestLake(t testing.TB) *Lake {
	t.Helper()
	return openLakeAt(t, t.TempDir())
}

func openLakeAt(t testing.TB, dir string) *Lake {
	t.Helper()
	return openLake(t, Config{Dir: dir})
}

func openLake(t testing.TB, cfg Config) *Lake {
	t.Helper()
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// sampler draws random events and exposures in which every field is sometimes present, absent and zero.
type sampler struct{ *rand.Rand }

func newSampler(seed uint64) sampler { return sampler{rand.New(rand.NewPCG(seed, 1))} }

func (s sampler) often() bool { return s.IntN(2) == 0 }

// text is empty as often as not, and sometimes not ASCII.
func (s sampler) text() string {
	if s.often() {
		return ""
	}
	return s.word()
}

func (s sampler) word() string {
	return []string{"a", "größe", "日本語", "x y", `"quoted"`, "line\nbreak"}[s.IntN(6)] + fmt.Sprint(s.IntN(1000))
}

func optional[T any](s sampler, draw func() T) *T {
	if s.often() {
		return nil
	}
	v := draw()
	return &v
}

func (s sampler) number() float64 { return []float64{0, 1, -0.5, 19.99, 1e300}[s.IntN(5)] }
func (s sampler) index() int32    { return int32(s.IntN(4)) }
func (s sampler) yes() bool       { return s.often() }
func (s sampler) long() int64     { return []int64{0, 1, -7, 1 << 53}[s.IntN(4)] }

func (s sampler) time() time.Time {
	return testStart.Add(time.Duration(s.Int64N(int64(72*time.Hour)/1e6)) * time.Millisecond)
}

func (s sampler) event(id int) *event.Event {
	e := &event.Event{
		EventID: fmt.Sprintf("event-%d", id), Site: []string{"default", "demo"}[s.IntN(2)], Type: []string{event.ViewItem, event.Purchase, "custom"}[s.IntN(3)],
		OccurredAt: s.time(), ReceivedAt: s.time(), AnonymousID: s.text(), UserID: s.text(), SessionID: s.text(), TabID: s.text(),
		Seq: optional(s, s.long), PageViewID: s.text(), SearchTerm: s.text(), Value: optional(s, s.number), Currency: s.text(),
		Rating: optional(s, s.number), TransactionID: s.text(), UserAgentFamily: s.text(), Device: s.text(), IsBot: s.yes(),
		NetworkPrefix: s.text(), Clock: s.text(), Source: s.text(),
	}
	if s.often() {
		e.ClientOccurredAt = s.time()
	}
	for range s.IntN(4) {
		e.Items = append(e.Items, event.Item{
			ItemID: s.word(), Index: optional(s, s.index), Quantity: optional(s, s.number), Price: optional(s, s.number), ItemName: s.text(),
			ItemCategory: s.text(), ItemCategory2: s.text(), ItemCategory3: s.text(), ItemBrand: s.text(), ItemVariant: s.text(),
		})
	}
	e.Page = optional(s, func() event.Page { return event.Page{URL: s.text(), Referrer: s.text(), Title: s.text()} })
	e.Rec = optional(s, func() event.Rec {
		return event.Rec{RecID: s.text(), Placement: s.text(), Index: optional(s, s.index), Token: s.text()}
	})
	e.Engagement = optional(s, func() event.Engagement {
		return event.Engagement{VisibleMs: s.long(), FocusedMs: s.long(), ScrollPct: s.number()}
	})
	e.Consent = optional(s, func() event.Consent {
		return event.Consent{Personalization: optional(s, s.yes), Analytics: optional(s, s.yes)}
	})
	for range s.IntN(3) {
		if e.Props == nil {
			e.Props = map[string]any{}
		}
		e.Props[s.word()] = []any{"", "text", 0.0, 1.5, true, false}[s.IntN(6)]
	}
	return e
}

func (s sampler) exposure(id int) *event.Exposure {
	newer := newSampler(uint64(id)) // what version 2 added: the draws of version 1 stay what they were
	x := &event.Exposure{
		RecID: fmt.Sprintf("rec-%d", id), Site: "default", Placement: "home", Variant: s.text(), ModelVersion: s.text(), ServedBy: s.text(),
		Degraded: s.text(), Stale: s.yes(), ServedAt: s.time(), ProfileID: s.text(), AnonymousID: s.text(), UserID: s.text(), SessionID: s.text(),
		Request: event.ExposureRequest{
			ItemIDs: s.words(), Limit: s.index(), Filter: s.text(), Boosts: s.words(), ExcludeIDs: s.words(), Diversity: optional(s, s.number),
			AfterEvent: s.text(),
		},
		Features: s.numbers(), FeatureVersion: s.index(), DurationMicros: s.long(),
	}
	if s.often() {
		x.Request.Context = map[string]string{s.word(): s.text(), "page": "/"}
	}
	for i := range s.IntN(4) {
		x.Items = append(x.Items, event.ExposureItem{
			ItemID: s.word(), Position: int32(i), Score: s.number(), Source: s.text(), Propensity: optional(s, s.number), Reasons: s.words(),
		})
	}
	for range s.IntN(4) {
		x.Candidates = append(x.Candidates, event.ExposureCandidate{ItemID: s.word(), Scores: s.numbers(), Features: s.numbers(), Dropped: s.text(), Score: optional(newer, newer.number)})
	}
	if x.Detail = newer.text(); newer.often() {
		x.Inputs = json.RawMessage(`{"score":1.50,"text":"größe"}`)
	}
	return x
}

func (s sampler) item(id int) *event.CatalogueRow {
	row := &event.CatalogueRow{
		Site: []string{"default", "demo"}[s.IntN(2)], Revision: int64(id + 1), BaseRevision: int64(id), Deleted: s.yes(), UpdatedAt: s.time(),
		CatalogueItem: event.CatalogueItem{
			ItemID: fmt.Sprintf("item-%d", id/3), ItemGroupID: s.text(), Title: s.text(), Categories: s.words(), Brand: s.text(), Price: optional(s, s.number),
			Currency: s.text(), Available: s.yes(), URL: s.text(), ImageURL: s.text(), Labels: s.words(),
		},
	}
	if s.often() {
		row.PublishedAt, row.ExpiresAt = s.time(), s.time()
	}
	for range s.IntN(3) {
		if row.Fields == nil {
			row.Fields = map[string]any{}
		}
		row.Fields[s.word()] = []any{"", "<b>", json.Number("1.50"), true, []any{"x", json.Number("2")}, nil}[s.IntN(6)]
	}
	return row
}

func (s sampler) words() []string {
	var out []string
	for range s.IntN(4) {
		out = append(out, s.text())
	}
	return out
}

func (s sampler) numbers() map[string]float64 {
	if s.often() {
		return nil
	}
	return map[string]float64{s.word(): s.number(), "bias": 0}
}

// landEvents builds a landing of n random events on one partition, starting at offset from.
func (s sampler) landEvents(partition int32, from, n int) Landing {
	fence := Fence{Topic: event.TopicEvents, Epoch: 1, Partition: partition, From: int64(from), Next: int64(from + n), Hash: uint64(from + n)}
	in := Landing{Fences: []Fence{fence}}
	for i := range n {
		at := Position{Topic: event.TopicEvents, Epoch: 1, Partition: partition, Offset: int64(from + i)}
		in.Events = append(in.Events, EventRow{Event: s.event(int(partition)*1_000_000 + from + i), At: at})
	}
	return in
}

func (s sampler) landExposures(partition int32, from, n int) Landing {
	in := Landing{Fences: []Fence{{Topic: event.TopicExposures, Epoch: 1, Partition: partition, From: int64(from), Next: int64(from + n)}}}
	for i := range n {
		at := Position{Topic: event.TopicExposures, Epoch: 1, Partition: partition, Offset: int64(from + i)}
		in.Exposures = append(in.Exposures, ExposureRow{Exposure: s.exposure(from + i), At: at})
	}
	return in
}

func (s sampler) landItems(partition int32, from, n int) Landing {
	in := Landing{Fences: []Fence{{Topic: event.TopicItems, Epoch: 1, Partition: partition, From: int64(from), Next: int64(from + n)}}}
	for i := range n {
		at := Position{Topic: event.TopicItems, Epoch: 1, Partition: partition, Offset: int64(from + i)}
		in.Items = append(in.Items, ItemRow{Item: s.item(from + i), At: at})
	}
	return in
}
