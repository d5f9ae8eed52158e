package event

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// agree holds a reader against encoding/json on one value.
func agree(t *testing.T, r *Reader, value []byte) {
	t.Helper()
	var want Event
	wantErr := json.Unmarshal(value, &want)
	given := string(value)
	got, err := r.Read(value)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s:\nread %v, encoding/json says %v", value, err, wantErr)
	}
	if string(value) != given {
		t.Fatalf("the value was changed: %q", value)
	}
	for i := range value { // whoever gave it may use it again
		value[i] = 'x'
	}
	if err == nil && !reflect.DeepEqual(*got, want) {
		t.Fatalf("%s:\nread\n%+v, encoding/json reads\n%+v", given, *got, want)
	}
}

// plainlyRead says whether Reader itself reads a value, without help.
func plainlyRead(value []byte) bool {
	var e Event
	w := wire{reader: NewReader(), s: string(value)}
	w.event(&e)
	return !w.unusual
}

// unusualValues are values that a hasty decoder gets wrong.
func unusualValues() []string {
	return []string{
		`{}`, ``, `null`, `[]`, `{"event_id":"a"} `, `{"event_id":"a"}x`, `{"event_id":"a",}`, `{,}`, `{"event_id" :"a"}`,
		`{"event_id":null,"items":null,"page":null}`, `{"Event_ID":"a","EVENT_ID":"b"}`, `{"event_id":"a","event_id":"b"}`,
		`{"items":[{"item_id":"a","index":1}],"items":[{"item_name":"n"}]}`, `{"page":{"url":"u"},"page":{"title":"t"}}`,
		`{"items":[]}`, `{"items":[null]}`, `{"items":[{}]}`, `{"items":[{},{}]}`, `{"items":[{"item_id":"a"}`, `{"items":[1]}`, `{"items":{}}`,
		`{"event_id":"\u0061\"\\\/\b\f\n\r\t"}`, `{"event_id":"\ud83d\ude00"}`, `{"event_id":"\ud800"}`, `{"event_id":"\u12"}`, `{"event_id":"\x"}`,
		`{"event\u005fid":"a"}`, "{\"event_id\":\"a\x01\"}", "{\"event_id\":\"\xff\"}", "{\"event_id\":\"\xff\\n\"}", "{\"\xff\":1}", `{"event_id":"é\u00e9 \u2028"}`,
		`{"event_id":1}`, `{"event_id":"a`, `{"event_id":`, `{"event_id"`, `{"seq":1.0}`, `{"seq":1e3}`, `{"seq":-0}`, `{"seq":01}`, `{"seq":9223372036854775808}`, `{"seq":"1"}`,
		`{"value":1e400}`, `{"value":-0.0}`, `{"value":+1}`, `{"value":.5}`, `{"value":1.}`, `{"value":NaN}`, `{"value":1e-999}`,
		`{"items":[{"index":2147483648}]}`, `{"items":[{"index":-1}]}`, `{"is_bot":true}`, `{"is_bot":tru}`, `{"is_bot":truex}`, `{"is_bot":1}`, `{"is_bot":"true"}`,
		`{"occurred_at":"2026-02-29T00:00:00Z"}`, `{"occurred_at":"2024-02-29T23:59:59.123456789Z"}`, `{"occurred_at":"2026-13-01T00:00:00Z"}`,
		`{"occurred_at":"2026-00-01T00:00:00Z"}`, `{"occurred_at":"2026-01-00T00:00:00Z"}`, `{"occurred_at":"2026-01-01T24:00:00Z"}`, `{"occurred_at":"2026-01-01T00:60:00Z"}`,
		`{"occurred_at":"2026-01-01T00:00:60Z"}`, `{"occurred_at":"2026-01-01T00:00:00+01:00"}`, `{"occurred_at":"2026-01-01T00:00:00.Z"}`, `{"occurred_at":"2026-01-01T00:00:00,5Z"}`,
		`{"occurred_at":"2026-01-01T00:00:00.1234567891Z"}`, `{"occurred_at":"2026-01-01t00:00:00z"}`, `{"occurred_at":"2026-01-01 00:00:00Z"}`, `{"occurred_at":"0001-01-01T00:00:00Z"}`,
		`{"occurred_at":"2026\u002d01-01T00:00:00Z"}`, `{"occurred_at":"+026-01-01T00:00:00Z"}`, `{"occurred_at":1}`, `{"occurred_at":"0000-01-01T00:00:00Z"}`, `{"occurred_at":"9999-12-31T23:59:59.9Z"}`,
		`{"consent":{"personalization":false,"analytics":true}}`, `{"consent":{"personalization":null}}`, `{"consent":{"personalization":0}}`, `{"consent":{"else":true}}`, `{"consent":{}}`,
		`{"props":{}}`, `{"props":{"a":1,"b":"x","c":true,"d":null,"e":[1,{"f":2}]}}`, `{"props":{"a":1,"a":2}}`, `{"props":[]}`, `{"props":{"a":}}`, `{"props":{"a":1e999}}`,
		`{"engagement":{"visible_ms":5,"focused_ms":-3,"scroll_pct":12.5}}`, `{"engagement":{"visible_ms":5.5}}`, `{"engagement":{}}`, `{"rec":{"index":0}}`, `{"rec":{"rank":0}}`,
		`{"unknown":{"a":[1,2,{"b":null}]},"event_id":"a"}`, strings.Repeat(`{"props":`, 200) + "1" + strings.Repeat("}", 200),
	}
}

func TestReaderAgreesOnTheUnusual(t *testing.T) {
	r := NewReader()
	for _, value := range unusualValues() {
		agree(t, r, []byte(value))
	}
}

