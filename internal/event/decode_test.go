package event

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodeLimits(t *testing.T) {
	items := func(n int) string {
		return `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"item_id":"a"},`, n), ",") + `]}`
	}
	for _, c := range []struct{ name, raw, code, pointer string }{
		{"items at the limit", items(MaxItems), "", ""},
		{"one item too many", items(MaxItems + 1), CodeTooManyItems, "/items"},
		{"bytes at the limit", `{"x":"` + strings.Repeat("a", MaxEventBytes-8) + `"}`, "", ""},
		{"one byte too many", `{"x":"` + strings.Repeat("a", MaxEventBytes-7) + `"}`, CodeEventTooLarge, ""},
		{"an item that is no object", `{"items":[{},7]}`, CodeWrongType, "/items/1"},
		{"items that are no array", `{"items":{}}`, CodeWrongType, "/items"},
		{"a name with a slash and a tilde", `{"props":{"a/b~c":1e999}}`, CodeInvalidNumber, "/props/a~1b~0c"},
		{"bytes that are no UTF-8", "{\"user_id\":\"\xff\"}", CodeInvalidUTF8, ""},
		{"text after the event", `{} x`, CodeInvalidJSON, ""},
		{"syntax error inside a field", `{"page":{"url":tru}}`, CodeInvalidJSON, ""},
		{"leading zero", `{"value":01}`, CodeInvalidJSON, ""},
		{"bare fraction", `{"value":1.}`, CodeInvalidJSON, ""},
		{"bad escape", `{"type":"\x"}`, CodeInvalidJSON, ""},
		{"half an escape", `{"type":"\u12"}`, CodeInvalidJSON, ""},
		{"consent as text", `{"consent":{"analytics":"no"}}`, CodeWrongType, "/consent/analytics"},
		{"short item id too long", `{"item_id":"` + strings.Repeat("x", MaxIDBytes+1) + `"}`, CodeInvalidID, "/item_id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, p := Decode([]byte(c.raw))
			switch {
			case c.code == "" && p != nil:
				t.Errorf("refused: %v", p)
			case c.code != "" && (p == nil || p.Code != c.code || p.Pointer != c.pointer):
				t.Errorf("got %v, want %s at %q", p, c.code, c.pointer)
			}
		})
	}
}

// Descriptive text is cut instead of costing the event, and never in the middle of a character.
func TestDecodeCutsText(t *testing.T) {
	title := "x" + strings.Repeat("é", MaxNameBytes)
	url := "https://shop.example/" + strings.Repeat("u", MaxURLBytes)
	e, p := Decode(fmt.Appendf(nil, `{"page":{"title":%q,"url":%q},"search_term":%q}`, title, url, title))
	if p != nil {
		t.Fatal(p)
	}
	if got := e.Page.Title; !utf8.ValidString(got) || len(got) != MaxNameBytes-1 || !strings.HasPrefix(title, got) {
		t.Errorf("title has %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
	if got := e.Page.URL; len(got) != MaxURLBytes || !strings.HasPrefix(url, got) {
		t.Errorf("url has %d bytes", len(got))
	}
	if len(e.SearchTerm) != MaxNameBytes-1 {
		t.Errorf("search term has %d bytes", len(e.SearchTerm))
	}
}

// The first MaxProps scalars stay; the rest is counted. A name that comes twice takes one place.
func TestDecodeProps(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"props":{"n":null,"o":{"deep":1},"twice":1,"twice":"two",`)
	for i := range MaxProps + 5 {
		fmt.Fprintf(&b, `"k%03d":%d,`, i, i)
	}
	fmt.Fprintf(&b, `%q:1,"last":true}}`, strings.Repeat("n", MaxPropName+1))
	e, p := Decode([]byte(b.String()))
	if p != nil {
		t.Fatal(p)
	}
	if len(e.Props) != MaxProps {
		t.Errorf("%d props, want %d", len(e.Props), MaxProps)
	}
	// One object, six numbered ones beyond the limit, the long name and "last".
	if want := 1 + 6 + 1 + 1; e.PropsDropped != want {
		t.Errorf("%d dropped, want %d", e.PropsDropped, want)
	}
	if e.Props["twice"] != "two" || e.Props["k062"] != 62.0 || e.Props["k063"] != nil || e.Props["n"] != nil {
		t.Errorf("kept the wrong ones: %v", e.Props)
	}
}

// An explicit list wins over the short form.
func TestDecodeItemsBeforeShortForm(t *testing.T) {
	e, p := Decode([]byte(`{"item_id":"top","price":1,"items":[{"item_id":"listed"}]}`))
	if p != nil {
		t.Fatal(p)
	}
	if len(e.Items) != 1 || e.Items[0].ItemID != "listed" || e.Items[0].Price != nil {
		t.Errorf("items %+v", e.Items)
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := []byte(benchEvent)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, p := Decode(raw); p != nil {
			b.Fatal(p)
		}
	}
}

// BenchmarkDecodeGeneral is what the general decoder costs for the same event, without verdicts.
func BenchmarkDecodeGeneral(b *testing.B) {
	raw := []byte(benchEvent)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Unmarshal(raw, new(Event)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	e, p := Decode([]byte(benchEvent))
	if p != nil {
		b.Fatal(p)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Marshal(e); err != nil {
			b.Fatal(err)
		}
	}
}

// benchEvent is what the beacon sends for a viewed item.
const benchEvent = `{"event_id":"0190c0de-0000-7000-8000-000000000001","type":"view_item","occurred_at":"2026-03-01T11:59:58.250Z",` +
	`"anonymous_id":"0190c0de-0000-7000-8000-0000000000aa","session_id":"0190c0de-0000-7000-8000-0000000000bb","tab_id":"f3k2j9","seq":7,` +
	`"page_view_id":"0190c0de-0000-7000-8000-0000000000cc","items":[{"item_id":"sku-1","price":19.9,"item_category":"light"}],` +
	`"page":{"url":"https://shop.example/p/1","title":"Lamp"}}`
