package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type person struct {
	Name string   `json:"name"`
	Age  int      `json:"age"`
	Tags []string `json:"tags"`
	Home struct {
		Town string `json:"town"`
	} `json:"home"`
	Rank map[string]int `json:"rank"`
	Grid [][]int        `json:"grid"`
	Pets []struct {
		Legs int `json:"legs"`
	} `json:"pets"`
}

func TestReadJSON(t *testing.T) {
	for _, test := range []struct {
		name, body    string
		status        int
		kind, pointer string
		detail        string // a part of it
	}{
		{"whole", `{"name":"Ada","age":36}`, 0, "", "", ""},
		{"white space after it", "{\"name\":\"Ada\"}\n \n", 0, "", "", ""},
		{"empty", " ", 400, ProblemInvalidJSON, "", "body is empty"},
		{"not JSON", "{\"name\":\n  oops}", 400, ProblemInvalidJSON, "", "line 2, column 3"},
		{"cut off", `{"name":"A`, 400, ProblemInvalidJSON, "", "ends too early"},
		{"two values", `{"name":"A"} {"name":"B"}`, 400, ProblemTrailingData, "", "line 1"},
		{"stray bracket", `{"name":"A"}}`, 400, ProblemTrailingData, "", "line 1"},
		{"wrong type", `{"age":"old"}`, 400, ProblemInvalidField, "/age", "a JSON string, not an integer"},
		{"fraction for an integer", `{"age":1.5}`, 400, ProblemInvalidField, "/age", "not an integer"},
		{"wrong type below", `{"home":{"town":[]}}`, 400, ProblemInvalidField, "/home/town", "not a string"},
		{"wrong type in a list", `{"pets":[{"legs":4},{"legs":"two"}]}`, 400, ProblemInvalidField, "/pets/1/legs", "a JSON string, not an integer"},
		{"first in a list", `{"pets":[{"legs":[]},{}],"age":7}`, 400, ProblemInvalidField, "/pets/0/legs", "a JSON array"},
		{"element of a list", `{"name":"]","tags":["a","b", {} ]}`, 400, ProblemInvalidField, "/tags/2", "a JSON object"},
		{"list in a list", `{"grid":[[1],[],[2,3,false]]}`, 400, ProblemInvalidField, "/grid/2/2", "a JSON bool"},
		{"value of a map", `{"rank":{"a":1,"x/y":"b"}}`, 400, ProblemInvalidField, "/rank/x~1y", "a JSON string"},
		{"wrong document", `[]`, 400, ProblemInvalidField, "", "the body is a JSON array"},
		{"unknown field", `{"nane":"Ada"}`, 400, ProblemUnknownField, "/nane", `"nane"`},
		{"unknown field below", `{"home":{"ages":1}}`, 400, ProblemUnknownField, "/home/ages", `"ages"`},
		{"unknown field in a list", `{"pets":[{"legs":4},{"arms":2}]}`, 400, ProblemUnknownField, "/pets/1/arms", `"arms"`},
		{"unknown field to escape", `{"a/b~c":1}`, 400, ProblemUnknownField, "/a~1b~0c", "a/b~c"},
		{"too large", `{"name":"` + strings.Repeat("x", 200) + `"}`, 413, ProblemBodyTooLarge, "", "100 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
			var got person
			p := ReadJSON(httptest.NewRecorder(), r, 100, &got)
			if test.status == 0 {
				if p != nil || got.Name != "Ada" {
					t.Fatalf("got %+v, problem %v", got, p)
				}
				return
			}
			if p == nil {
				t.Fatalf("accepted as %+v", got)
			}
			if p.Status != test.status || p.Type != test.kind || p.Pointer != test.pointer || !strings.Contains(p.Detail, test.detail) {
				t.Errorf("got %+v", *p)
			}
		})
	}
}

