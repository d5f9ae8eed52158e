package serving

import (
	"time"

	"github.com/millrace/millrace/internal/filter"
)

// A row is what filters and boosts look at (filter.Subject). Nothing here allocates.

// TextOf implements filter.Subject.
func (r *Row) TextOf(f filter.Field) string {
	switch f {
	case filter.FieldItemID:
		return r.ItemID
	case filter.FieldItemGroupID:
		return r.ItemGroupID()
	case filter.FieldBrand:
		return r.Brand
	case filter.FieldTitle:
		return r.Title()
	case filter.FieldURL:
		return r.URL()
	case filter.FieldImageURL:
		return r.ImageURL()
	case filter.FieldCurrency:
		return r.Currency()
	}
	return ""
}

// NumberOf implements filter.Subject.
func (r *Row) NumberOf(filter.Field) (float64, bool) {
	if r.Price == nil {
		return 0, false
	}
	return *r.Price, true
}

// BoolOf implements filter.Subject.
func (r *Row) BoolOf(filter.Field) bool { return r.Available }

// TimeOf implements filter.Subject.
func (r *Row) TimeOf(f filter.Field) time.Time {
	if f == filter.FieldExpiresAt {
		return r.ExpiresAt()
	}
	return r.PublishedAt()
}

// ListOf implements filter.Subject.
func (r *Row) ListOf(f filter.Field) filter.Value {
	if f == filter.FieldCategories {
		if r.categories == nil {
			return filter.Texts(&noTexts)
		}
		return filter.Texts(r.categories)
	}
	u := r.unpack()
	u.skip(numTexts)
	n := u.count()
	return filter.Packed(n, u.rest, packedTexts{})
}

// OwnOf implements filter.Subject.
func (r *Row) OwnOf(name string) filter.Value {
	v, ok := r.Field(name)
	if !ok {
		return filter.Value{}
	}
	return v.filterValue()
}

func (v FieldValue) filterValue() filter.Value {
	switch v.kind {
	case packedString:
		return filter.Text(v.text)
	case packedNumber:
		number, ok := v.Number()
		if !ok {
			return filter.Value{}
		}
		return filter.Number(number)
	case packedList:
		return filter.Packed(v.entries, v.text, packedValues{})
	}
	return filter.Bool(v.kind == packedTrue)
}

// packedTexts reads packed labels, packedValues the packed entries of an own field.
type (
	packedTexts  struct{}
	packedValues struct{}
)

// Next implements filter.Decoder.
func (packedTexts) Next(rest string) (filter.Value, string) {
	u := unpacker{rest}
	text := u.text()
	return filter.Text(text), u.rest
}

// Next implements filter.Decoder.
func (packedValues) Next(rest string) (filter.Value, string) {
	u := unpacker{rest}
	v := u.value()
	return v.filterValue(), u.rest
}

var _ filter.Subject = (*Row)(nil)
