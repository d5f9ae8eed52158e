package tracker

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of the collector, besides the codes of package event with dashes.
const (
	problemMissingKey  = "missing-key"
	problemUnknownKey  = "unknown-key"
	problemSecretKey   = "secret-key-in-browser"
	problemOrigin      = "origin-not-allowed"
	problemScope       = "scope-needed"
	problemEncoding    = "unsupported-content-encoding"
	problemUnavailable = "events-not-stored"
)

// eventsAnswer is the body of a 202.
type eventsAnswer struct {
	Accepted   int       `json:"accepted" doc:"Events that are stored, duplicates included." example:"1"`
	Duplicates int       `json:"duplicates" doc:"Of the accepted, those whose id was there before, as far as this collector remembers." example:"0"`
	Dropped    int       `json:"dropped,omitempty" doc:"Not kept, and not to be sent again: by the visitor's own consent, or of a person who was erased since."`
	Rejected   []verdict `json:"rejected" doc:"Events that were refused."`
}

// verdict says why one event of a request was refused.
type verdict struct {
	Index int `json:"index" minimum:"0" doc:"Which event of the request, from 0." example:"0"`
	event.Problem
}

func (t *Tracker) handleEvents(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	defer func() { t.metrics.seconds.Observe(time.Since(started).Seconds()) }()

	key, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	buf := t.bodies.buffer()
	defer t.bodies.release(buf)
	if p := t.bodies.read(w, r, buf); p != nil {
		t.refuse(w, r, *p)
		return
	}
	req, err := event.Parse(buf.Bytes(), r.Header.Get("Content-Type"))
	if err != nil {
		t.refuse(w, r, requestProblem(err))
		return
	}
	batch := t.admit(req, t.visit(r, key), t.erased(r.Context()))
	if !t.store(w, r, &batch) {
		return
	}
	ans := eventsAnswer{
		Accepted: len(batch.records), Dropped: batch.dropped + batch.erased, Rejected: batch.rejected,
		Duplicates: t.recent.add(batch.site, batch.ids),
	}
	t.metrics.count(batch, ans)
	t.account(batch)
	if batch.pageView && key.Kind != control.KeySecret {
		t.keepID(w, r, batch.visitor)
	}
	t.setReceipt(w, r, &batch.receipt)
	if err := httpserver.WriteJSON(w, r, http.StatusAccepted, ans); err != nil {
		t.deps.Log.ErrorContext(r.Context(), "encode answer", "error", err)
	}
}

// store writes the batch to Kafka, or answers 503: the client keeps its events and sends them again.
func (t *Tracker) store(w http.ResponseWriter, r *http.Request, b *batch) bool {
	if len(b.records) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(r.Context(), t.cfg.ProduceTimeout)
	defer cancel()
	err := t.deps.Producer.Produce(ctx, b.records)
	if err == nil {
		return true
	}
	if r.Context().Err() != nil {
		return false // the client is gone and will send again
	}
	if t.outages.allow(t.deps.Now()) {
		t.deps.Log.ErrorContext(r.Context(), "events cannot be stored; clients are asked to retry", "error", err)
	}
	t.refuse(w, r, *unavailable(w, "the events could be stored neither in Kafka nor on the disk of the collector"))
	return false
}

func unavailable(w http.ResponseWriter, detail string) *httpserver.Problem {
	w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter.Seconds())))
	return &httpserver.Problem{
		Type: problemUnavailable, Title: "Events not stored", Status: http.StatusServiceUnavailable, Detail: detail,
		Hint: "nothing of this request is acknowledged; send it again, with the same event ids, after Retry-After seconds",
	}
}

// refuse answers a whole request with a problem and counts it.
func (t *Tracker) refuse(w http.ResponseWriter, r *http.Request, p httpserver.Problem) {
	t.metrics.refused.WithLabelValues(p.Type).Inc()
	httpserver.WriteProblem(w, r, p)
}

// problemType is the problem type of a code of package event: one spelling, with dashes, for all problems.
func problemType(code string) string { return strings.ReplaceAll(code, "_", "-") }

// requestProblem turns what Parse says into an answer for the whole request.
func requestProblem(err error) httpserver.Problem {
	var p *event.Problem
	if !errors.As(err, &p) {
		return httpserver.Internal()
	}
	out := httpserver.Problem{
		Type: problemType(p.Code), Title: "Bad request body", Status: http.StatusBadRequest, Detail: p.Detail, Pointer: p.Pointer,
		Hint: `send one event, an array, one event a line, or {"sent_at": ..., "events": [...]}, as UTF-8 JSON`,
	}
	switch p.Code {
	case event.CodeBodyTooLarge, event.CodeBatchTooLarge:
		out.Title, out.Status, out.Hint = "Request too large", http.StatusRequestEntityTooLarge, tooLargeHint
	}
	return out
}

