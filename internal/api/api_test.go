package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/httpserver"
)

type boxInput struct {
	ID    string `path:"id" maxLength:"8"`
	Count int    `query:"count" minimum:"1" maximum:"9" default:"3"`
	JSON[box]
}

type box struct {
	Name  string          `json:"name" minLength:"1"`
	Sizes []int           `json:"sizes,omitempty" maxItems:"2"`
	Lid   *lid            `json:"lid,omitempty"`
	Tags  []string        `json:"tags,omitempty"`
	Notes json.RawMessage `json:"notes,omitempty"`
}

type lid struct {
	Colour string `json:"colour" enum:"red,blue"`
}

type boxOutput struct {
	ETag string `header:"ETag"`
	Body boxAnswer
}

type boxAnswer struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
	Box   box    `json:"box"`
}

var errShelf = errors.New("the shelf is gone")

// boxes is an API with one endpoint, whose guard wants a header.
func boxes(log *slog.Logger) http.Handler {
	r := chi.NewRouter()
	r.Use(httpserver.RequestID)
	a := New(r, log)
	guard := func(w http.ResponseWriter, r *http.Request) (context.Context, *httpserver.Problem) {
		w.Header().Set("Vary", "Origin")
		if r.Header.Get("X-Pass") == "" {
			return nil, &httpserver.Problem{Type: "missing-key", Status: http.StatusUnauthorized}
		}
		return context.WithValue(r.Context(), boxKey{}, r.Header.Get("X-Pass")), nil
	}
	Register(a, Endpoint{
		ID: "putBox", Method: http.MethodPut, Path: "/boxes/{id}", Tag: TagItems, Summary: "Put", Guard: guard, MaxBodyBytes: 200,
	}, func(ctx context.Context, in *boxInput) (*boxOutput, *httpserver.Problem) {
		switch ctx.Value(boxKey{}) {
		case "fault":
			return nil, httpserver.Fault(errShelf)
		case "full":
			return nil, &httpserver.Problem{Type: "unavailable", Status: http.StatusServiceUnavailable}
		}
		return &boxOutput{ETag: `"1"`, Body: boxAnswer{ID: in.ID, Count: in.Count, Box: in.Value}}, nil
	})
	a.Mount()
	return r
}

type boxKey struct{}

func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Pass", "yes")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRegisteredEndpoint(t *testing.T) {
	h := boxes(slog.New(slog.DiscardHandler))
	w := ask(h, http.MethodPut, "/boxes/a%2Fb?key=pk_1", `{"name":"<n>","sizes":[1,2],"lid":{"colour":"red"}}`, "Content-Type", "text/plain")
	want := `{"id":"a/b","count":3,"box":{"name":"<n>","sizes":[1,2],"lid":{"colour":"red"}}}`
	if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want || w.Header().Get("ETag") != `"1"` ||
		w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Vary") != "Origin" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestProblemsOfHuma: whatever is wrong comes out as one of our problems, from whichever layer found it.
func TestProblemsOfHuma(t *testing.T) {
	h := boxes(slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		name, path, body, pass string
		status                 int
		slug, pointer, says    string
	}{
		{"no pass", "/boxes/a", `{}`, "", 401, "missing-key", "", ""},
		{"long path", "/boxes/123456789", `{"name":"n"}`, "yes", 400, "invalid-field", "", "the id in the path"},
		{"count beyond", "/boxes/a?count=10", `{"name":"n"}`, "yes", 400, "invalid-field", "/count", "<= 9"},
		{"count text", "/boxes/a?count=ten", `{"name":"n"}`, "yes", 400, "invalid-field", "/count", `not "ten"`},
		{"unknown parameter", "/boxes/a?cuont=3", `{"name":"n"}`, "yes", 400, "unknown-field", "/cuont", "known parameters: count"},
		{"empty body", "/boxes/a", ``, "yes", 400, "invalid-json", "", "empty"},
		{"no JSON", "/boxes/a", `{"name":`, "yes", 400, "invalid-json", "", "ends too early"},
		{"trailing", "/boxes/a", `{"name":"n"}{}`, "yes", 400, "trailing-data", "", ""},
		{"large", "/boxes/a", `{"name":"` + strings.Repeat("n", 200) + `"}`, "yes", 413, "body-too-large", "", "200"},
		{"unknown field", "/boxes/a", `{"label":"n"}`, "yes", 400, "unknown-field", "/label", "known fields: name, sizes, lid"},
		{"number beyond", "/boxes/a", `{"name":"n","notes":1e400}`, "yes", 400, "invalid-field", "", "number in range"},
		{"wrong type", "/boxes/a", `{"name":1}`, "yes", 400, "invalid-field", "/name", "not a string"},
		{"missing field", "/boxes/a", `{}`, "yes", 400, "invalid-field", "", "name"},
		{"too many", "/boxes/a", `{"name":"n","sizes":[1,2,3]}`, "yes", 400, "invalid-field", "/sizes", "2"},
		{"deep", "/boxes/a", `{"name":"n","lid":{"colour":"green"}}`, "yes", 400, "invalid-field", "/lid/colour", "red"},
		{"fault", "/boxes/a", `{"name":"n"}`, "fault", 500, "internal", "", "fault in the server"},
		{"full", "/boxes/a", `{"name":"n"}`, "full", 503, "unavailable", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(h, http.MethodPut, c.path, c.body, "X-Pass", c.pass, httpserver.HeaderRequestID, "r1", "Accept", "text/html")
			var p httpserver.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if w.Code != c.status || p.Status != c.status || p.Type != httpserver.ProblemPrefix+c.slug || p.Pointer != c.pointer ||
				p.RequestID != "r1" || p.Title == "" || !strings.Contains(p.Detail+" "+p.Hint, c.says) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %s", got)
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") || (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

// TestFaultIsLogged: the log has the cause, the caller only the request id.
func TestFaultIsLogged(t *testing.T) {
	var log strings.Builder
	h := boxes(slog.New(slog.NewTextHandler(&log, nil)))
	w := ask(h, http.MethodPut, "/boxes/a", `{"name":"n"}`, "X-Pass", "fault", httpserver.HeaderRequestID, "r2")
	if strings.Contains(w.Body.String(), errShelf.Error()) || strings.Count(log.String(), errShelf.Error()) != 1 || !strings.Contains(log.String(), "r2") {
		t.Errorf("answered %s, logged %s", w.Body, log.String())
	}
}

// TestKindsAreSorted, because people look them up and several change the list.
func TestKindsAreSorted(t *testing.T) {
	for i := 1; i < len(Kinds); i++ {
		if Kinds[i-1].Slug >= Kinds[i].Slug {
			t.Errorf("%s stands behind %s", Kinds[i].Slug, Kinds[i-1].Slug)
		}
	}
}
