package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// targets are the fields of a catalogue row that a column may be mapped to; Ignore drops a column, and `fields.NAME` is a field of the
// shop's own.
var targets = []string{
	"item_id", "item_group_id", "title", "categories", "brand", "price", "sale_price", "currency", "available", "url", "image_url", "published_at",
	"expires_at", "labels",
}

// Ignore as the target of a column drops it.
const Ignore = "ignore"

// ownField begins the target of a column that is a field of the shop's own.
const ownField = "fields."

// Mapping says which column is which field, beyond what columns mean by their names. A column that it does not name, and that means
// nothing by its name, becomes a field of the shop's own, except descriptions and what concerns ads and shipping alone.
type Mapping map[string]string

// Check reports the first target that is none.
func (m Mapping) Check() error {
	for column, target := range m {
		if target != Ignore && !slices.Contains(targets, target) && (!strings.HasPrefix(target, ownField) || len(target) == len(ownField)) {
			return fmt.Errorf("column %q is mapped to %q; use %s, %q or %q and a name", column, target, strings.Join(targets, ", "), Ignore, ownField)
		}
	}
	return nil
}

// byName is what columns mean by their names: those of Google's product data specification, and of a catalogue row.
var byName = map[string]string{
	"id": "item_id", "item_id": "item_id", "item_group_id": "item_group_id", "title": "title", "link": "url", "url": "url", "image_link": "image_url",
	"image_url": "image_url", "product_type": "categories", "google_product_category": "google_categories", "categories": "categories", "brand": "brand",
	"price": "price", "sale_price": "sale_price", "currency": "currency", "availability": "available", "available": "available",
	"expiration_date": "expires_at", "expires_at": "expires_at", "published_at": "published_at", "labels": "labels",
	"custom_label_0": "labels", "custom_label_1": "labels", "custom_label_2": "labels", "custom_label_3": "labels", "custom_label_4": "labels",
	"description": Ignore, "summary": Ignore, "content": Ignore, "additional_image_link": Ignore, "mobile_link": Ignore, "updated": Ignore, "guid": Ignore,
	"pubdate": Ignore, "shipping": Ignore, "tax": Ignore, "ads_redirect": Ignore, "cost_of_goods_sold": Ignore, "product_detail": Ignore, "product_highlight": Ignore,
	"installment": Ignore, "sale_price_effective_date": Ignore, "excluded_destination": Ignore, "included_destination": Ignore,
}

func (m Mapping) target(column string) string {
	if target, ok := m[column]; ok {
		return target
	}
	if target, ok := byName[column]; ok {
		return target
	}
	return ownField + column
}

// Row makes the JSON of a catalogue row of an entry, which names its item and what the feed says of it, and nothing else.
func (m Mapping) Row(e *Entry) (json.RawMessage, error) {
	by := map[string][]string{}
	row, own := map[string]any{}, map[string]any{}
	for _, column := range slices.Sorted(maps.Keys(e.Columns)) { // the same entry is the same row, also where two columns are one field
		values, target := e.Columns[column], m.target(column)
		if name, ok := strings.CutPrefix(target, ownField); ok {
			own[name] = values[0]
			if len(values) > 1 {
				own[name] = values
			}
			continue
		}
		by[target] = append(by[target], values...)
	}
	f := Entry{Columns: by}
	for _, name := range []string{"item_id", "item_group_id", "title", "brand", "url", "image_url", "currency"} {
		if text := f.first(name); text != "" {
			row[name] = text
		}
	}
	if row["item_id"] == nil {
		return nil, errors.New("the entry has no id")
	}
	if len(own) > 0 {
		row["fields"] = own
	}
	if list := categories(&f); len(list) > 0 {
		row["categories"] = list
	}
	if list := split(by["labels"], "|"); len(list) > 0 {
		slices.Sort(list) // they are a set
		row["labels"] = list
	}
	if err := errors.Join(setPrice(row, &f), setAvailable(row, &f), setTime(row, &f, "published_at"), setTime(row, &f, "expires_at")); err != nil {
		return nil, err
	}
	return json.Marshal(row)
}

// categories are those of the shop, else Google's; a path is all of its parts.
func categories(f *Entry) []string {
	values := f.Columns["categories"]
	if len(values) == 0 {
		values = f.Columns["google_categories"]
	}
	return split(split(values, "|"), ">")
}

// split takes texts apart and gives each part once.
func split(values []string, by string) (parts []string) {
	for _, value := range values {
		for part := range strings.SplitSeq(value, by) {
			if part = strings.TrimSpace(part); part != "" && !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

// setPrice reads "12.99 EUR", "EUR 12,99" and "12.99". What is on sale has its sale price.
func setPrice(row map[string]any, f *Entry) error {
	text := f.first("sale_price", "price")
	if text == "" {
		return nil
	}
	number, currency := text, ""
	if parts := strings.Fields(text); len(parts) == 2 {
		number, currency = parts[0], parts[1]
		if isCurrency(parts[0]) {
			number, currency = parts[1], parts[0]
		}
		if !isCurrency(currency) {
			return fmt.Errorf("price %q has no currency of three letters", text)
		}
	}
	price, err := strconv.ParseFloat(decimalPoint(number), 64)
	if err != nil || math.IsNaN(price) || math.IsInf(price, 0) {
		return fmt.Errorf("price %q is no number with a currency, such as 12.99 EUR", text)
	}
	row["price"] = price
	if currency != "" {
		row["currency"] = strings.ToUpper(currency)
	}
	return nil
}

func isCurrency(text string) bool {
	return len(text) == 3 && strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) < 0
}

// decimalPoint brings "1.234,50" and "1,234.50" into the form of a number. The last mark is the decimal one, unless it is a comma with
// three digits behind it.
func decimalPoint(number string) string {
	comma, point := strings.LastIndexByte(number, ','), strings.LastIndexByte(number, '.')
	if comma > point && (len(number)-comma-1 != 3 || point >= 0) {
		return strings.ReplaceAll(strings.ReplaceAll(number, ".", ""), ",", ".")
	}
	return strings.ReplaceAll(number, ",", "")
}

// setAvailable reads Google's words and those of a catalogue row. What may be ordered may be recommended.
func setAvailable(row map[string]any, f *Entry) error {
	text := f.first("available")
	switch strings.ReplaceAll(strings.ToLower(text), " ", "_") {
	case "":
	case "in_stock", "preorder", "backorder", "available_for_order", "true", "yes", "1", "https://schema.org/instock":
		row["available"] = true
	case "out_of_stock", "discontinued", "false", "no", "0", "https://schema.org/outofstock":
		row["available"] = false
	default:
		return fmt.Errorf("availability %q is none of in_stock, out_of_stock, preorder, backorder, true, false", text)
	}
	return nil
}

// timeForms are the forms of ISO 8601 that feeds use.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05-0700", "2006-01-02T15:04-0700", "2006-01-02"}

func setTime(row map[string]any, f *Entry, name string) error {
	text := f.first(name)
	if text == "" {
		return nil
	}
	for _, form := range timeForms {
		if t, err := time.Parse(form, text); err == nil {
			row[name] = t.UTC().Format(time.RFC3339)
			return nil
		}
	}
	return fmt.Errorf("%s %q is no time of ISO 8601, such as 2026-01-31T12:00+0100", name, text)
}

// ID is the id of the item that an entry names, as Row has it; "" where it names none.
func (m Mapping) ID(e *Entry) string {
	for _, column := range slices.Sorted(maps.Keys(e.Columns)) {
		if m.target(column) == "item_id" {
			return e.Columns[column][0]
		}
	}
	return ""
}