func TestUnknownFieldHintListsTheKnownOnes(t *testing.T) {
	p := DecodeJSON([]byte(`{"nane":1}`), &person{})
	if p == nil || p.Hint != "known fields: name, age, tags, home, rank, grid, pets" {
		t.Fatalf("got %+v", p)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{`{}`, `{"home":{"x":1}}`, `[1`, `{"pets":[{"legs":"a"}]}`, "{\"a\":\n1}x", `{"":{"":0}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got person
		p := DecodeJSON(body, &got)
		if p != nil && (p.Status < 400 || p.Type == "" || p.Detail == "") {
			t.Errorf("a problem that says nothing: %+v", *p)
		}
		if p == nil && !json.Valid(body) {
			t.Errorf("accepted invalid JSON %q", body)
		}
	})
}

func TestWriteProblemIsRFC9457(t *testing.T) {
	handler := RequestID(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		WriteProblem(w, r, Problem{Type: "unknown-key", Status: 401, Detail: "no such key", Hint: "create one", Pointer: "/key"})
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set(HeaderRequestID, "trace-7")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	want := `{"type":"urn:millrace:problem:unknown-key","title":"Unauthorized","status":401,"detail":"no such key",` +
		`"hint":"create one","pointer":"/key","request_id":"trace-7"}` + "\n"
	if w.Code != 401 || w.Body.String() != want {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestRequestIDKeepsGoodAndReplacesBad(t *testing.T) {
	var seen string
	handler := RequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get(HeaderRequestID) }))
	for given, kept := range map[string]bool{
		"abc-DEF_1.2": true, "": false, "a b": false, "a\nb": false, "é": false, strings.Repeat("a", 65): false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set(HeaderRequestID, given)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if (seen == given) != kept || seen == "" {
			t.Errorf("given %q: handler saw %q", given, seen)
		}
		if answered := w.Header().Get(HeaderRequestID); answered != seen {
			t.Errorf("given %q: answer says %q, handler saw %q", given, answered, seen)
		}
	}
}

func TestRecoverAnswersAProblemAndLogsOnce(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&logged, nil))
	handler := Chain(log)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	if w.Code != 500 || !strings.Contains(w.Body.String(), ProblemPrefix+ProblemInternal) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), "boom") {
		t.Error("the client was told the cause")
	}
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "boom") || !strings.Contains(got, "http_test.go") {
		t.Errorf("logged %s", got)
	}
}

func TestRecoverCutsHalfAnAnswer(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	handler := Recover(log)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"items":[`)
		panic("boom")
	}))
	defer func() {
		if cause, _ := recover().(error); !errors.Is(cause, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want http.ErrAbortHandler", cause)
		}
	}()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	t.Error("the panic did not pass")
}

func TestAccessLogLeavesTheQueryOut(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	handler := Chain(log)(http.HandlerFunc(NotFound))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/events?key=pk_secret", nil))
	var record struct {
		Path      string `json:"path"`
		Status    int    `json:"status"`
		Bytes     int64  `json:"bytes"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(logged.Bytes(), &record); err != nil {
		t.Fatalf("%v in %s", err, logged.String())
	}
	if record.Path != "/v1/events" || record.Status != 404 || record.Bytes == 0 || record.RequestID == "" {
		t.Errorf("got %+v", record)
	}
	if strings.Contains(logged.String(), "pk_secret") {
		t.Errorf("the key is in the log: %s", logged.String())
	}
}

func TestWriteJSONNeverSendsHalf(t *testing.T) {
	w := httptest.NewRecorder()
	err := WriteJSON(w, httptest.NewRequest(http.MethodGet, "/x", nil), 200, map[string]any{"a": math.Inf(1)})
	if err == nil || w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("err %v, answer %d %s", err, w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	if err := WriteJSON(w, httptest.NewRequest(http.MethodGet, "/x", nil), 201, map[string]string{"a": "<b>"}); err != nil {
		t.Fatal(err)
	}
	if w.Code != 201 || w.Body.String() != "{\"a\":\"<b>\"}\n" {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func BenchmarkChain(b *testing.B) {
	handler := Chain(slog.New(slog.DiscardHandler))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = WriteJSON(w, r, 200, struct {
			OK bool `json:"ok"`
		}{true})
	}))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Header.Del(HeaderRequestID)
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}
