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
	ItemID      string         `json:"item_id"`
	ItemGroupID string         `json:"item_group_id,omitempty"`
	Title       string         `json:"title,omitempty"`
	Categories  []string       `json:"categories,omitempty"`
	Brand       string         `json:"brand,omitempty"`
	Price       *float64       `json:"price,omitempty"`
	Currency    string         `json:"currency,omitempty"`
	Available   bool           `json:"available"`
	URL         string         `json:"url,omitempty"`
	ImageURL    string         `json:"image_url,omitempty"`
	PublishedAt time.Time      `json:"published_at,omitzero"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero"`
	Labels      []string       `json:"labels,omitempty"`
	Fields      map[string]any `json:"fields,omitempty"`
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
