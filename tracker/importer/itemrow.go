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

	"github.com/millrace/millrace/internal/history"
)

// catalogueRow is a row as the catalogue takes it. What a file does not say is left out, because the catalogue keeps
// what it knows of such a field. Limits are the catalogue's own to check.
type catalogueRow struct {
	ItemID      string         `json:"item_id,omitempty"`
	ItemGroupID string         `json:"item_group_id,omitempty"`
	Title       string         `json:"title,omitempty"`
	Categories  []string       `json:"categories,omitempty"`
	Brand       string         `json:"brand,omitempty"`
	Price       *float64       `json:"price,omitempty"`
	Currency    string         `json:"currency,omitempty"`
	Available   *bool          `json:"available,omitempty"`
	URL         string         `json:"url,omitempty"`
	ImageURL    string         `json:"image_url,omitempty"`
	PublishedAt time.Time      `json:"published_at,omitzero"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero"`
	Labels      []string       `json:"labels,omitempty"`
	Fields      map[string]any `json:"fields,omitempty"`
}

// ParseItemMapping reads "field=column,field=column" for catalogue files. A column name may hold anything but a comma.
func ParseItemMapping(text string) (history.Mapping, error) {
	out := history.Mapping{}
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	names := history.ItemFields()
	for pair := range strings.SplitSeq(text, ",") {
		field, column, ok := strings.Cut(pair, "=")
		field, column = strings.TrimSpace(field), strings.TrimSpace(column)
		if !ok || field == "" || column == "" {
			return nil, fmt.Errorf("mapping: %q is not of the form field=column", pair)
		}
		if !slices.Contains(names, field) {
			return nil, fmt.Errorf("mapping: there is no catalogue field %q; the fields are %s (other columns are kept under their own names)",
				field, strings.Join(names, ", "))
		}
		if _, twice := out[field]; twice {
			return nil, fmt.Errorf("mapping: %q is given twice", field)
		}
		out[field] = column
	}
	return out, nil
}

// itemReader makes catalogue rows of a file's rows.
type itemReader struct {
	mapping history.Mapping
	unit    history.Unit
	taken   map[string]bool // columns that a catalogue field holds; the others become fields
}

// newItemReader settles which column holds which field. A file without a column for the id is refused.
func newItemReader(cfg ItemsConfig, columns []string) (*itemReader, error) {
	mapping, err := cfg.Map.DetectItems(columns)
	if err != nil {
		return nil, err
	}
	r := &itemReader{mapping: mapping, unit: cfg.TimeUnit, taken: make(map[string]bool)}
	for _, column := range mapping {
		r.taken[column] = true
	}
	return r, nil
}

// read makes the catalogue row of a file's row, as JSON; the error is the reason to reject it.
func (r *itemReader) read(row history.Row) (json.RawMessage, error) {
	get := func(field string) string { return strings.TrimSpace(r.mapping.Value(row, field)) }
	item := catalogueRow{
		ItemID: get("item_id"), ItemGroupID: get("item_group_id"), Title: get("title"), Brand: get("brand"),
		Currency: get("currency"), URL: get("url"), ImageURL: get("image_url"),
	}
	var errs [6]error
	item.Price, errs[0] = parseNumber("price", get("price"))
	item.Available, errs[1] = parseAvailable(get("available"))
	item.PublishedAt, errs[2] = r.time("published_at", get("published_at"))
	item.ExpiresAt, errs[3] = r.time("expires_at", get("expires_at"))
	item.Categories, errs[4] = r.list(row, "categories")
	item.Labels, errs[5] = r.list(row, "labels")
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	var err error
	if item.Fields, err = r.fields(row); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(item)
	if err != nil {
		return nil, fmt.Errorf("encode catalogue row: %w", err)
	}
	return raw, nil
}

func (r *itemReader) time(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := history.ParseTime(text, r.unit)
	if err != nil {
		return t, fmt.Errorf("%s: %w", field, err)
	}
	return t, nil
}

func parseAvailable(text string) (*bool, error) {
	yes, no := true, false
	switch strings.ToLower(text) {
	case "":
		return nil, nil
	case "true", "1", "yes", "y", "in stock", "in_stock":
		return &yes, nil
	case "false", "0", "no", "n", "out of stock", "out_of_stock":
		return &no, nil
	}
	return nil, fmt.Errorf("available %.40q is neither true nor false", text)
}

// list reads a field of several entries.
func (r *itemReader) list(row history.Row, field string) ([]string, error) {
	column, ok := r.mapping[field]
	if !ok {
		return nil, nil
	}
	entries, err := row.List(column)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return entries, nil
}

// fields keeps every other column under its own name. A JSON row keeps the types of its scalars and its own fields.
func (r *itemReader) fields(row history.Row) (map[string]any, error) {
	fields := make(map[string]any)
	if row.Raw == nil {
		for _, column := range row.Columns() {
			if text := row.Get(column); text != "" && !r.taken[column] {
				fields[column] = text
			}
		}
		return fields, nil
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(row.Raw))
	d.UseNumber() // a long number stays what it is
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("read fields: %w", err)
	}
	if own, ok := object["fields"].(map[string]any); ok {
		delete(object, "fields")
		for name, value := range own {
			fields[name] = value
		}
	}
	for name, value := range object {
		if r.taken[name] || value == nil || value == "" {
			continue
		}
		if _, twice := fields[name]; twice {
			return nil, errors.New("field " + strconv.Quote(name) + " appears twice, in the row and in its fields")
		}
		fields[name] = value
	}
	return fields, nil
}
