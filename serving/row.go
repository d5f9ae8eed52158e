package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// itemRowVersion is the version of catalogue rows in the online store: JSON of keptRow.
const itemRowVersion = 1

// Row is a row of the catalogue in force. It never changes once it is in force, and is shared by all who read it. What decisions
// need are its fields; whatever else the shop says of the item is packed (row_pack.go), and is read by methods. Texts that many rows
// share are there once. A row of usual texts takes 611 bytes with the index, 582 MiB for a million.
type Row struct {
	Site        string
	ItemID      string
	ItemGroupID string
	Categories  []string
	Brand       string
	Price       *float64
	PublishedAt time.Time
	ExpiresAt   time.Time

	Revision     int64
	BaseRevision int64
	UpdatedAt    time.Time
	// CreatedAt is the UpdatedAt of the first revision, or of the one after the item was deleted; the records of the topic do not
	// say it, their followers keep it with the row. It is zero where nobody knows any more.
	CreatedAt time.Time

	at        place  // of the record that brought it into force
	packed    string // what is not a field
	number    uint32 // of the item among those of its site; see itemIndex
	Available bool
	Deleted   bool
}

// place is where a record stands in its partition of the items topic.
type place struct {
	epoch, offset int64
}

// before reports whether p comes earlier than o in the item's history.
func (p place) before(o place) bool {
	return p.epoch < o.epoch || p.epoch == o.epoch && p.offset < o.offset
}

// newRow packs a row. Texts that are in shared already are not kept again.
func newRow(whole *event.CatalogueRow, shared *sharedTexts) *Row {
	r := &Row{
		Site: shared.text(whole.Site), ItemID: whole.ItemID, Categories: shared.list(whole.Categories), Brand: shared.text(whole.Brand), Price: shared.price(whole.Price),
		PublishedAt: whole.PublishedAt, ExpiresAt: whole.ExpiresAt, Available: whole.Available, Deleted: whole.Deleted,
		Revision: whole.Revision, BaseRevision: whole.BaseRevision, UpdatedAt: whole.UpdatedAt,
	}
	r.pack(&whole.CatalogueItem)
	return r
}

// whole is the row as it stands in the items topic.
func (r *Row) whole() *event.CatalogueRow {
	return &event.CatalogueRow{
		Site: r.Site, CatalogueItem: *r.Item(), Revision: r.Revision, BaseRevision: r.BaseRevision, Deleted: r.Deleted, UpdatedAt: r.UpdatedAt,
	}
}

// Item unpacks the whole item. Its lists are shared and must not be changed; its own fields are a copy.
func (r *Row) Item() *Item {
	u := r.unpack()
	return &Item{
		ItemID: r.ItemID, ItemGroupID: r.ItemGroupID, Categories: r.Categories, Brand: r.Brand, Price: r.Price, Available: r.Available,
		PublishedAt: r.PublishedAt, ExpiresAt: r.ExpiresAt,
		Title: u.text(), URL: u.text(), ImageURL: u.text(), Currency: u.text(), Labels: u.list(), Fields: u.fields(),
	}
}

// eligible reports whether the row's item may be shown at now.
func (r *Row) eligible(now time.Time) bool {
	return !r.Deleted && r.Available && (r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt))
}

// keptRow is a row as it stands in the online store.
type keptRow struct {
	event.CatalogueRow
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// decodeKept reads a row of the online store.
func decodeKept(value []byte, shared *sharedTexts) (*Row, error) {
	var kept keptRow
	if err := decodeExact(value, &kept); err != nil {
		return nil, err
	}
	if kept.Site == "" || kept.ItemID == "" {
		return nil, errors.New("it names no site or no item")
	}
	row := newRow(&kept.CatalogueRow, shared)
	if row.CreatedAt = kept.CreatedAt; row.CreatedAt.IsZero() && row.Revision == 1 {
		row.CreatedAt = row.UpdatedAt
	}
	return row, nil
}

// decodeRecord reads a row of the topic.
func decodeRecord(value []byte, shared *sharedTexts) (*Row, error) {
	whole, err := event.DecodeCatalogueRow(value)
	if err != nil {
		return nil, err
	}
	return newRow(&whole, shared), nil
}

// encodeRow is the JSON of a row in the log (event.CatalogueRow) and in the online store (keptRow). Markup stays as it is: escaped,
// as encoding/json does for pages, a description in HTML would grow by half.
func encodeRow(row any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(row); err != nil {
		return nil, fmt.Errorf("encode catalogue row: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
