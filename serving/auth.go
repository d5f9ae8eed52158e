package serving

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of authorisation.
const (
	ProblemMissingKey   = "missing-key"
	ProblemUnknownKey   = "unknown-key"
	ProblemSecretKey    = "secret-key-needed"
	ProblemScope        = "scope-needed"
	ProblemNotReadable  = "placement-not-browser-readable"
	ProblemOrigin       = "origin-not-allowed"
	ProblemUserToken    = "user-token-needed"
	ProblemTokenInvalid = "user-token-invalid"
	ProblemTokenExpired = "user-token-expired"
	ProblemTokenOther   = "user-token-of-another"
	ProblemUnavailable  = "unavailable"
	keyHint             = "`millrace keys list` shows the keys, `millrace keys create` makes one"
)

// HeaderUserToken carries the user token of a page that does not put it into its request.
const HeaderUserToken = "X-Millrace-User-Token"

// authenticate finds the key that a request gives, and counts the request for it. One with a wrong key counts for its network:
// whoever tries keys is refused before they are looked at again.
func (s *Serving) authenticate(w http.ResponseWriter, r *http.Request) (control.Key, *httpserver.Problem) {
	key, p := s.givenKey(r)
	if limited := s.limits.Check(w, r, key); limited != nil {
		return control.Key{}, limited
	}
	return key, p
}

func (s *Serving) givenKey(r *http.Request) (control.Key, *httpserver.Problem) {
	secret, p := httpserver.GivenKey(r)
	if p != nil {
		return control.Key{}, p
	}
	if secret == "" {
		return control.Key{}, &httpserver.Problem{
			Type: ProblemMissingKey, Title: "No key", Status: http.StatusUnauthorized,
			Detail: "the request carries no key", Hint: "send `Authorization: Bearer sk_...`; " + keyHint,
		}
	}
	key, err := s.control.Authenticate(r.Context(), secret)
	switch {
	case errors.Is(err, control.ErrUnknownKey):
		return control.Key{}, &httpserver.Problem{
			Type: ProblemUnknownKey, Title: "Unknown key", Status: http.StatusUnauthorized,
			Detail: "the key is unknown, was revoked or has expired", Hint: keyHint,
		}
	case err != nil:
		return control.Key{}, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "Keys cannot be checked", Status: http.StatusServiceUnavailable,
			Detail: "the control store does not answer", Hint: "try again",
		}
	}
	return key, nil
}

// authenticateSecret finds the secret key that a request gives, which must have the scope.
func (s *Serving) authenticateSecret(w http.ResponseWriter, r *http.Request, scope control.Scope) (control.Key, *httpserver.Problem) {
	key, p := s.authenticate(w, r)
	switch {
	case p != nil:
		return key, p
	case key.Kind != control.KeySecret:
		return key, &httpserver.Problem{
			Type: ProblemSecretKey, Title: "Secret key needed", Status: http.StatusForbidden,
			Detail: "a public key may send events and read browser-readable placements, nothing else",
			Hint:   "send a secret key (sk_...) from a server",
		}
	case !key.Allows(scope):
		return key, scopeProblem(scope)
	}
	return key, nil
}

func scopeProblem(scope control.Scope) *httpserver.Problem {
	return &httpserver.Problem{
		Type: ProblemScope, Title: "Scope needed", Status: http.StatusForbidden,
		Detail: "this key was not made for this: it lacks the scope " + string(scope),
		Hint:   "make a key with it: `millrace keys create --secret --scope " + string(scope) + "`",
	}
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *httpserver.Problem) {
	httpserver.WriteProblem(w, r, *p)
}

func originName(origin string) string {
	if origin == "" {
		return "an unnamed origin"
	}
	return origin
}

// requestOrigin is the origin of the page that asks. A browser leaves the header out of a GET within one origin; then the
// address of the page says it, or Sec-Fetch-Site says that it is the host that was asked. A page can forge none of them,
// another program any: a public key protects visitors from other pages, not the shop from programs.
func requestOrigin(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin
	}
	if page, err := url.Parse(r.Header.Get("Referer")); err == nil && page.Host != "" {
		return page.Scheme + "://" + page.Host
	}
	if r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return ""
	}
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// allowOrigin lets a page read the answer. The origin was checked, or the answer is the same for everybody.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "Retry-After, "+httpserver.HeaderRequestID)
	}
}

// preflight answers a browser's question before its request. It allows any origin, because it cannot see the key yet;
// the request itself is what is checked.
func preflight(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w, r)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type, "+httpserver.HeaderKey+", "+HeaderUserToken)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
