package filter

import "time"

// Field is a standard field of an item.
type Field uint8

// The standard fields, by the names that expressions use.
const (
	FieldItemID Field = iota
	FieldItemGroupID
	FieldTitle
	FieldCategories
	FieldBrand
	FieldPrice
	FieldCurrency
	FieldAvailable
	FieldURL
	FieldImageURL
	FieldPublishedAt
	FieldExpiresAt
	FieldLabels
	numFields
)

// Subject is an item that expressions are asked about. None of its methods should allocate: they run for every candidate. Each is
// called only with fields of its type.
type Subject interface {
	// TextOf is item_id, item_group_id, title, brand, currency, url or image_url; "" means that the item has none.
	TextOf(Field) string
	// NumberOf is the price, and whether the item has one.
	NumberOf(Field) (float64, bool)
	// BoolOf is available.
	BoolOf(Field) bool
	// TimeOf is published_at or expires_at; the zero time means that the item has none.
	TimeOf(Field) time.Time
	// ListOf is categories or labels, a list of texts. An item without any has an empty list.
	ListOf(Field) Value
	// OwnOf is one of the shop's own fields, the zero Value where the item does not have it.
	OwnOf(name string) Value
}

// fieldInfo is what a field is called and what its values are.
type fieldInfo struct {
	name    string
	kind    Kind
	indexed bool // conditions may ask for it
}

// fields is indexed by Field.
var fields = [numFields]fieldInfo{
	FieldItemID: {"item_id", KindText, true}, FieldItemGroupID: {"item_group_id", KindText, false}, FieldTitle: {"title", KindText, false},
	FieldCategories: {"categories", KindList, true}, FieldBrand: {"brand", KindText, true}, FieldPrice: {"price", KindNumber, true},
	FieldCurrency: {"currency", KindText, false}, FieldAvailable: {"available", KindBool, true}, FieldURL: {"url", KindText, false},
	FieldImageURL: {"image_url", KindText, false}, FieldPublishedAt: {"published_at", KindTime, true}, FieldExpiresAt: {"expires_at", KindTime, true},
	FieldLabels: {"labels", KindList, true},
}

// String is the name of the field in an expression, without "item.".
func (f Field) String() string { return fields[f].name }

func fieldNamed(name string) (Field, bool) {
	for f := range numFields {
		if fields[f].name == name {
			return f, true
		}
	}
	return 0, false
}

// has reports whether the item has a value in the field; a list without entries is none.
func has(s Subject, f Field) bool {
	switch fields[f].kind {
	case KindText:
		return s.TextOf(f) != ""
	case KindNumber:
		_, ok := s.NumberOf(f)
		return ok
	case KindTime:
		return !s.TimeOf(f).IsZero()
	case KindList:
		list := s.ListOf(f)
		return list.len() > 0
	}
	return true
}
