package event

import "strings"

const (
	// readerChunk is how much text of records is copied into one piece of memory, and slabEvents how many events share
	// one allocation. Whoever keeps one of them keeps its neighbours, which came at the same time and are let go with it.
	readerChunk = 64 << 10
	slabEvents  = 64
	// readerWords is how many words a reader knows before it begins anew: the item ids, categories and brands of a large
	// shop. A longer text than maxWordBytes is seldom said twice.
	readerWords  = 50_000
	maxWordBytes = 128
)

// Reader decodes the values of a topic's records, one after the other, like Unmarshal, but without an allocation for each:
// events and texts of some records share memory. Words that come again and again (names of sites, types, items, categories,
// brands) are kept apart, each once, so that they may be kept without their record. A Reader serves one goroutine.
//
// It reads what Marshal writes. Anything else, wrong or merely unusual, is left to encoding/json.
type Reader struct {
	text  strings.Builder
	words map[string]string

	events      slab[Event]
	items       slab[Item]
	pages       slab[Page]
	recs        slab[Rec]
	engagements slab[Engagement]
	consents    slab[Consent]
	floats      slab[float64]
	integers    slab[int64]
	indexes     slab[int32]
	list        []Item // scratch
}

// slab hands out zero values from few allocations.
type slab[T any] struct{ free []T }

func (s *slab[T]) one() *T { return &s.some(1)[0] }

func (s *slab[T]) some(n int) []T {
	if len(s.free) < n {
		s.free = make([]T, max(n, slabEvents))
	}
	taken := s.free[:n:n]
	s.free = s.free[n:]
	return taken
}

// NewReader returns a reader that knows no words yet.
func NewReader() *Reader { return &Reader{words: make(map[string]string)} }

// Read decodes the value of a record. The event is the caller's; the value may change afterwards.
func (r *Reader) Read(value []byte) (*Event, error) {
	e := r.events.one()
	w := wire{reader: r, s: r.copy(value)}
	if w.event(e); !w.unusual {
		return e, nil
	}
	*e = Event{}
	if err := Unmarshal(value, e); err != nil {
		return nil, err
	}
	return e, nil
}

// copy returns a value as text.
func (r *Reader) copy(value []byte) string {
	if r.text.Cap()-r.text.Len() < len(value) {
		r.text = strings.Builder{}
		r.text.Grow(max(readerChunk, len(value)))
	}
	start := r.text.Len()
	r.text.Write(value)
	return r.text.String()[start:]
}

// word returns a text that shares no memory with others.
func (r *Reader) word(s string) string {
	if s == "" {
		return ""
	}
	if w, ok := r.words[s]; ok {
		return w
	}
	w := strings.Clone(s)
	if len(w) > maxWordBytes {
		return w
	}
	if len(r.words) >= readerWords {
		clear(r.words)
	}
	r.words[w] = w
	return w
}