// authenticate finds the key of a request and sets the CORS headers that its origin deserves; false means that the
// request is answered.
func (t *Tracker) authenticate(w http.ResponseWriter, r *http.Request) (control.Key, bool) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	key, p := t.identify(w, r)
	if p != nil {
		// The page may read this refusal: it says nothing of a site, and a beacon that saw a mere network error would retry.
		allowOrigin(h, origin)
	}
	switch {
	case p != nil:
		t.refuse(w, r, *p)
	case key.Kind == control.KeySecret && origin != "":
		t.refuse(w, r, httpserver.Problem{
			Type: problemSecretKey, Title: "Secret key in a browser", Status: http.StatusForbidden,
			Detail: "this secret key was sent by a web page, where everybody can read it",
			Hint:   "revoke it with `millrace keys revoke`, and put a pk_ key into the page",
		})
	case !key.Allows(control.ScopeEvents):
		t.refuse(w, r, httpserver.Problem{
			Type: problemScope, Title: "Key may not send events", Status: http.StatusForbidden,
			Detail: "this key reads, or has other scopes; it may not send events",
			Hint:   "make a public key with `millrace keys create`, or a secret one with --secret --scope events",
		})
	case !key.AllowsEvents(origin):
		t.refuse(w, r, *originProblem(origin))
	default:
		allowOrigin(h, origin)
		return key, true
	}
	return control.Key{}, false
}

// identify finds the key that a request carries, and counts the request for it.
func (t *Tracker) identify(w http.ResponseWriter, r *http.Request) (control.Key, *httpserver.Problem) {
	secret, p := httpserver.GivenKey(r)
	key, err := control.Key{}, control.ErrUnknownKey
	if secret != "" {
		key, err = t.deps.Keys.Authenticate(r.Context(), secret)
	}
	if p == nil && t.deps.Limits != nil {
		p = t.deps.Limits.Check(w, r, key)
	}
	switch {
	case p != nil:
	case secret == "":
		p = &httpserver.Problem{
			Type: problemMissingKey, Title: "Key missing", Status: http.StatusUnauthorized, Detail: "the request carries no key",
			Hint: "add ?key=pk_... to the address, or the header " + httpserver.HeaderKey + "; `millrace keys list` shows the keys",
		}
	case errors.Is(err, control.ErrUnknownKey):
		p = &httpserver.Problem{
			Type: problemUnknownKey, Title: "Key unknown", Status: http.StatusUnauthorized, Detail: "the key is unknown, was revoked or has expired",
			Hint: "`millrace keys list` shows the keys, `millrace keys create` makes one; the first ones stand in keys.json of the data directory",
		}
	case err != nil:
		if t.outages.allow(t.deps.Now()) {
			t.deps.Log.ErrorContext(r.Context(), "keys cannot be checked; clients are asked to retry", "error", err)
		}
		p = unavailable(w, "the key could not be checked")
	}
	return key, p
}

func originProblem(origin string) *httpserver.Problem {
	return &httpserver.Problem{
		Type: problemOrigin, Title: "Origin not allowed", Status: http.StatusForbidden,
		Detail: "the key does not allow events from " + origin,
		Hint:   "create a key with this origin: `millrace keys create --origin " + origin + "`",
	}
}

// allowOrigin lets a page of this origin read the answer.
func allowOrigin(h http.Header, origin string) {
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true") // or the browser keeps no receipt of a collector on another host
		h.Set("Access-Control-Expose-Headers", "Retry-After, "+httpserver.HeaderRequestID)
	}
}

// preflightMaxAge is how long a browser remembers a preflight, in seconds: the most that Chromium keeps.
const preflightMaxAge = "7200"

// handlePreflight answers CORS preflights, which the beacon avoids and other scripts cause. A key in the address decides;
// a key in a header is not part of a preflight, so the request itself is checked then.
func (t *Tracker) handlePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if secret := r.URL.Query().Get(httpserver.KeyParameter); secret != "" {
		key, err := t.deps.Keys.Authenticate(r.Context(), secret)
		if err != nil || key.Kind == control.KeySecret || !key.AllowsEvents(origin) {
			w.WriteHeader(http.StatusNoContent) // without the headers below the browser refuses
			return
		}
	}
	allowOrigin(h, origin)
	h.Set("Access-Control-Allow-Methods", "POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type, Content-Encoding, "+httpserver.HeaderKey)
	h.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}
