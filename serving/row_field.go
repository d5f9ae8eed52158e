package serving

import (
	"encoding/json"
	"strconv"
)

// FieldValue is one of the shop's own values of an item, as it is packed in a row: a text, a number, true, false, or a list of them.
// The zero value is none of these.
type FieldValue struct {
	kind    byte
	text    string // the text, the number as the shop wrote it, or the packed entries of a list
	entries int    // of a list
}

// Text is the value of a text; ok is false for every other kind.
func (v FieldValue) Text() (text string, ok bool) { return v.text, v.kind == packedString }

// Number is the value of a number, the nearest that float64 has; ok is false for every other kind.
func (v FieldValue) Number() (number float64, ok bool) {
	if v.kind != packedNumber {
		return 0, false
	}
	number, err := strconv.ParseFloat(v.text, 64)
	return number, err == nil
}

// Bool is the value of true and false; ok is false for every other kind.
func (v FieldValue) Bool() (value, ok bool) {
	return v.kind == packedTrue, v.kind == packedTrue || v.kind == packedFalse
}

// Len is the number of entries of a list; ok is false for every other kind.
func (v FieldValue) Len() (n int, ok bool) { return v.entries, v.kind == packedList }

// Each calls f with every entry of a list until it returns false; for every other kind never.
func (v FieldValue) Each(f func(FieldValue) bool) {
	if v.kind != packedList {
		return
	}
	u := unpacker{v.text}
	for range v.entries {
		if !f(u.value()) {
			return
		}
	}
}

// Any is the value as JSON is read: string, json.Number, bool or []any of them.
func (v FieldValue) Any() any {
	switch v.kind {
	case packedString:
		return v.text
	case packedNumber:
		return json.Number(v.text)
	case packedList:
		list := make([]any, 0, v.entries)
		v.Each(func(entry FieldValue) bool {
			list = append(list, entry.Any())
			return true
		})
		return list
	}
	return v.kind == packedTrue
}

// field is one field of a row's item by its JSON name; ok is false where it is empty.
func (r *Row) field(name string) (value any, ok bool) {
	switch name {
	case "item_id":
		return r.ItemID, true
	case "item_group_id":
		return textField(r.ItemGroupID())
	case "title":
		return textField(r.Title())
	case "categories":
		return r.Categories(), r.categories != nil
	case "brand":
		return textField(r.Brand)
	case "price":
		return r.Price, r.Price != nil
	case "currency":
		return textField(r.Currency())
	case "available":
		return r.Available, true
	case "url":
		return textField(r.URL())
	case "image_url":
		return textField(r.ImageURL())
	case "published_at":
		return r.PublishedAt(), r.published != 0
	case "expires_at":
		return r.ExpiresAt(), r.expires != 0
	case "labels":
		labels := r.Labels()
		return labels, len(labels) > 0
	}
	if own, ok := r.Field(name); ok {
		return own.Any(), true
	}
	return nil, false
}

func textField(text string) (value any, ok bool) { return text, text != "" }
