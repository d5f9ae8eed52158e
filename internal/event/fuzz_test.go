package event

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"
)

func addGoldenEvents(f *testing.F) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// FuzzScan holds the scanner's grammar and strings against encoding/json.
func FuzzScan(f *testing.F) {
	addGoldenEvents(f)
	for _, s := range []string{`"\ud83d\ude00 \ud800"`, `[1,-0.5e+3,true,null]`, `{"a":{"b":[]}}`, "\"\xff\"", `-`, `1e`, `[,]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		sc := scanner{s: string(raw)}
		p := sc.skip()
		if p == nil {
			p = sc.end()
		}
		// The scanner bounds the depth at MaxDepth; encoding/json allows more.
		if valid := json.Valid(raw); p == nil != valid && (!valid || nesting(raw) <= MaxDepth) {
			t.Fatalf("scanner says %v, encoding/json says %v", p, valid)
		}
		var want string
		if p != nil || !utf8.Valid(raw) || json.Unmarshal(raw, &want) != nil {
			return
		}
		if sc = (scanner{s: string(raw)}); sc.space() == '"' {
			if got, p := sc.text(); p != nil || got != want {
				t.Fatalf("text %q, %v, want %q", got, p, want)
			}
		}
	})
}

// nesting counts opening brackets: an upper bound of the depth.
func nesting(raw []byte) (n int) {
	for _, c := range raw {
		if c == '[' || c == '{' {
			n++
		}
	}
	return n
}

// FuzzParse checks that what Parse hands out are the elements that encoding/json sees, in order.
func FuzzParse(f *testing.F) {
	addGoldenEvents(f)
	for _, s := range []string{`[{"type":"a"},{}]`, `{"events":[{},1],"sent_at":1772366400000}`, "{}\n{}\n", `{"events":[],"events":[1]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := Parse(body, "text/plain")
		var list []json.RawMessage
		if json.Unmarshal(body, &list) == nil && list != nil && nesting(body) <= MaxDepth && len(list) <= MaxBatchEvents {
			if err != nil || len(req.Raw) != len(list) {
				t.Fatalf("%d events and error %v, want %d", len(req.Raw), err, len(list))
			}
			for i := range list {
				if string(req.Raw[i]) != string(list[i]) {
					t.Fatalf("event %d is %q, want %q", i, req.Raw[i], list[i])
				}
			}
		}
		if len(req.Raw) > MaxBatchEvents {
			t.Fatalf("%d events", len(req.Raw))
		}
	})
}

// FuzzDecode checks that whatever is admitted was JSON, is within limits and survives the topic unchanged.
func FuzzDecode(f *testing.F) {
	addGoldenEvents(f)
	received := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, p := Decode(raw)
		if p == nil {
			p = e.Admit(AdmitInput{Site: "default", SentAt: received.Add(-time.Hour), ReceivedAt: received})
		}
		if p != nil {
			if p.Code == "" || p.Detail == "" {
				t.Fatalf("a problem without words: %+v", p)
			}
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("accepted what is no JSON: %q", raw)
		}
		if e.OccurredAt.After(e.ReceivedAt) || e.ReceivedAt.Sub(e.OccurredAt) > MaxEventAge || len(e.Items) > MaxItems || len(e.Props) > MaxProps {
			t.Fatalf("out of limits: %+v", e)
		}
		value, err := Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := Unmarshal(value, &back); err != nil {
			t.Fatal(err)
		}
		back.PropsDropped = e.PropsDropped
		if !reflect.DeepEqual(*e, back) {
			t.Fatalf("the topic changed the event:\n%+v\n%+v", *e, back)
		}
	})
}

// FuzzReader holds the reader of the topic against encoding/json: what one takes the other takes, to the same event. Each
// value is read twice, because a reader remembers words and shares memory.
func FuzzReader(f *testing.F) {
	addGoldenEvents(f)
	for _, value := range unusualValues() {
		f.Add([]byte(value))
	}
	f.Add(usualValue(f))
	r := NewReader()
	f.Fuzz(func(t *testing.T, value []byte) {
		agree(t, r, append([]byte(nil), value...))
		agree(t, r, append([]byte(nil), value...))
	})
}
