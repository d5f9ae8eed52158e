package serving

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// maxHistoryBytes ends a page of a history early: texts of items may be long, and each change has them twice.
const maxHistoryBytes = 4 << 20

func (s *Serving) historyEndpoints(a *api.API) {
	secretEndpoint(s, a, api.Endpoint{
		ID: "getItemHistory", Method: http.MethodGet, Path: "/v1/items/{id}/history", Tag: api.TagItems, Scope: string(control.ScopeItemsRead), Summary: "Read the history of an item",
		Description: "The versions of an item's row, the newest first, a page at a time, each with what it changed: writes, feeds and imports alike, also before " +
			"the item was deleted. It goes back as far as the lake does; a node that does not read the lake has the last hour, and says so in `complete`.",
		Problems: []string{ProblemUnknownItem, ProblemUnavailable},
	}, s.getItemHistory)
}

type historyInput struct {
	ID        string `path:"id" minLength:"1" maxLength:"128" doc:"The item_id, percent-encoded." example:"shoe-1"`
	Limit     int    `query:"limit" minimum:"1" maximum:"100" default:"20" doc:"Versions on a page, which long texts may make shorter."`
	PageToken string `query:"page_token" maxLength:"64" doc:"The next_page_token of the page before."`
}

type historyOutput struct{ Body historyPage }

// historyPage is a page of the versions of an item.
type historyPage struct {
	ItemID        string        `json:"item_id" doc:"The item." example:"shoe-1"`
	Versions      []itemVersion `json:"versions" doc:"The newest first. None where only events know the item."`
	Complete      bool          `json:"complete" doc:"Whether all versions down to the oldest of this page were looked for. False on a node that does not read the lake, and where the log had lost some."`
	NextPageToken string        `json:"next_page_token,omitempty" doc:"Asks for the next page; absent on the last."`
}

// itemVersion is one version of an item.
type itemVersion struct {
	Revision     int64         `json:"revision" doc:"Counts the changes of the item, from 1." example:"3"`
	BaseRevision int64         `json:"base_revision" doc:"The revision that it was written over; 0 for the first." example:"2"`
	UpdatedAt    time.Time     `json:"updated_at" doc:"When it was written."`
	Deleted      bool          `json:"deleted" doc:"The item was deleted."`
	BaseKnown    bool          `json:"base_known" doc:"Whether the version before is known; where not, every field counts as changed, from nothing."`
	Changes      []fieldChange `json:"changes" doc:"The fields that changed, by name."`
}

// fieldChange is one field of an item before and after a change.
type fieldChange struct {
	Field  string          `json:"field" doc:"Which field; fields.NAME for one of the shop's own." example:"price"`
	Before json.RawMessage `json:"before,omitempty" doc:"Its value before; absent for none."`
	After  json.RawMessage `json:"after,omitempty" doc:"Its value after; absent for none."`
}

func (s *Serving) getItemHistory(ctx context.Context, site string, in *historyInput) (*historyOutput, *httpserver.Problem) {
	if p := checkItemID(in.ID); p != nil {
		return nil, p
	}
	below, p := readHistoryToken(in.PageToken)
	if p != nil {
		return nil, p
	}
	h, err := s.historyOf(ctx, site, in.ID, below, in.Limit+1)
	if err != nil {
		s.lostLists.warn(ctx, s.log, "the history of an item could not be read", err)
		return nil, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "The history cannot be read", Status: http.StatusServiceUnavailable,
			Detail: "the lake or the log, which have the history, do not answer", Hint: "try again", Cause: err,
		}
	}
	if len(h.rows) == 0 && below == 0 {
		it, err := saidOf(ctx, s.online, site, in.ID)
		if err != nil {
			return nil, httpserver.Fault(err)
		}
		if it == nil {
			return nil, unknownItem(in.ID)
		}
	}
	page, err := h.page(below, in.Limit)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	page.ItemID = in.ID
	return &historyOutput{Body: page}, nil
}

func readHistoryToken(token string) (below int64, _ *httpserver.Problem) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		below, err = strconv.ParseInt(string(text), 10, 64)
	}
	if err != nil || below < 1 {
		return 0, invalid("/page_token", "page_token is not one that an answer gave")
	}
	return below, nil
}

// page compares each version with the one that it was written over.
func (h *history) page(below int64, limit int) (page historyPage, err error) {
	rows := h.below(below)
	page = historyPage{Versions: []itemVersion{}, Complete: h.whole}
	size := 0
	for i, row := range rows {
		if i == limit || size > maxHistoryBytes {
			page.NextPageToken = pageToken(strconv.FormatInt(rows[i-1].Revision, 10))
			return page, nil
		}
		base := h.rows[row.BaseRevision]
		v := itemVersion{
			Revision: row.Revision, BaseRevision: row.BaseRevision, UpdatedAt: row.UpdatedAt, Deleted: row.Deleted, BaseKnown: base != nil || row.BaseRevision == 0,
		}
		if v.Changes, err = changesOf(base, row); err != nil {
			return page, err
		}
		for _, c := range v.Changes {
			size += len(c.Before) + len(c.After)
		}
		page.Versions = append(page.Versions, v)
	}
	return page, nil
}

// changesOf compares a row with the one before, nil for none.
func changesOf(before, after *event.CatalogueRow) ([]fieldChange, error) {
	old, err := fieldTexts(before)
	if err != nil {
		return nil, err
	}
	fresh, err := fieldTexts(after)
	if err != nil {
		return nil, err
	}
	changes := []fieldChange{}
	for name, value := range fresh {
		if !bytes.Equal(old[name], value) {
			changes = append(changes, fieldChange{name, old[name], value})
		}
	}
	for name, value := range old {
		if fresh[name] == nil {
			changes = append(changes, fieldChange{name, value, nil})
		}
	}
	slices.SortFunc(changes, func(a, b fieldChange) int { return bytes.Compare([]byte(a.Field), []byte(b.Field)) })
	return changes, nil
}

// fieldTexts are the fields of a row by name, each as JSON; none for a row that says that the item is no more.
func fieldTexts(row *event.CatalogueRow) (map[string]json.RawMessage, error) {
	if row == nil || row.Deleted {
		return nil, nil //nolint:nilnil // an item without fields
	}
	text, err := encodeRow(row.CatalogueItem)
	if err != nil {
		return nil, err
	}
	var fields, own map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	if raw, ok := fields["fields"]; ok {
		if err := json.Unmarshal(raw, &own); err != nil {
			return nil, err
		}
	}
	for name, value := range own {
		fields["fields."+name] = value
	}
	delete(fields, "fields")
	delete(fields, "item_id")
	return fields, nil
}
