package history

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The fields of an event that a column can be mapped to, besides PropPrefix and a name.
const (
	FieldEventID       = "event_id"
	FieldType          = "type"
	FieldOccurredAt    = "occurred_at"
	FieldAnonymousID   = "anonymous_id"
	FieldUserID        = "user_id"
	FieldSessionID     = "session_id"
	FieldItemID        = "item_id"
	FieldItemName      = "item_name"
	FieldItemBrand     = "item_brand"
	FieldCategory      = "category"
	FieldCategory2     = "category2"
	FieldCategory3     = "category3"
	FieldPrice         = "price"
	FieldQuantity      = "quantity"
	FieldValue         = "value"
	FieldCurrency      = "currency"
	FieldRating        = "rating"
	FieldTransactionID = "transaction_id"
	FieldSearchTerm    = "search_term"
	FieldURL           = "url"
	FieldReferrer      = "referrer"
	FieldTitle         = "title"
)

// PropPrefix starts the name of a free field of an event: props.country.
const PropPrefix = "props."

// Fields lists the event fields that a mapping may name.
func Fields() []string {
	return []string{
		FieldEventID, FieldType, FieldOccurredAt, FieldAnonymousID, FieldUserID, FieldSessionID, FieldItemID,
		FieldItemName, FieldItemBrand, FieldCategory, FieldCategory2, FieldCategory3, FieldPrice, FieldQuantity,
		FieldValue, FieldCurrency, FieldRating, FieldTransactionID, FieldSearchTerm, FieldURL, FieldReferrer, FieldTitle,
	}
}

// aliases are usual column names of fields, tried after the field's own name.
func aliases(field string) []string {
	switch field {
	case FieldOccurredAt:
		return []string{"timestamp", "timestamp_ms"}
	case FieldType:
		return []string{"event_type"}
	case FieldCategory:
		return []string{"item_category", "category_id"}
	case FieldPrice:
		return []string{"unit_price"}
	default:
		return nil
	}
}

// Mapping says which column of a file holds which field of an event.
type Mapping map[string]string

// MissingColumnError is a mapped column that the file does not have.
type MissingColumnError struct {
	Field, Column string
	Present       []string
}

// Error implements error.
func (e *MissingColumnError) Error() string {
	return fmt.Sprintf("the file has no column %q, which is mapped to %s; it has: %s. Name one of them with --map %s=COLUMN",
		e.Column, e.Field, strings.Join(e.Present, ", "), e.Field)
}

// ParseMapping reads "field=column,field=column". A column name may hold anything but a comma.
func ParseMapping(text string) (Mapping, error) {
	pairs, err := parsePairs(text, "field=column")
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	for field := range pairs {
		prop, isProp := strings.CutPrefix(field, PropPrefix)
		if isProp && prop != "" || slices.Contains(Fields(), field) {
			continue
		}
		return nil, fmt.Errorf("mapping: there is no event field %q; the fields are %s and %sNAME",
			field, strings.Join(Fields(), ", "), PropPrefix)
	}
	return Mapping(pairs), nil
}

// ParseTypes reads "name=type,name=type": the event types of a file in our words, such as pv=view_item,buy=purchase.
func ParseTypes(text string) (map[string]string, error) {
	types, err := parsePairs(text, "name=type")
	if err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	return types, nil
}

// ParseNumbers reads "name=number,name=number", such as the weights of event types; numbers are finite and 0 or more.
func ParseNumbers(text string) (map[string]float64, error) {
	pairs, err := parsePairs(text, "name=number")
	if err != nil {
		return nil, err
	}
	numbers := make(map[string]float64, len(pairs))
	for name, value := range pairs {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n >= 0) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("%s=%s is not a number of 0 or more", name, value)
		}
		numbers[name] = n
	}
	return numbers, nil
}

func parsePairs(text, form string) (map[string]string, error) {
	pairs := map[string]string{}
	if strings.TrimSpace(text) == "" {
		return pairs, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("%q is not of the form %s", pair, form)
		}
		if _, twice := pairs[name]; twice {
			return nil, fmt.Errorf("%q is given twice", name)
		}
		pairs[name] = value
	}
	return pairs, nil
}

// String returns the mapping in the form that ParseMapping reads, fields in alphabetical order: equal mappings have
// equal texts.
func (m Mapping) String() string {
	pairs := make([]string, 0, len(m))
	for _, field := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, field+"="+m[field])
	}
	return strings.Join(pairs, ",")
}

// Detect returns the mapping with every unmapped field added that has a column of its own or a usual name.
func (m Mapping) Detect(columns []string) Mapping {
	out := maps.Clone(m)
	if out == nil {
		out = Mapping{}
	}
	for _, field := range Fields() {
		if _, mapped := out[field]; mapped {
			continue
		}
		for _, name := range append([]string{field}, aliases(field)...) {
			if slices.Contains(columns, name) {
				out[field] = name
				break
			}
		}
	}
	return out
}

// Check returns a *MissingColumnError for the first mapped column, in the order of Mapping.String, that a file with
// these columns does not have.
func (m Mapping) Check(columns []string) error {
	for _, field := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(columns, m[field]) {
			return &MissingColumnError{Field: field, Column: m[field], Present: columns}
		}
	}
	return nil
}

// Value returns a field of a row, "" when it is not mapped or empty.
func (m Mapping) Value(row Row, field string) string {
	column, ok := m[field]
	if !ok {
		return ""
	}
	return row.Get(column)
}
