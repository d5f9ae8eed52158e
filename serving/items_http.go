package serving

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

const (
	// defaultItemsPage and maxItemsPage bound a page of GET /v1/items.
	defaultItemsPage = 100
	maxItemsPage     = 1_000
	// ProblemUnknownItem is the type of a request for an item that neither catalogue nor events know.
	ProblemUnknownItem = "unknown-item"
	// ProblemInvalidItem is the type of a refused item; its detail says which code a bulk write would give.
	ProblemInvalidItem = "invalid-item"
	// ProblemConflict is the type of a write that lost against other writers again and again.
	ProblemConflict = "conflict"
)

// Where an item is known from.
const (
	fromCatalogue = "catalogue"
	fromEvents    = "events"
)

// itemAnswer is an item as the API shows it. Revision is 0 for an item known only from events.
type itemAnswer struct {
	Item
	Revision  int64     `json:"revision"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	Source    string    `json:"source"`
}

func answerRow(row *Row) itemAnswer {
	return itemAnswer{Item: *row.Item(), Revision: row.Revision, UpdatedAt: row.UpdatedAt, Source: fromCatalogue}
}

// pathText reads what stands for {id} in a path, unescaped.
func pathText(r *http.Request) (string, *httpserver.Problem) {
	id := chi.URLParam(r, "id")
	if r.URL.RawPath == "" { // chi matches the escaped path where there is one
		return id, nil
	}
	unescaped, err := url.PathUnescape(id)
	if err != nil {
		return "", invalid("", "the id in the path is not well escaped")
	}
	return unescaped, nil
}

// pathID is the id in the path, unescaped and checked.
func pathID(r *http.Request) (string, *httpserver.Problem) {
	id, p := pathText(r)
	if p != nil {
		return "", p
	}
	if err := event.CheckID(id); err != nil {
		return "", invalid("", "the id in the path %s", err)
	}
	return id, nil
}

func (s *Serving) handleGetItem(w http.ResponseWriter, r *http.Request, site string) {
	id, p := pathID(r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	s.answerItem(w, r, site, id, http.StatusOK)
}

// answerItem shows an item: its row, or what events said of it.
func (s *Serving) answerItem(w http.ResponseWriter, r *http.Request, site, id string, status int) {
	row := s.catalogue.row(site, id)
	if row != nil && !row.Deleted {
		w.Header().Set("ETag", `"`+strconv.FormatInt(row.Revision, 10)+`"`)
		s.answer(w, r, status, answerRow(row))
		return
	}
	if row == nil {
		it, err := saidOf(r.Context(), s.online, site, id)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if it != nil {
			s.answer(w, r, status, itemAnswer{Item: *viewOf(it), UpdatedAt: time.UnixMilli(it.lastAt).UTC(), Source: fromEvents})
			return
		}
	}
	writeProblem(w, r, unknownItem(id))
}

func unknownItem(id string) *httpserver.Problem {
	return &httpserver.Problem{
		Type: ProblemUnknownItem, Title: "Unknown item", Status: http.StatusNotFound,
		Detail: "neither the catalogue nor any event knows the item " + strconv.Quote(id), Hint: "PUT /v1/items/{id} creates it",
	}
}

// handleWriteItem answers PUT, which replaces the row, and PATCH, which merges into it.
func (s *Serving) handleWriteItem(w http.ResponseWriter, r *http.Request, site string) {
	id, p := pathID(r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	var patch map[string]json.RawMessage
	if p := httpserver.ReadJSON(w, r, MaxItemBytes, &patch); p != nil {
		writeProblem(w, r, p)
		return
	}
	if p := sameID(patch, id); p != nil {
		writeProblem(w, r, p)
		return
	}
	ch, status := change{kind: writeReplace, id: id, patch: patch}, http.StatusOK
	row := s.catalogue.row(site, id)
	switch {
	case r.Method == http.MethodPatch && row == nil: // an item that only events know gets its row from what they said
		it, err := saidOf(r.Context(), s.online, site, id)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if it != nil {
			ch.said = viewOf(it)
		}
		ch.kind = writePatch
	case r.Method == http.MethodPatch:
		ch.kind = writePatch
	case row == nil || row.Deleted:
		status = http.StatusCreated
	}
	if !s.writeOne(w, r, site, ch) {
		return
	}
	s.answerItem(w, r, site, id, status)
}

// sameID refuses a body that names another item than the path.
func sameID(patch map[string]json.RawMessage, id string) *httpserver.Problem {
	given, ok := patch["item_id"]
	if patch == nil {
		return invalid("", "the body is null, not an object")
	}
	var inBody string
	if ok && (json.Unmarshal(given, &inBody) != nil || inBody != id) {
		return invalid("/item_id", "the body names another item than the path")
	}
	return nil
}

// writeOne carries one change out and answers its failure; it reports whether it is in force.
func (s *Serving) writeOne(w http.ResponseWriter, r *http.Request, site string, ch change) bool {
	var report UpsertReport
	if err := s.catalogue.write(r.Context(), site, []change{ch}, &report); err != nil {
		writeProblem(w, r, s.writeProblem(r, err))
		return false
	}
	if len(report.Rejected) == 0 {
		return true
	}
	writeProblem(w, r, rejectedItem(ch.id, report.Rejected[0].Problem))
	return false
}

func rejectedItem(id string, p event.Problem) *httpserver.Problem {
	switch p.Code {
	case CodeUnknownItem:
		return unknownItem(id)
	case CodeConflict:
		return &httpserver.Problem{Type: ProblemConflict, Title: "Conflict", Status: http.StatusConflict, Detail: p.Detail}
	}
	return &httpserver.Problem{
		Type: ProblemInvalidItem, Title: "Invalid item", Status: http.StatusBadRequest, Pointer: p.Pointer,
		Detail: p.Code + ": " + strings.TrimPrefix(p.Pointer, "/") + " " + p.Detail,
	}
}

// writeProblem explains why the log did not take a write.
func (s *Serving) writeProblem(r *http.Request, err error) *httpserver.Problem {
	s.log.WarnContext(r.Context(), "catalogue write failed", "error", err, "request_id", r.Header.Get(httpserver.HeaderRequestID))
	p := &httpserver.Problem{
		Type: ProblemUnavailable, Title: "Catalogue not writable", Status: http.StatusServiceUnavailable,
		Detail: "Kafka did not take the change", Hint: "send it again: rows that are in force already are left as they are",
	}
	if errors.Is(err, ErrNotInForce) {
		p.Detail = err.Error()
	}
	return p
}

func (s *Serving) handleDeleteItem(w http.ResponseWriter, r *http.Request, site string) {
	id, p := pathID(r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	if s.catalogue.row(site, id) == nil {
		it, err := saidOf(r.Context(), s.online, site, id)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if it == nil {
			writeProblem(w, r, unknownItem(id))
			return
		}
	}
	if s.writeOne(w, r, site, change{kind: writeDelete, id: id}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Serving) handleBulkItems(w http.ResponseWriter, r *http.Request, site string) {
	rows, p := readRows(w, r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	report, err := s.catalogue.Upsert(r.Context(), site, rows)
	if err != nil {
		writeProblem(w, r, s.writeProblem(r, err))
		return
	}
	s.answer(w, r, http.StatusOK, report)
}

// handleAdminBulk is handleBulkItems for the command line, which names the site instead of a key.
func (s *Serving) handleAdminBulk(w http.ResponseWriter, r *http.Request) {
	site := r.URL.Query().Get("site")
	if err := event.CheckSite(site); err != nil {
		writeProblem(w, r, invalid("/site", "site %s", err))
		return
	}
	s.handleBulkItems(w, r, site)
}

// handleListItems answers GET /v1/items: the rows of the catalogue by item_id.
func (s *Serving) handleListItems(w http.ResponseWriter, r *http.Request, site string) {
	limit := defaultItemsPage
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxItemsPage {
			writeProblem(w, r, invalid("/limit", "limit is %q, it must be 1 to %d", text, maxItemsPage))
			return
		}
		limit = n
	}
	after, err := base64.RawURLEncoding.DecodeString(r.URL.Query().Get("page_token"))
	if err != nil {
		writeProblem(w, r, invalid("/page_token", "page_token is not one that an answer gave"))
		return
	}
	rows, more := s.catalogue.page(site, string(after), limit)
	page := struct {
		Items         []itemAnswer `json:"items"`
		NextPageToken string       `json:"next_page_token,omitempty"`
	}{Items: make([]itemAnswer, len(rows))}
	for i, row := range rows {
		page.Items[i] = answerRow(row)
	}
	if more {
		page.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(rows[len(rows)-1].ItemID))
	}
	s.answer(w, r, http.StatusOK, page)
}

func (s *Serving) answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	if err := httpserver.WriteJSON(w, r, status, v); err != nil {
		s.log.ErrorContext(r.Context(), "answer not written", "error", err, "request_id", r.Header.Get(httpserver.HeaderRequestID))
	}
}

// fail answers a fault that is ours and logs its cause, once.
func (s *Serving) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err,
		"request_id", r.Header.Get(httpserver.HeaderRequestID))
	writeProblem(w, r, new(httpserver.Internal()))
}
