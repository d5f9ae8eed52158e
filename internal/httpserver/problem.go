package httpserver

import (
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

// Problem is an RFC 9457 answer. Type is stable and what clients branch on; Detail says what was wrong with this
// request, Hint what to do about it, Pointer (RFC 6901) where in the body it is.
type Problem struct {
	Type      string `json:"type"` // a slug is completed with ProblemPrefix
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Hint      string `json:"hint,omitempty"`
	Pointer   string `json:"pointer,omitempty"`
	RequestID string `json:"request_id,omitempty"` // filled by WriteProblem
}

// Error lets a problem travel as an error through the layers below a handler.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// WriteProblem answers with application/problem+json. An empty Title becomes the status text, an empty Status 500.
func WriteProblem(w http.ResponseWriter, r *http.Request, p Problem) {
	if p.Status == 0 {
		p.Status = http.StatusInternalServerError
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if !strings.Contains(p.Type, ":") {
		p.Type = ProblemPrefix + p.Type
	}
	p.RequestID = r.Header.Get(HeaderRequestID)
	body, err := json.Marshal(p)
	if err != nil { // a struct of strings and an int always encodes
		body = []byte(`{"type":"` + ProblemPrefix + ProblemInternal + `","status":500}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
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
