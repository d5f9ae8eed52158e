package httpserver

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
)

// ProblemPrefix starts every problem type. It is a URN because a type is a name to compare, not a page to fetch.
const ProblemPrefix = "urn:millrace:problem:"

// Problem types that this package answers by itself.
const (
	ProblemInternal     = "internal"
	ProblemBodyTooLarge = "body-too-large"
	ProblemInvalidJSON  = "invalid-json"
	ProblemUnknownField = "unknown-field"
	ProblemInvalidField = "invalid-field"
	ProblemTrailingData = "trailing-data"
	ProblemUnreadable   = "unreadable-body"
	ProblemNotFound     = "not-found"
	ProblemWrongMethod  = "method-not-allowed"
)

const (
	problemContentType = "application/problem+json"
	headerRetryAfter   = "Retry-After"
)

// Problem is an RFC 9457 answer. Type is stable and what clients branch on; Detail says what was wrong with this
// request, Hint what to do about it, Pointer (RFC 6901) where in the body it is.
type Problem struct {
	// Type may be given as a slug, which is completed with ProblemPrefix.
	Type      string `json:"type" doc:"The kind of problem: stable, and what to branch on. docs/problems.md lists them." example:"urn:millrace:problem:invalid-field"`
	Title     string `json:"title" doc:"The kind in words." example:"Invalid value"`
	Status    int    `json:"status" doc:"The HTTP status." example:"400" minimum:"400" maximum:"599"`
	Detail    string `json:"detail,omitempty" doc:"What was wrong with this request." example:"limit is 0, it must be 1 to 100"`
	Hint      string `json:"hint,omitempty" doc:"What to do about it." example:"leave limit out for the placement's own"`
	Pointer   string `json:"pointer,omitempty" doc:"Where in the body (RFC 6901), or the parameter's name behind a slash." example:"/limit"`
	RequestID string `json:"request_id,omitempty" doc:"The request's id, as the header X-Request-Id has it and the server's log." example:"5f2c9a0c1b7e4f6a8d3b2c1d0e9f8a7b"`

	// Cause is what the log says of a fault that is ours. The edge that answers logs it.
	Cause error `json:"-"`
}

// Error lets a problem travel as an error through the layers below a handler.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Unwrap is the cause, for errors.Is.
func (p *Problem) Unwrap() error { return p.Cause }

// GetStatus is the status to answer with, as huma asks for it.
func (p *Problem) GetStatus() int { return cmp.Or(p.Status, http.StatusInternalServerError) }

// ContentType is that of every problem, as huma asks for it.
func (p *Problem) ContentType(string) string { return problemContentType }

// Complete fills in what the code that found the problem need not know: the id of the request, the full type, an empty Title by
// the status text, an empty Status by 500. It sets the headers that go with a problem, but not the content type.
func (p *Problem) Complete(h http.Header, r *http.Request) *Problem {
	full := *p
	full.Status = p.GetStatus()
	full.Title = cmp.Or(p.Title, http.StatusText(full.Status))
	if !strings.Contains(full.Type, ":") {
		full.Type = ProblemPrefix + full.Type
	}
	full.RequestID = r.Header.Get(HeaderRequestID)
	h.Set("Cache-Control", "no-store")
	if full.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="millrace"`)
	}
	if full.Status == http.StatusServiceUnavailable && h.Get(headerRetryAfter) == "" {
		h.Set(headerRetryAfter, "1")
	}
	return &full
}

// WriteProblem answers with a problem, completed.
func WriteProblem(w http.ResponseWriter, r *http.Request, problem Problem) {
	p := problem.Complete(w.Header(), r)
	body, err := json.Marshal(p)
	if err != nil { // a struct of strings and an int always encodes
		body = []byte(`{"type":"` + ProblemPrefix + ProblemInternal + `","status":500}`)
	}
	w.Header().Set("Content-Type", problemContentType)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone; there is nobody left to tell
}

// NotFound answers unknown paths, for a router's not-found hook.
func NotFound(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, r, Problem{
		Type: ProblemNotFound, Title: "No such path", Status: http.StatusNotFound,
		Detail: "nothing is served at " + r.URL.Path,
		Hint:   "check the path and its version prefix, such as /v1/recommend",
	})
}

// MethodNotAllowed answers known paths asked with another method, for a router's hook.
func MethodNotAllowed(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, r, Problem{
		Type: ProblemWrongMethod, Title: "Method not allowed", Status: http.StatusMethodNotAllowed,
		Detail: r.URL.Path + " does not answer " + r.Method,
	})
}
