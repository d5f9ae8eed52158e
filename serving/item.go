package serving

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// Limits of one catalogue row. They bound what an answer and a topic record can weigh.
const (
	MaxItemBytes    = 64 << 10 // one row of input: a long description fits, a document store does not
	MaxTitleBytes   = 1 << 10  // title, brand, one category or label
	MaxCategories   = 20       // an item stands in a few branches of a category tree
	MaxLabels       = 50       // flags such as "sale" or "vegan"
	MaxItemFields   = 64       // own fields of a shop
	MaxFieldBytes   = 8 << 10  // one own field
	maxItemURLBytes = 4 << 10  // url and image_url, as in events
)

// Codes of catalogue rows that were refused, beside those of package event. They are part of the public API.
const (
	CodeMissingItemID = "missing_item_id"     // a row without item_id
	CodeUnknownField  = "unknown_field"       // not a field of an item; own ones belong into fields
	CodeTooLarge      = "too_large"           // a row, text or list beyond its limit
	CodeUnknownItem   = "unknown_item"        // a change of an item that the catalogue does not have
	CodePrecondition  = "precondition_failed" // the item is no longer as If-Match says
	CodeConflict      = "conflict"            // other writers changed the item again and again meanwhile
)

// Item is one article of the catalogue.
type Item = event.CatalogueItem

// itemFields are the names that a row may hold. The last ones are written by the server; rows that were read from it
// may come back with them, and they are not looked at.
var itemFields = []string{
	"item_id", "item_group_id", "title", "categories", "brand", "price", "currency", "available", "url", "image_url",
	"published_at", "expires_at", "labels", "fields", "revision", "updated_at", "source",
}

// mergeItem applies a JSON merge patch (RFC 7396): named fields replace, null clears, the others stay. Own fields merge one
// level deep, as the RFC says. The item's lists and maps are replaced, never changed, because readers share them.
func mergeItem(it *Item, patch map[string]json.RawMessage) *event.Problem {
	for _, name := range slices.Sorted(maps.Keys(patch)) { // sorted: of two faults the same one is named each time
		raw := patch[name]
		var p *event.Problem
		switch name {
		case "item_id", "revision", "updated_at", "source":
		case "item_group_id":
			p = mergeGroup(&it.ItemGroupID, raw)
		case "title":
			p = mergeText(&it.Title, raw, MaxTitleBytes)
		case "brand":
			p = mergeText(&it.Brand, raw, MaxTitleBytes)
		case "currency":
			p = mergeText(&it.Currency, raw, 3)
		case "url":
			p = mergeText(&it.URL, raw, maxItemURLBytes)
		case "image_url":
			p = mergeText(&it.ImageURL, raw, maxItemURLBytes)
		case "categories":
			p = mergeList(&it.Categories, raw, MaxCategories)
		case "labels":
			p = mergeList(&it.Labels, raw, MaxLabels)
		case "price":
			p = mergePrice(&it.Price, raw)
		case "available":
			p = mergeAvailable(&it.Available, raw)
		case "published_at":
			p = mergeTime(&it.PublishedAt, raw)
		case "expires_at":
			p = mergeTime(&it.ExpiresAt, raw)
		case "fields":
			p = mergeFields(&it.Fields, raw)
		default:
			p = &event.Problem{Code: CodeUnknownField, Detail: "not a field of an item; put the shop's own values into fields, or use one of " +
				strings.Join(itemFields[:14], ", ")}
		}
		if p != nil {
			p.Pointer = "/" + escapePointer(name) + p.Pointer
			return p
		}
	}
	return nil
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

func wrongType(want string) *event.Problem {
	return &event.Problem{Code: event.CodeWrongType, Detail: "must be " + want}
}

func tooLarge(format string, args ...any) *event.Problem {
	return &event.Problem{Code: CodeTooLarge, Detail: fmt.Sprintf(format, args...)}
}

func mergeText(dst *string, raw json.RawMessage, maxBytes int) *event.Problem {
	var text string // null leaves it empty
	if json.Unmarshal(raw, &text) != nil {
		return wrongType("a string")
	}
	if len(text) > maxBytes {
		return tooLarge("has %d bytes, the limit is %d", len(text), maxBytes)
	}
	*dst = text
	return nil
}

func mergeGroup(dst *string, raw json.RawMessage) *event.Problem {
	var id string
	if p := mergeText(&id, raw, event.MaxIDBytes); p != nil {
		return p
	}
	if id != "" {
		if err := event.CheckID(id); err != nil {
			return &event.Problem{Code: event.CodeInvalidID, Detail: err.Error()}
		}
	}
	*dst = id
	return nil
}

// mergeList reads a list of texts; a single text is a list of one, because exports often write it so.
func mergeList(dst *[]string, raw json.RawMessage, maxEntries int) *event.Problem {
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		var one string
		if json.Unmarshal(raw, &one) != nil {
			return wrongType("a list of strings")
		}
		list = []string{one}
	}
	if len(list) > maxEntries {
		return tooLarge("has %d entries, the limit is %d", len(list), maxEntries)
	}
	kept := make([]string, 0, len(list))
	for i, text := range list {
		if len(text) > MaxTitleBytes {
			p := tooLarge("has %d bytes, the limit is %d", len(text), MaxTitleBytes)
			p.Pointer = "/" + strconv.Itoa(i)
			return p
		}
		if text != "" && !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	}
	*dst = kept
	if len(kept) == 0 {
		*dst = nil
	}
	return nil
}

func mergePrice(dst **float64, raw json.RawMessage) *event.Problem {
	if isNull(raw) {
		*dst = nil
		return nil
	}
	var price float64
	if json.Unmarshal(raw, &price) != nil {
		return wrongType("a number")
	}
	if price < 0 || math.IsInf(price, 0) {
		return &event.Problem{Code: event.CodeInvalidNumber, Detail: "must be a finite number, 0 or more"}
	}
	*dst = &price
	return nil
}

// mergeAvailable reads null as true: an item that says nothing about its availability is available.
func mergeAvailable(dst *bool, raw json.RawMessage) *event.Problem {
	available := true
	if json.Unmarshal(raw, &available) != nil {
		return wrongType("true or false")
	}
	*dst = available
	return nil
}

func mergeTime(dst *time.Time, raw json.RawMessage) *event.Problem {
	if isNull(raw) {
		*dst = time.Time{}
		return nil
	}
	if t, ok := parseTime(raw); ok {
		*dst = t
		return nil
	}
	return &event.Problem{Code: event.CodeInvalidTime, Detail: "must be RFC 3339, such as 2026-01-31T12:00:00Z, or Unix milliseconds"}
}

// parseTime reads a JSON string in RFC 3339 or a JSON number of Unix milliseconds, to the millisecond, in UTC. Numbers
// before 1973 are seconds by mistake and refused, as in events.
func parseTime(raw json.RawMessage) (time.Time, bool) {
	const minUnixMillis, maxUnixMillis = 100_000_000_000, 253_402_300_799_999 // 1973 to 9999
	var text string
	if json.Unmarshal(raw, &text) == nil {
		t, err := time.Parse(time.RFC3339, text)
		return t.UTC().Truncate(time.Millisecond), err == nil
	}
	var ms float64
	if json.Unmarshal(raw, &ms) != nil || ms < minUnixMillis || ms > maxUnixMillis {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)).UTC(), true
}
