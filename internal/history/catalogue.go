package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fields of a catalogue file, as an item of the catalogue names them.
const (
	ItemFieldID          = "item_id"
	ItemFieldGroupID     = "item_group_id"
	ItemFieldTitle       = "title"
	ItemFieldCategories  = "categories"
	ItemFieldBrand       = "brand"
	ItemFieldPrice       = "price"
	ItemFieldCurrency    = "currency"
	ItemFieldAvailable   = "available"
	ItemFieldURL         = "url"
	ItemFieldImageURL    = "image_url"
	ItemFieldPublishedAt = "published_at"
	ItemFieldExpiresAt   = "expires_at"
	ItemFieldLabels      = "labels"
)

// listSeparator divides the entries of one cell.
const listSeparator = "|"

// ItemFields lists the fields of an item that a column of a catalogue file can be mapped to.
func ItemFields() []string {
	return []string{
		ItemFieldID, ItemFieldGroupID, ItemFieldTitle, ItemFieldCategories, ItemFieldBrand, ItemFieldPrice, ItemFieldCurrency,
		ItemFieldAvailable, ItemFieldURL, ItemFieldImageURL, ItemFieldPublishedAt, ItemFieldExpiresAt, ItemFieldLabels,
	}
}

// itemAliases are usual column names of an item's fields, tried after the field's own name.
func itemAliases(field string) []string {
	switch field {
	case ItemFieldID:
		return []string{"id", "sku"}
	case ItemFieldTitle:
		return []string{"item_name", "name"}
	case ItemFieldCategories:
		return []string{"category", "item_category", "category_id", "genres"}
	case ItemFieldBrand:
		return []string{"item_brand"}
	case ItemFieldPrice:
		return []string{"unit_price"}
	case ItemFieldAvailable:
		return []string{"in_stock"}
	case ItemFieldURL:
		return []string{"link"}
	case ItemFieldImageURL:
		return []string{"image", "image_link"}
	case ItemFieldLabels:
		return []string{"tags"}
	default:
		return nil
	}
}

// DetectItems settles which column of a catalogue file holds which field of an item: the mapped ones, and for the others a
// column of their own or of a usual name that no other field has. A mapped column that the file lacks is a
// *MissingColumnError, a file without a column for the id an error.
func (m Mapping) DetectItems(columns []string) (Mapping, error) {
	out, taken := Mapping{}, map[string]bool{}
	for _, field := range ItemFields() {
		column, named := m[field]
		if !named {
			continue
		}
		if !hasColumn(columns, column) {
			return nil, &MissingColumnError{Field: field, Column: column, Present: columns}
		}
		out[field], taken[column] = column, true
	}
	for _, field := range ItemFields() {
		if out[field] != "" {
			continue
		}
		for _, name := range append([]string{field}, itemAliases(field)...) {
			if hasColumn(columns, name) && !taken[name] {
				out[field], taken[name] = name, true
				break
			}
		}
	}
	if out[ItemFieldID] == "" {
		return nil, fmt.Errorf("no column holds the item's id; the file has: %s. Name one with --map item_id=COLUMN", strings.Join(columns, ", "))
	}
	return out, nil
}

// hasColumn also finds a JSON array, whose entries are columns of their own: categories.0.
func hasColumn(columns []string, name string) bool {
	return slices.Contains(columns, name) || slices.Contains(columns, name+".0")
}

// List returns the entries of a column, without empty ones and the space around them: a cell of entries divided by |, a
// cell that holds a JSON array, or the entries of an array of a JSON row.
func (r Row) List(column string) ([]string, error) {
	var entries []string
	switch text := strings.TrimSpace(r.Get(column)); {
	case strings.HasPrefix(text, "["):
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return nil, fmt.Errorf("%.40q is not a JSON array of texts: %w", text, err)
		}
	case text != "":
		entries = strings.Split(text, listSeparator)
	default:
		for i := 0; r.Has(column + "." + strconv.Itoa(i)); i++ {
			entries = append(entries, r.Get(column+"."+strconv.Itoa(i)))
		}
	}
	out := entries[:0]
	for _, e := range entries {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out, nil
}
