package event

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, body, contentType string
		want                    []string
		sentAt                  time.Time
	}{
		{"one event", ` {"type":"a"} `, "application/json", []string{`{"type":"a"}`}, time.Time{}},
		{"byte order mark", "\xef\xbb\xbf{\"type\":\"a\"}", "", []string{`{"type":"a"}`}, time.Time{}},
		{"pretty event", "{\n  \"type\": \"a\"\n}", "", []string{"{\n  \"type\": \"a\"\n}"}, time.Time{}},
		{"array", `[{"type":"a"}, {"type":"b"}]`, "text/plain", []string{`{"type":"a"}`, `{"type":"b"}`}, time.Time{}},
		{"array with strangers", `[1,null,"x",{}]`, "", []string{"1", "null", `"x"`, "{}"}, time.Time{}},
		{"empty array", `[]`, "", nil, time.Time{}},
		{"envelope", `{"sent_at":"2026-03-01T12:00:00Z","events":[{"type":"a"}]}`, "", []string{`{"type":"a"}`}, sent},
		{"envelope, unix time last", `{"events":[{"type":"a"}],"lib":{"v":1},"sent_at":1772366400000}`, "", []string{`{"type":"a"}`}, sent},
		{"envelope without time", `{"events":[]}`, "", nil, time.Time{}},
		{"pretty envelope", "{\"events\":[\n{\"type\":\"a\"},\n{\"type\":\"b\"}]}", "", []string{`{"type":"a"}`, `{"type":"b"}`}, time.Time{}},
		{"an event with a field of the envelope", `{"type":"a","sent_at":"whatever"}`, "", []string{`{"type":"a","sent_at":"whatever"}`}, time.Time{}},
		{"an event whose events are no array", `{"type":"a","events":3}`, "", []string{`{"type":"a","events":3}`}, time.Time{}},
		{"lines as text", "{\"type\":\"a\"}\r\n\n{\"type\":\"b\"}\n", "text/plain", []string{`{"type":"a"}`, `{"type":"b"}`}, time.Time{}},
		{"a broken line among good ones", "{\"type\":\"a\n{\"type\":\"b\"}", "text/plain", []string{`{"type":"a`, `{"type":"b"}`}, time.Time{}},
		{"lines by content type", "nonsense\n{\"type\":\"b\"}", "application/x-ndjson; charset=utf-8", []string{"nonsense", `{"type":"b"}`}, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse([]byte(c.body), c.contentType)
			if err != nil {
				t.Fatal(err)
			}
			if !got.SentAt.Equal(c.sentAt) {
				t.Errorf("SentAt = %v, want %v", got.SentAt, c.sentAt)
			}
			raw := make([]string, len(got.Raw))
			for i := range got.Raw {
				raw[i] = string(got.Raw[i])
			}
			if fmt.Sprintf("%q", raw) != fmt.Sprintf("%q", c.want) {
				t.Errorf("events %q, want %q", raw, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, body, code, pointer string }{
		{"nothing", " \n", CodeEmptyBody, ""},
		{"text", "hello", CodeInvalidJSON, ""},
		{"cut short", `{"type":"a"`, CodeInvalidJSON, ""},
		{"array cut short", `[{"type":"a"},`, CodeInvalidJSON, ""},
		{"two values", `{"type":"a"}{"type":"b"}`, CodeInvalidJSON, ""},
		{"trailing comma", `[{"type":"a"},]`, CodeInvalidJSON, ""},
		{"unquoted name", `{type:"a"}`, CodeInvalidJSON, ""},
		{"bad time", `{"events":[],"sent_at":"noon"}`, CodeInvalidTime, "/sent_at"},
		{"too deep", strings.Repeat("[", 1000), CodeInvalidJSON, ""},
		{"too long", strings.Repeat(" ", MaxBodyBytes+1), CodeBodyTooLarge, ""},
		{"too many events", "[" + strings.Repeat("{},", MaxBatchEvents) + "{}]", CodeBatchTooLarge, ""},
		{"too many lines", strings.Repeat("{}\n", MaxBatchEvents+1), CodeBatchTooLarge, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.body), "text/plain")
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("error %v, want a problem", err)
			}
			if p.Code != c.code || p.Pointer != c.pointer {
				t.Errorf("got %v, want code %s at %q", p, c.code, c.pointer)
			}
		})
	}
	if _, err := Parse([]byte("["+strings.Repeat("{},", MaxBatchEvents-1)+"{}]"), ""); err != nil {
		t.Errorf("a full batch is refused: %v", err)
	}
}
