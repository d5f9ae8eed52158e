package serving

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of authorisation.
const (
	ProblemMissingKey  = "missing-key"
	ProblemUnknownKey  = "unknown-key"
	ProblemSecretKey   = "secret-key-needed"
	ProblemNotReadable = "placement-not-browser-readable"
	ProblemOrigin      = "origin-not-allowed"
	ProblemUserToken   = "user-token-needed"
	ProblemUnavailable = "unavailable"
	keyHint            = "`millrace keys list` shows the keys, `millrace keys create` makes one"
)

// authenticate finds the key that a request gives.
func authenticate(ctx context.Context, keys Control, r *http.Request) (control.Key, *httpserver.Problem) {
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
	key, err := keys.Authenticate(ctx, secret)
	switch {
	case errors.Is(err, control.ErrUnknownKey):
		return control.Key{}, &httpserver.Problem{
			Type: ProblemUnknownKey, Title: "Unknown key", Status: http.StatusUnauthorized,
			Detail: "the key is unknown or was revoked", Hint: keyHint,
		}
	case err != nil:
		return control.Key{}, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "Keys cannot be checked", Status: http.StatusServiceUnavailable,
			Detail: "the control store does not answer", Hint: "try again",
		}
	}
	return key, nil
}

// authenticateSecret finds the secret key that a request gives.
func authenticateSecret(ctx context.Context, keys Control, r *http.Request) (control.Key, *httpserver.Problem) {
	key, p := authenticate(ctx, keys, r)
	if p == nil && key.Kind != control.KeySecret {
		p = &httpserver.Problem{
			Type: ProblemSecretKey, Title: "Secret key needed", Status: http.StatusForbidden,
			Detail: "a public key may send events and read browser-readable placements, nothing else",
			Hint:   "send a secret key (sk_...) from a server",
		}
	}
	return key, p
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *httpserver.Problem) {
	httpserver.WriteProblem(w, r, *p)
}

// checkBrowser decides whether a page may ask this with a public key: an allowed origin, a placement opened for
// browsers, and no named user, whose list only the shop's server may ask for.
func checkBrowser(key control.Key, placement control.Placement, origin string, q *Request) *httpserver.Problem {
	if key.Kind == control.KeySecret {
		return nil
	}
	switch {
	case !key.AllowsReads(origin):
		return &httpserver.Problem{
			Type: ProblemOrigin, Title: "Origin not allowed", Status: http.StatusForbidden,
			Detail: "this public key does not read from pages of " + originName(origin),
			Hint:   "create a key that lists the origin: `millrace keys create --origin https://shop.example`",
		}
	case !placement.BrowserReadable:
		return &httpserver.Problem{
			Type: ProblemNotReadable, Title: "Placement not open to browsers", Status: http.StatusForbidden, Pointer: "/placement",
			Detail: "placement " + placement.Name + " is not marked browser-readable, so a public key cannot read it",
			Hint:   "ask from a server with a secret key, or mark the placement browser-readable",
		}
	case q.UserID != "":
		return &httpserver.Problem{
			Type: ProblemUserToken, Title: "User token needed", Status: http.StatusForbidden, Pointer: "/user_id",
			Detail: "a page with a public key may ask for its own anonymous_id only: anybody could name a user",
			Hint:   "leave user_id out, or ask from a server with a secret key",
		}
	}
	return nil
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
		h.Set("Access-Control-Expose-Headers", httpserver.HeaderRequestID)
	}
}

// preflight answers a browser's question before its request. It allows any origin, because it cannot see the key yet;
// the request itself is what is checked.
func preflight(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w, r)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type, "+httpserver.HeaderKey)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
