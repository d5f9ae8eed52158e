package serving

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
)

// TestErase: from the answer of DELETE on nothing of the person is shown under any of its names, and others are; once the online
// store holds nothing of the person, whoever is there is somebody new.
func TestErase(t *testing.T) {
	h := newHouse(t)
	key := erasure.NewKey()
	h.must(h.control.UseErasureKey(t.Context(), &key))
	h.run()
	h.happen(parseEvent(t, "3m a=phone type=view_item items=hat category=Hats"))
	h.happen(parseEvent(t, "2m a=phone u=ada type=view_item items=cap category=Hats"))
	h.happen(parseEvent(t, "1m a=other u=bob type=view_item items=bag"))
	h.happen(parseEvent(t, "1m a=tablet type=view_item items=bag"))
	status := func(id string) int { return h.do(http.MethodGet, "/v1/users/"+id+"/features", "").Code }
	for _, id := range []string{"ada", "bob", "anonymous:phone", "anonymous:tablet"} {
		if got := status(id); got != http.StatusOK {
			t.Fatalf("%s before: %d", id, got)
		}
	}
	w := h.do(http.MethodDelete, "/v1/users/ada", "")
	e := decode[control.Erasure](t, w.Body)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/v1/erasures/"+e.ID || e.Step != control.ErasureResolving {
		t.Fatalf("DELETE: %d %+v", w.Code, e)
	}
	for id, want := range map[string]int{"ada": 404, "anonymous:phone": 404, "bob": 200, "anonymous:tablet": 200} {
		if got := status(id); got != want {
			t.Errorf("%s after: %d, want %d", id, got, want)
		}
	}
	if w := h.do(http.MethodDelete, "/v1/users/anonymous:tablet", ""); w.Code != http.StatusAccepted {
		t.Fatalf("DELETE of a browser: %d", w.Code)
	}
	if got := status("anonymous:tablet"); got != http.StatusNotFound {
		t.Errorf("the erased browser: %d", got)
	}
	if got := decode[control.Erasure](t, h.do(http.MethodGet, "/v1/erasures/"+e.ID, "").Body); got.ID != e.ID || got.Site != testSite {
		t.Errorf("GET of the erasure: %+v", got)
	}
	h.must(h.control.EnterErasureStep(t.Context(), e.ID, control.ErasureResolving, control.ErasureRewriting))
	if got := status("ada"); got != http.StatusOK { // what is there now is of after
		t.Errorf("whoever came back: %d", got)
	}
}

// brokenExport writes the beginning of an export.
type brokenExport struct{}

func (brokenExport) Export(_ context.Context, _ erasure.Who, to io.Writer) error {
	_, err := io.WriteString(to, `{"site"`)
	return errors.Join(err, errors.New("the lake is away"))
}

// TestUserProblems: what cannot be done says why, and half an export is no answer.
func TestUserProblems(t *testing.T) {
	h := start(t)
	problem := func(method, path string) httpserver.Problem {
		t.Helper()
		w := h.do(method, path, "")
		p := decode[httpserver.Problem](t, w.Body)
		if p.Status != w.Code {
			t.Errorf("%s %s: %d %+v", method, path, w.Code, p)
		}
		return p
	}
	for _, c := range []struct {
		method, path string
		status       int
		kind         string
	}{
		{http.MethodDelete, "/v1/users/ada", 503, ProblemNoErasureKey},
		{http.MethodDelete, "/v1/users/anonymous:", 400, httpserver.ProblemInvalidField},
		{http.MethodGet, "/v1/erasures/erasure_none", 404, ProblemUnknownErasure},
		{http.MethodGet, "/v1/users/ada/export", 501, ProblemNoLake},
	} {
		if p := problem(c.method, c.path); p.Status != c.status || p.Type != httpserver.ProblemPrefix+c.kind {
			t.Errorf("%s %s: %+v", c.method, c.path, p)
		}
	}
	h.serving.export = brokenExport{}
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // the panic is this very value
			t.Error("half an export was answered as a whole one")
		}
	}()
	h.do(http.MethodGet, "/v1/users/ada/export", "")
}
