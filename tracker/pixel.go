package tracker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

const (
	pixelPath = "/v1/pixel.gif"
	// maxPixelQuery bounds an address: what every browser and proxy lets pass.
	maxPixelQuery = 8 << 10
)

// pixelGIF is one transparent pixel.
const pixelGIF = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// pixelFields says how parameters of the pixel become fields of an event. Whatever is not here is an entry of props where its name
// begins with "props.", and is passed over otherwise.
var pixelFields = map[string]pixelField{
	"event_id": {}, "type": {}, "anonymous_id": {}, "user_id": {}, "session_id": {}, "tab_id": {}, "page_view_id": {}, "item_id": {},
	"search_term": {}, "currency": {}, "transaction_id": {}, "item_name": {}, "item_category": {}, "item_brand": {},
	"occurred_at": {number: true}, "seq": {number: true}, "value": {number: true}, "rating": {number: true}, "price": {number: true},
	"quantity": {number: true},
	"url":      {in: "page"}, "referrer": {in: "page"}, "title": {in: "page"},
	"rec_id": {in: "rec"}, "placement": {in: "rec"}, "index": {in: "rec", number: true}, "token": {in: "rec"},
}

type pixelField struct {
	in     string // the object it belongs to; "" is the event
	number bool   // JSON wants a number where it is one
}

const propPrefix = "props."

// jsonNumber is the grammar of numbers in JSON.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// pixelEvent is the event that a query string describes, as JSON: it passes the same checks as any other. Of a parameter that
// comes more than once the first counts.
func pixelEvent(query url.Values) ([]byte, error) {
	fields, objects := map[string]any{}, map[string]map[string]any{}
	into := func(object, name string, value any) {
		if object == "" {
			fields[name] = value
			return
		}
		if objects[object] == nil {
			objects[object] = map[string]any{}
			fields[object] = objects[object]
		}
		objects[object][name] = value
	}
	for name, values := range query {
		field, known := pixelFields[name]
		prop, isProp := strings.CutPrefix(name, propPrefix)
		switch {
		case values[0] == "":
		case known && field.number && jsonNumber.MatchString(values[0]):
			into(field.in, name, json.Number(values[0]))
		case known:
			into(field.in, name, values[0])
		case isProp:
			into("props", prop, values[0])
		}
	}
	return json.Marshal(fields)
}

// handlePixel takes one event from the address of an image, for pages and mails without scripts.
func (t *Tracker) handlePixel(w http.ResponseWriter, r *http.Request) {
	key, ok := t.authenticate(w, r)
	if !ok {
		return
	}
	if p := checkPixel(r, key); p != nil {
		t.refuse(w, r, *p)
		return
	}
	query := r.URL.Query()
	id := t.idOfPixel(r, query)
	if id != "" {
		query.Set("anonymous_id", id)
	}
	if query.Get("url") == "" {
		query.Set("url", r.Referer())
	}
	raw, err := pixelEvent(query)
	if err != nil {
		t.refuse(w, r, *httpserver.Fault(err))
		return
	}
	b := t.admit(event.Request{Raw: [][]byte{raw}}, t.visit(r, key), t.erased(r.Context()))
	if len(b.rejected) > 0 {
		t.metrics.rejected.WithLabelValues(b.rejected[0].Code).Inc()
		t.refuse(w, r, refusedPixel(b.rejected[0].Problem))
		return
	}
	if !t.store(w, r, &b) {
		return
	}
	t.metrics.count(b, eventsAnswer{Accepted: len(b.records), Duplicates: t.recent.add(b.site, b.ids)})
	t.account(b)
	if len(b.records) > 0 {
		t.keepID(w, r, b.visitor)
	}
	h := w.Header()
	h.Set("Content-Type", "image/gif")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	_, _ = w.Write([]byte(pixelGIF))
}

// checkPixel refuses what is too long and, because images are asked for without an Origin, what another site's page asks for.
func checkPixel(r *http.Request, key control.Key) *httpserver.Problem {
	if len(r.URL.RawQuery) > maxPixelQuery {
		return &httpserver.Problem{
			Type: httpserver.ProblemInvalidField, Title: "Query too long", Status: http.StatusBadRequest,
			Detail: "the pixel takes a query of 8192 bytes at most", Hint: "send the event with POST /v1/events",
		}
	}
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host == "" {
		return nil // a mail, or a page that does not say
	}
	if origin := page.Scheme + "://" + page.Host; !key.AllowsEvents(origin) {
		return originProblem(origin)
	}
	return nil
}

func refusedPixel(p event.Problem) httpserver.Problem {
	out := httpserver.Problem{
		Type: httpserver.ProblemInvalidField, Title: "Event refused", Status: http.StatusBadRequest, Detail: p.Code + ": " + p.Detail,
		Hint: "correct the parameter; they are named like the fields of POST /v1/events",
	}
	if p.Pointer != "" {
		out.Pointer = p.Pointer
	}
	return out
}
