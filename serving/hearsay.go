package serving

import (
	"time"

	"github.com/millrace/millrace/internal/filter"
)

// hearsay is an item without a row as filters look at it: what events said of it, or its id alone.
type hearsay struct {
	id string
	it *said // nil where no event told anything
}

// TextOf implements filter.Subject.
func (h *hearsay) TextOf(f filter.Field) string {
	switch {
	case f == filter.FieldItemID:
		return h.id
	case h.it == nil:
	case f == filter.FieldTitle:
		return h.it.name
	case f == filter.FieldBrand:
		return h.it.brand
	}
	return ""
}

// NumberOf implements filter.Subject.
func (h *hearsay) NumberOf(filter.Field) (float64, bool) {
	if h.it == nil || h.it.price == nil {
		return 0, false
	}
	return *h.it.price, true
}

// BoolOf implements filter.Subject: what events name counts as available until the catalogue says otherwise.
func (h *hearsay) BoolOf(filter.Field) bool { return true }

// TimeOf implements filter.Subject.
func (h *hearsay) TimeOf(filter.Field) time.Time { return time.Time{} }

// ListOf implements filter.Subject.
func (h *hearsay) ListOf(f filter.Field) filter.Value {
	if f != filter.FieldCategories || h.it == nil || h.it.category == "" {
		return filter.Texts(&noTexts)
	}
	return filter.Packed(1, h.it.category, wholeText{})
}

// OwnOf implements filter.Subject.
func (h *hearsay) OwnOf(string) filter.Value { return filter.Value{} }

var noTexts []string

// wholeText reads a text as a list of one.
type wholeText struct{}

// Next implements filter.Decoder.
func (wholeText) Next(rest string) (filter.Value, string) { return filter.Text(rest), "" }
