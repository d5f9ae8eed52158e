package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
)

const (
	// listSeparator divides categories and labels in one cell.
	listSeparator = "|"

	// maxListEntries bounds a list of categories or labels.
	maxListEntries = 100
)

// itemReader makes catalogue items of rows.
type itemReader struct {
	mapping history.Mapping
	unit    history.Unit
	taken   []string // columns that a catalogue field holds; the others become fields
}

func newItemReader(cfg ItemsConfig, columns []string) (*itemReader, error) {
	r := &itemReader{mapping: history.Mapping{}, unit: cfg.TimeUnit}
	for field, others := range itemFields() {
		if column, ok := cfg.Map[field]; ok {
			if !hasColumn(columns, column) {
				return nil, &history.MissingColumnError{Field: field, Column: column, Present: columns}
			}
			r.mapping[field] = column
			continue
		}
		for _, name := range append([]string{field}, others...) {
			if hasColumn(columns, name) && !slices.Contains(mapped(cfg.Map), name) {
				r.mapping[field] = name
				break
			}
		}
	}
	if r.mapping["item_id"] == "" {
		return nil, fmt.Errorf("no column holds the item's id; the file has: %s. Name one with --map item_id=COLUMN", strings.Join(columns, ", "))
	}
	r.taken = mapped(r.mapping)
	return r, nil
}

func mapped(m history.Mapping) []string {
	out := make([]string, 0, len(m))
	for _, column := range m {
		out = append(out, column)
	}
	return out
}

// hasColumn also finds the column of a JSON array, whose entries are columns of their own: categories.0.
func hasColumn(columns []string, name string) bool {
	return slices.Contains(columns, name) || slices.Contains(columns, name+".0")
}

// read makes the item of a row; the error is the reason to reject it.
func (r *itemReader) read(row history.Row) (CatalogueItem, error) {
	get := func(field string) string { return strings.TrimSpace(r.mapping.Value(row, field)) }
	item := CatalogueItem{
		ItemID: get("item_id"), ItemGroupID: get("item_group_id"), Title: cut(get("title"), event.MaxNameBytes),
		Brand: cut(get("brand"), event.MaxNameBytes), Currency: cut(get("currency"), event.MaxNameBytes),
		URL: get("url"), ImageURL: get("image_url"), Available: true,
	}
	if err := event.CheckID(item.ItemID); err != nil {
		return item, fmt.Errorf("item_id %w", err)
	}
	for name, url := range map[string]string{"url": item.URL, "image_url": item.ImageURL} {
		if len(url) > event.MaxURLBytes {
			return item, fmt.Errorf("%s must have at most %d bytes", name, event.MaxURLBytes)
		}
	}
	var errs [6]error
	item.Price, errs[0] = parseNumber("price", get("price"))
	item.Available, errs[1] = parseAvailable(get("available"))
	item.PublishedAt, errs[2] = r.time(get("published_at"))
	item.ExpiresAt, errs[3] = r.time(get("expires_at"))
	item.Categories, errs[4] = r.list(row, "categories")
	item.Labels, errs[5] = r.list(row, "labels")
	if item.Price != nil && *item.Price < 0 {
		errs[0] = fmt.Errorf("price %g is negative", *item.Price)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return item, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	var err error
	item.Fields, err = r.fields(row)
	return item, err
}

func (r *itemReader) time(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return history.ParseTime(text, r.unit)
}

// parseAvailable reads whether an item can be had; a row that says nothing is available.
func parseAvailable(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "", "true", "1", "yes", "y", "in stock", "in_stock":
		return true, nil
	case "false", "0", "no", "n", "out of stock", "out_of_stock":
		return false, nil
	}
	return false, fmt.Errorf("available %.40q is neither true nor false", text)
}

// list reads a cell of entries divided by |, a cell that holds a JSON array, or the entries of an array of a JSON row.
func (r *itemReader) list(row history.Row, field string) ([]string, error) {
	column, ok := r.mapping[field]
	if !ok {
		return nil, nil
	}
	var entries []string
	switch text := strings.TrimSpace(row.Get(column)); {
	case strings.HasPrefix(text, "["):
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return nil, fmt.Errorf("%s is not a JSON array of texts: %w", field, err)
		}
	case text != "":
		entries = strings.Split(text, listSeparator)
	default:
		for i := 0; i <= maxListEntries && row.Has(column+"."+strconv.Itoa(i)); i++ {
			entries = append(entries, row.Get(column+"."+strconv.Itoa(i)))
		}
	}
	if len(entries) > maxListEntries {
		return nil, fmt.Errorf("%s has more than %d entries", field, maxListEntries)
	}
	out := entries[:0]
	for _, e := range entries {
		if e = cut(strings.TrimSpace(e), event.MaxNameBytes); e != "" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// fields keeps every other column under its own name. A JSON row keeps the types of its scalars, and an object called
// fields is taken for what it is.
func (r *itemReader) fields(row history.Row) (map[string]any, error) {
	fields := make(map[string]any)
	add := func(name string, value any) {
		if text, ok := value.(string); ok {
			value = cut(text, event.MaxNameBytes)
		}
		if value != nil && value != "" {
			fields[name] = value
		}
	}
	if row.Raw == nil {
		for _, column := range row.Columns() {
			if !slices.Contains(r.taken, column) {
				add(strings.TrimPrefix(column, "fields."), row.Get(column))
			}
		}
	} else {
		var object map[string]any
		if err := json.NewDecoder(bytes.NewReader(row.Raw)).Decode(&object); err != nil {
			return nil, fmt.Errorf("read fields: %w", err)
		}
		if nested, ok := object["fields"].(map[string]any); ok {
			delete(object, "fields")
			for name, value := range nested {
				add(name, scalar(value))
			}
		}
		for name, value := range object {
			if !slices.Contains(r.taken, name) {
				add(name, scalar(value))
			}
		}
	}
	if len(fields) > event.MaxProps {
		return nil, fmt.Errorf("the row has %d further columns, a catalogue item holds %d", len(fields), event.MaxProps)
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return fields, nil
}

// scalar drops what a field cannot hold.
func scalar(v any) any {
	switch v.(type) {
	case string, float64, bool:
		return v
	}
	return nil
}