// TestReaderReadsWhatMarshalWrites reads random events with every field, by the reader's own means.
func TestReaderReadsWhatMarshalWrites(t *testing.T) {
	rng, r := rand.New(rand.NewPCG(1, 1)), NewReader()
	for range 3000 {
		value, err := Marshal(randomEvent(rng))
		if err != nil {
			t.Fatal(err)
		}
		if !plainlyRead(value) {
			t.Fatalf("the reader needs help with %s", value)
		}
		agree(t, r, value)
	}
}

// TestReaderReadsGoldenEvents would fail if an event as a browser makes it took the slow path.
func TestReaderReadsGoldenEvents(t *testing.T) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden events: %v", err)
	}
	read := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, p := Decode(raw)
		if p == nil {
			p = e.Admit(AdmitInput{Site: DefaultSite, SentAt: received.Add(-time.Second), ReceivedAt: received})
		}
		if p != nil {
			continue
		}
		value, err := Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if !plainlyRead(value) {
			t.Errorf("%s: the reader needs help with %s", file, value)
		}
		read++
		agree(t, NewReader(), value)
	}
	if read == 0 {
		t.Fatal("no golden event was admitted")
	}
}

func randomEvent(rng *rand.Rand) *Event {
	some := func() bool { return rng.IntN(2) == 0 }
	text := func() string {
		alphabet := []rune("abcXYZ019 -_/:%&<>\"\\\n\t\u0001éß中\u2028/")
		runes := make([]rune, rng.IntN(12))
		for i := range runes {
			runes[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(runes)
	}
	number := func() *float64 {
		if some() {
			return nil
		}
		f := []float64{0, 1, -1.5, 1e21, 1e-7, rng.NormFloat64()}[rng.IntN(6)]
		return &f
	}
	index := func() *int32 {
		if some() {
			return nil
		}
		n := int32(rng.Uint32())
		return &n
	}
	instant := func() time.Time {
		return time.Unix(rng.Int64N(4e9), []int64{0, 120e6, rng.Int64N(1e9)}[rng.IntN(3)]).UTC()
	}
	e := &Event{EventID: text(), Site: text(), Type: text(), OccurredAt: instant(), ReceivedAt: instant(), AnonymousID: text(), UserID: text(),
		SessionID: text(), TabID: text(), PageViewID: text(), SearchTerm: text(), Value: number(), Currency: text(), Rating: number(),
		TransactionID: text(), UserAgentFamily: text(), Device: text(), IsBot: some(), NetworkPrefix: text(), Clock: text(), Source: text()}
	if some() {
		e.ClientOccurredAt = instant()
		n := rng.Int64() - rng.Int64()
		e.Seq = &n
		e.Page = &Page{URL: text(), Referrer: text(), Title: text()}
	}
	for range rng.IntN(4) {
		e.Items = append(e.Items, Item{ItemID: text(), Index: index(), Quantity: number(), Price: number(), ItemName: text(), ItemCategory: text(),
			ItemCategory2: text(), ItemCategory3: text(), ItemBrand: text(), ItemVariant: text()})
	}
	if some() {
		yes, no := true, false
		e.Rec = &Rec{RecID: text(), Placement: text(), Index: index(), Token: text()}
		e.Engagement = &Engagement{VisibleMs: rng.Int64N(1e6), FocusedMs: rng.Int64N(2), ScrollPct: float64(rng.IntN(100))}
		e.Consent = &Consent{Personalization: &yes, Analytics: &no}
		e.Props = map[string]any{"a": text(), "b": 1.5, "c": true}
	}
	return e
}

// usualValue is an event of some 300 bytes, as a shop's page sends it.
func usualValue(tb testing.TB) []byte {
	tb.Helper()
	at, price := time.Date(2026, 3, 1, 10, 0, 0, 120e6, time.UTC), 19.99
	value, err := Marshal(&Event{EventID: NewID(at), Site: DefaultSite, Type: ViewItem, OccurredAt: at, ReceivedAt: at.Add(time.Second), AnonymousID: "v0012345",
		SessionID: "s0badcafe", Items: []Item{{ItemID: "sku-01234", Price: &price, ItemCategory: "cat-12", ItemBrand: "b-77"}},
		UserAgentFamily: "Chrome", Device: "desktop"})
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// TestReaderDoesNotAllocate would fail with one allocation for each event: what a slab or a chunk costs is shared.
func TestReaderDoesNotAllocate(t *testing.T) {
	r, value := NewReader(), usualValue(t)
	if n := testing.AllocsPerRun(10_000, func() {
		if _, err := r.Read(value); err != nil {
			t.Fatal(err)
		}
	}); n >= 0.5 {
		t.Errorf("%v allocations an event", n)
	}
}

// TestReaderWordsAreBounded gives a reader more words than it may keep.
func TestReaderWordsAreBounded(t *testing.T) {
	r := NewReader()
	for i := range 2 * readerWords {
		if w := r.word(strings.Repeat("w", i%3) + time.Duration(i).String()); w == "" || len(r.words) > readerWords {
			t.Fatalf("%d words after %q", len(r.words), w)
		}
	}
	if r.word(strings.Repeat("x", maxWordBytes+1)); r.words[strings.Repeat("x", maxWordBytes+1)] != "" {
		t.Error("a long text is kept as a word")
	}
}

// BenchmarkReader is one event of the topic, beside the general decoder.
func BenchmarkReader(b *testing.B) {
	value := usualValue(b)
	b.Run("reader", func(b *testing.B) {
		r := NewReader()
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Read(value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			if err := Unmarshal(value, new(Event)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
