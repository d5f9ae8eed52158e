package serving

import (
	"context"
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
	// ProblemUnknownItem is the type of a request for an item that neither catalogue nor events know.
	ProblemUnknownItem = "unknown-item"
	// ProblemInvalidItem is the type of a refused item; its detail says which code a bulk write would give.
	ProblemInvalidItem = "invalid-item"
	// ProblemTooManyRows is the type of a bulk write beyond MaxBulkRows.
	ProblemTooManyRows = "too-many-rows"
	// ProblemPrecondition is the type of a write whose If-Match names another revision than the one in force.
	ProblemPrecondition = "precondition-failed"
	// ProblemConflict is the type of a write that lost against other writers again and again.
	ProblemConflict = "conflict"
)

// Where an item is known from.
const (
	fromCatalogue = "catalogue"
	fromEvents    = "events"
)

func answerRow(row *Row) itemAnswer {
	return itemAnswer{Item: *row.Item(), Revision: row.Revision, UpdatedAt: row.UpdatedAt(), Source: fromCatalogue}
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

func (s *Serving) getItem(ctx context.Context, site string, in *itemInput) (*itemOutput, *httpserver.Problem) {
	if p := checkItemID(in.ID); p != nil {
		return nil, p
	}
	return s.showItem(ctx, site, in.ID)
}

// showItem shows an item: its row, or what events said of it.
func (s *Serving) showItem(ctx context.Context, site, id string) (*itemOutput, *httpserver.Problem) {
	row := s.catalogue.row(site, id)
	if row != nil && !row.Deleted {
		return &itemOutput{Status: http.StatusOK, ETag: etag(row.Revision), Body: answerRow(row)}, nil
	}
	if row == nil {
		it, err := saidOf(ctx, s.online, site, id)
		if err != nil {
			return nil, httpserver.Fault(err)
		}
		if it != nil {
			shown := itemAnswer{Item: *viewOf(it), UpdatedAt: time.UnixMilli(it.lastAt).UTC(), Source: fromEvents}
			return &itemOutput{Status: http.StatusOK, Body: shown}, nil
		}
	}
	return nil, unknownItem(id)
}

func unknownItem(id string) *httpserver.Problem {
	return &httpserver.Problem{
		Type: ProblemUnknownItem, Title: "Unknown item", Status: http.StatusNotFound,
		Detail: "neither the catalogue nor any event knows the item " + strconv.Quote(id), Hint: "PUT /v1/items/{id} creates it",
	}
}

// putItem replaces the row, or makes it.
func (s *Serving) putItem(ctx context.Context, site string, in *writeItemInput) (*itemOutput, *httpserver.Problem) {
	row := s.catalogue.row(site, in.ID)
	created := row == nil || row.Deleted
	out, p := s.writeItem(ctx, site, in, change{kind: writeReplace})
	if p == nil && created {
		out.Status = http.StatusCreated
	}
	return out, p
}

// patchItem merges into the row. An item that only events know gets its row from what they said.
func (s *Serving) patchItem(ctx context.Context, site string, in *writeItemInput) (*itemOutput, *httpserver.Problem) {
	ch := change{kind: writePatch}
	if s.catalogue.row(site, in.ID) == nil {
		it, err := saidOf(ctx, s.online, site, in.ID)
		if err != nil {
			return nil, httpserver.Fault(err)
		}
		if it != nil {
			ch.said = viewOf(it)
		}
	}
	return s.writeItem(ctx, site, in, ch)
}

func (s *Serving) writeItem(ctx context.Context, site string, in *writeItemInput, ch change) (*itemOutput, *httpserver.Problem) {
	if p := checkItemID(in.ID); p != nil {
		return nil, p
	}
	if p := sameID(in.Value, in.ID); p != nil {
		return nil, p
	}
	match, p := readIfMatch(in.IfMatch)
	if p != nil {
		return nil, p
	}
	ch.id, ch.patch, ch.match = in.ID, in.Value, match
	if p := s.writeOne(ctx, site, ch); p != nil {
		return nil, p
	}
	return s.showItem(ctx, site, in.ID)
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

// writeOne carries one change out; nil means that it is in force.
func (s *Serving) writeOne(ctx context.Context, site string, ch change) *httpserver.Problem {
	var report UpsertReport
	if err := s.catalogue.write(ctx, site, []change{ch}, &report); err != nil {
		return notWritten(err)
	}
	if len(report.Rejected) == 0 {
		return nil
	}
	return rejectedItem(ch.id, report.Rejected[0].Problem)
}

func rejectedItem(id string, p event.Problem) *httpserver.Problem {
	switch p.Code {
	case CodeUnknownItem:
		return unknownItem(id)
	case CodePrecondition:
		return &httpserver.Problem{
			Type: ProblemPrecondition, Title: "Precondition failed", Status: http.StatusPreconditionFailed, Detail: p.Detail,
			Hint: "read the item again, and send the change with its ETag",
		}
	case CodeConflict:
		return &httpserver.Problem{Type: ProblemConflict, Title: "Conflict", Status: http.StatusConflict, Detail: p.Detail}
	}
	return &httpserver.Problem{
		Type: ProblemInvalidItem, Title: "Invalid item", Status: http.StatusBadRequest, Pointer: p.Pointer,
		Detail: p.Code + ": " + strings.TrimPrefix(p.Pointer, "/") + " " + p.Detail,
	}
}

// notWritten explains why the log did not take a write.
func notWritten(err error) *httpserver.Problem {
	p := &httpserver.Problem{
		Type: ProblemUnavailable, Title: "Catalogue not writable", Status: http.StatusServiceUnavailable, Cause: err,
		Detail: "Kafka did not take the change", Hint: "send it again: rows that are in force already are left as they are",
	}
	if errors.Is(err, ErrNotInForce) {
		p.Detail = err.Error()
	}
	return p
}

func (s *Serving) deleteItem(ctx context.Context, site string, in *deleteItemInput) (*struct{}, *httpserver.Problem) {
	match, p := readIfMatch(in.IfMatch)
	if p == nil {
		p = checkItemID(in.ID)
	}
	if p != nil {
		return nil, p
	}
	if s.catalogue.row(site, in.ID) == nil {
		it, err := saidOf(ctx, s.online, site, in.ID)
		if err != nil {
			return nil, httpserver.Fault(err)
		}
		if it == nil {
			return nil, unknownItem(in.ID)
		}
	}
	return nil, s.writeOne(ctx, site, change{kind: writeDelete, id: in.ID, match: match})
}

func (s *Serving) handleBulkItems(w http.ResponseWriter, r *http.Request, site string) {
	rows, p := readRows(w, r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	report, err := s.catalogue.Upsert(r.Context(), site, rows)
	if err != nil {
		s.log.WarnContext(r.Context(), "catalogue write failed", "error", err, "request_id", r.Header.Get(httpserver.HeaderRequestID))
		writeProblem(w, r, notWritten(err))
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
