package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// ItemSchema is the value of the schema header on records of the items topic.
const ItemSchema = "item/1"

// CatalogueItem is one article of the catalogue. Price is in units of Currency (ISO 4217). Available is what decides whether it
// may be recommended, until ExpiresAt. Of the items that share an ItemGroupID (the variants of one product) a list
// shows one. Fields are the shop's own: scalars or lists of scalars, their numbers as the shop wrote them (json.Number).
type CatalogueItem struct {
	ItemID      string         `json:"item_id" maxLength:"128" doc:"The shop's id of the item." example:"shoe-1"`
	ItemGroupID string         `json:"item_group_id,omitempty" maxLength:"128" doc:"What the variants of one product share; a list shows one of them." example:"shoe"`
	Title       string         `json:"title,omitempty" maxLength:"1024" doc:"What it is called." example:"Trail shoe"`
	Categories  []string       `json:"categories,omitempty" maxItems:"20" doc:"The branches of the shop's category tree that it stands in." example:"[\"Shoes\",\"Outdoor\"]"`
	Brand       string         `json:"brand,omitempty" maxLength:"1024" doc:"Who makes it." example:"Salewa"`
	Price       *float64       `json:"price,omitempty" minimum:"0" doc:"In units of currency." example:"129.95"`
	Currency    string         `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217." example:"EUR"`
	Available   bool           `json:"available" doc:"Whether it may be recommended." example:"true"`
	URL         string         `json:"url,omitempty" maxLength:"4096" doc:"Its page." example:"https://shop.example/p/shoe-1"`
	ImageURL    string         `json:"image_url,omitempty" maxLength:"4096" doc:"Its picture." example:"https://shop.example/i/shoe-1.webp"`
	PublishedAt time.Time      `json:"published_at,omitzero" doc:"Since when it is in the shop." example:"2026-01-31T12:00:00Z"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero" doc:"From then on it is not recommended." example:"2026-12-31T23:00:00Z"`
	Labels      []string       `json:"labels,omitempty" maxItems:"50" doc:"Flags of the shop." example:"[\"sale\"]"`
	Fields      map[string]any `json:"fields,omitempty" doc:"The shop's own, at most 64: scalars or lists of scalars."`
}

// Eligible reports whether the item may be shown at now.
func (it *CatalogueItem) Eligible(now time.Time) bool {
	return it.Available && (it.ExpiresAt.IsZero() || now.Before(it.ExpiresAt))
}

// CatalogueRow is an item as it stands in the items topic and in the online store: the whole item with its place in the item's
// history. A record changes the catalogue only where BaseRevision is the current revision (0 for an item without a
// row); every node sees the records of an item in one order and so decides alike. Deleted keeps the place of an item
// that may not be shown although events still name it.
type CatalogueRow struct {
	Site string `json:"site"`
	CatalogueItem
	Revision     int64     `json:"revision"`
	BaseRevision int64     `json:"base_revision"`
	Deleted      bool      `json:"deleted,omitempty"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// DecodeCatalogueRow reads the value of a record of the items topic. Numbers among the item's own fields stay as they were written.
func DecodeCatalogueRow(value []byte) (row CatalogueRow, err error) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	if err := decoder.Decode(&row); err != nil {
		return row, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return row, errors.New("there is data behind the JSON value")
	}
	if row.Site == "" || row.ItemID == "" {
		return row, errors.New("it names no site or no item")
	}
	return row, nil
}
