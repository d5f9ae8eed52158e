package lake

import (
	"math"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"

	"github.com/millrace/millrace/internal/event"
)

// ScanInteractions says the same as the events themselves.
func TestInteractionsAgainstEvents(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer checked.AssertSize(t, 0)
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), Allocator: checked})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := newSampler(21)
	in := s.landEvents(1, 0, scanBatchRows+500)
	for i, r := range in.Events {
		r.Event.ReceivedAt = testStart // one day, one file: the order is that of the offsets
		if i%3 == 0 {
			r.Event.Clock = event.ClockLogical
		}
	}
	if err := l.Commit(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	type want struct {
		e    *event.Event
		item *event.Item
	}
	var wants []want
	for _, r := range in.Events {
		if r.Event.Site == "demo" {
			for i := range r.Event.Items {
				wants = append(wants, want{r.Event, &r.Event.Items[i]})
			}
		}
	}
	same := func(got float64, want *float64) bool {
		return (want == nil && math.IsNaN(got)) || (want != nil && got == *want)
	}
	for b, err := range l.ScanInteractions(t.Context(), ScanRequest{Site: "demo"}) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			w := wants[0]
			wants = wants[1:]
			if b.Type[i] != w.e.Type || b.OccurredAt[i] != w.e.OccurredAt.UnixMicro() || b.Logical[i] != (w.e.Clock == event.ClockLogical) ||
				b.AnonymousID[i] != w.e.AnonymousID || b.UserID[i] != w.e.UserID || b.SessionID[i] != w.e.SessionID ||
				b.ItemID[i] != w.item.ItemID || b.Category[i] != w.item.ItemCategory || !same(b.Price[i], w.item.Price) ||
				!same(b.Quantity[i], w.item.Quantity) || b.IsBot[i] != w.e.IsBot || b.Personalized[i] != w.e.Personalized() {
				t.Fatalf("interaction %d of event %s differs: type %q at %s", i, w.e.EventID, b.Type[i], time.UnixMicro(b.OccurredAt[i]))
			}
			if i > 0 && (b.Event[i] == b.Event[i-1]) != (w.item != &w.e.Items[0]) {
				t.Fatalf("interaction %d: wrong event number", i)
			}
		}
	}
	if len(wants) != 0 {
		t.Errorf("%d interactions missing", len(wants))
	}
}
