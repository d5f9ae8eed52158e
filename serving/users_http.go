package serving

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of requests about people.
const (
	ProblemUnknownErasure = "unknown-erasure"
	ProblemNoErasureKey   = "no-erasure-key"
	ProblemNoLake         = "no-lake"
)

// pathWho reads the person that a path names: a user_id, or anonymous:ID for a browser.
func pathWho(r *http.Request, site string) (erasure.Who, *httpserver.Problem) {
	id, p := pathText(r)
	if p != nil {
		return erasure.Who{}, p
	}
	who, err := erasure.ParseWho(site, id)
	if err != nil {
		return who, invalid("", "the id in the path: %v", err)
	}
	return who, nil
}

// remembered is a visitor without what was erased: neither a user nor a browser of an erased person is known any more, until the
// online store holds nothing of them, and whoever it holds then is somebody new.
func (v *visitors) remembered(ctx context.Context, site string, who identity) (identity, error) {
	forgotten, err := v.control.Forgotten(ctx)
	if err != nil || forgotten == nil {
		return who, err
	}
	if _, gone := forgotten.Until(erasure.Row{Site: site, User: who.user}); gone {
		who.user = ""
	}
	if _, gone := forgotten.Until(erasure.Row{Site: site, Browser: who.anonymous}); gone {
		who.anonymous = ""
	}
	return who, nil
}

// handleErase answers DELETE /v1/users/{id}: from now on nothing of the person is shown, and an erasure is under way.
func (s *Serving) handleErase(w http.ResponseWriter, r *http.Request, site string) {
	who, p := pathWho(r, site)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	e, err := s.control.RequestErasure(r.Context(), who)
	if errors.Is(err, control.ErrNoErasureKey) {
		writeProblem(w, r, &httpserver.Problem{
			Type: ProblemNoErasureKey, Title: "No erasure key", Status: http.StatusServiceUnavailable,
			Detail: "erased people are known by keyed hashes, and no key is configured; nothing was erased",
			Hint:   "set erasure.key for all roles: MILLRACE_ERASURE__KEY_FILE names a file with the output of `openssl rand -hex 32`",
		})
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Location", "/v1/erasures/"+e.ID)
	s.answer(w, r, http.StatusAccepted, e)
}

// handleErasure answers GET /v1/erasures/{id}: how far it has come, and the certificate.
func (s *Serving) handleErasure(w http.ResponseWriter, r *http.Request, site string) {
	e, err := s.control.Erasure(r.Context(), site, chi.URLParam(r, "id"))
	if errors.Is(err, control.ErrUnknownErasure) {
		writeProblem(w, r, &httpserver.Problem{
			Type: ProblemUnknownErasure, Title: "Unknown erasure", Status: http.StatusNotFound,
			Detail: "no erasure of this site has this id", Hint: "the answer of DELETE /v1/users/{id} has the id; `millrace users erasures` lists all",
		})
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, e)
}

// handleExport answers GET /v1/users/{id}/export with everything that is held about a person. An error in the middle cuts the
// connection, so that half an answer is not taken for a whole one.
func (s *Serving) handleExport(w http.ResponseWriter, r *http.Request, site string) {
	who, p := pathWho(r, site)
	if p == nil && s.export == nil {
		p = &httpserver.Problem{
			Type: ProblemNoLake, Title: "Not from this process", Status: http.StatusNotImplemented,
			Detail: "the serving role does not read the lake", Hint: "run `millrace users export` where the stream's configuration is",
		}
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := s.export.Export(r.Context(), who, w); err != nil {
		s.log.ErrorContext(r.Context(), "an export was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}
