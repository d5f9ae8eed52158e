package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unique"

	"github.com/millrace/millrace/internal/event"
)

// itemRowVersion is the version of catalogue rows in the online store: JSON of keptRow.
const itemRowVersion = 1

// Row is a row of the catalogue in force. It never changes once it is in force, and is shared by all who read it. What decisions
// need are its fields; whatever else the shop says of the item is packed (row_pack.go), and is read by methods. Texts that many rows
// share are there once.
type Row struct {
	ItemID string
	Brand  string
	Price  *float64

	Revision     int64
	BaseRevision int64

	site       unique.Handle[string]
	categories *[]string // nil for none
	published  moment
	expires    moment
	updated    moment
	created    moment
	at         place  // of the record that brought it into force
	packed     string // what is not a field
	number     uint32 // of the item among those of its site; see itemIndex
	Available  bool
	Deleted    bool
}

// moment is a time to the millisecond, as the catalogue has them all: milliseconds since the year 1, so that 0 is the zero time.Time.
type moment int64

var yearOne = time.Time{}.UnixMilli()

func momentOf(t time.Time) moment { return moment(t.UnixMilli() - yearOne) }

func (m moment) unixMilli() int64 { return int64(m) + yearOne }

func (m moment) time() time.Time { return time.UnixMilli(m.unixMilli()).UTC() }

// Site is the site that the item belongs to.
func (r *Row) Site() string { return r.site.Value() }

// Categories are those that the item stands in. The list is shared and must not be changed.
func (r *Row) Categories() []string {
	if r.categories == nil {
		return nil
	}
	return *r.categories
}

// PublishedAt is since when the item is in the shop, zero where nobody said.
func (r *Row) PublishedAt() time.Time { return r.published.time() }

// ExpiresAt is from when the item may not be shown, zero for never.
func (r *Row) ExpiresAt() time.Time { return r.expires.time() }

// UpdatedAt is when the row was written.
func (r *Row) UpdatedAt() time.Time { return r.updated.time() }

// CreatedAt is the UpdatedAt of the first revision, or of the one after the item was deleted; the records of the topic do not say it,
// their followers keep it with the row. It is zero where nobody knows any more.
func (r *Row) CreatedAt() time.Time { return r.created.time() }

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
		site: unique.Make(whole.Site), ItemID: whole.ItemID, categories: shared.list(whole.Categories), Brand: shared.text(whole.Brand), Price: shared.price(whole.Price),
		published: momentOf(whole.PublishedAt), expires: momentOf(whole.ExpiresAt), Available: whole.Available, Deleted: whole.Deleted,
		Revision: whole.Revision, BaseRevision: whole.BaseRevision, updated: momentOf(whole.UpdatedAt),
	}
	r.pack(&whole.CatalogueItem)
	return r
}

// whole is the row as it stands in the items topic.
func (r *Row) whole() *event.CatalogueRow {
	return &event.CatalogueRow{
		Site: r.Site(), CatalogueItem: *r.Item(), Revision: r.Revision, BaseRevision: r.BaseRevision, Deleted: r.Deleted, UpdatedAt: r.UpdatedAt(),
	}
}

// Item unpacks the whole item. Its lists are shared and must not be changed; its own fields are a copy.
func (r *Row) Item() *Item {
	u := r.unpack()
	return &Item{
		ItemID: r.ItemID, Categories: r.Categories(), Brand: r.Brand, Price: r.Price, Available: r.Available,
		PublishedAt: r.PublishedAt(), ExpiresAt: r.ExpiresAt(),
		ItemGroupID: u.text(), Title: u.text(), URL: u.text(), ImageURL: u.text(), Currency: u.text(), Labels: u.list(), Fields: u.fields(),
	}
}

// eligible reports whether the row's item may be shown at now.
func (r *Row) eligible(now time.Time) bool {
	return !r.Deleted && r.Available && (r.expires == 0 || momentOf(now) < r.expires)
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
	if row.created = momentOf(kept.CreatedAt); row.created == 0 && row.Revision == 1 {
		row.created = row.updated
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
