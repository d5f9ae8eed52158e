package lake

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millrace/millrace/internal/event"
)

// Interactions is a batch of what visitors did with items, as slices of equal length with one entry per item of an event;
// events without items have none. Absent strings are "", absent numbers NaN. The slices belong to the receiver; equal
// strings share memory within one scan.
type Interactions struct {
	Event        []int32   // number of the event within the batch: items of one event stand together
	Type         []string  // event.ViewItem, ...
	OccurredAt   []int64   // microseconds since 1970 UTC
	Logical      []bool    // OccurredAt only orders events (an import without times)
	AnonymousID  []string  //
	UserID       []string  //
	SessionID    []string  //
	ItemID       []string  //
	Category     []string  // item_category
	Price        []float64 // of one piece, in the event's currency
	Quantity     []float64 //
	IsBot        []bool    //
	Personalized []bool    // the visitor's own profile may be built from it
}

// Len is the number of interactions.
func (b *Interactions) Len() int { return len(b.ItemID) }

// interactionColumns are read for ScanInteractions, in this order.
var interactionColumns = [...]string{
	"type", "occurred_at", "clock", "anonymous_id", "user_id", "session_id", "items.item_id", "items.item_category", "items.price",
	"items.quantity", "is_bot", "consent.personalization",
}

// ScanInteractions yields the matching events' items in the order of Scan. It ignores req.Columns, and req.Table may be
// empty.
func (l *Lake) ScanInteractions(ctx context.Context, req ScanRequest) iter.Seq2[*Interactions, error] {
	req.Table, req.Columns = TableEvents, interactionColumns[:]
	return func(yield func(*Interactions, error) bool) {
		known := make(interner)
		for record, err := range l.Scan(ctx, req) {
			if err != nil {
				yield(nil, err)
				return
			}
			batch, err := known.interactions(record)
			if err != nil {
				yield(nil, err)
				return
			}
			if batch.Len() > 0 && !yield(batch, nil) {
				return
			}
		}
	}
}

// interner keeps one copy of each string of a scan: a trainer holds them anyway, and ids repeat a lot.
type interner map[string]string

func (in interner) string(s string) string {
	if known, ok := in[s]; ok {
		return known
	}
	own := string([]byte(s)) // s lies in the record batch, which is about to go
	in[own] = own
	return own
}

// interactionArrays are the columns of one record batch.
type interactionArrays struct {
	kind, clock, anonymous, user, session *array.String
	at                                    *array.Timestamp
	bot, personal                         *array.Boolean
	items, categories, prices, quantities *array.List
}

func newInteractionArrays(r arrow.Record) (a interactionArrays, err error) {
	a.kind, err = columnAs[*array.String](r, 0, err)
	a.at, err = columnAs[*array.Timestamp](r, 1, err)
	a.clock, err = columnAs[*array.String](r, 2, err)
	a.anonymous, err = columnAs[*array.String](r, 3, err)
	a.user, err = columnAs[*array.String](r, 4, err)
	a.session, err = columnAs[*array.String](r, 5, err)
	a.items, err = columnAs[*array.List](r, 6, err)
	a.categories, err = columnAs[*array.List](r, 7, err)
	a.prices, err = columnAs[*array.List](r, 8, err)
	a.quantities, err = columnAs[*array.List](r, 9, err)
	a.bot, err = columnAs[*array.Boolean](r, 10, err)
	a.personal, err = columnAs[*array.Boolean](r, 11, err)
	return a, err
}

// columnAs returns a column with its concrete type; an earlier error passes through.
func columnAs[A arrow.Array](r arrow.Record, i int, earlier error) (A, error) {
	a, ok := r.Column(i).(A)
	if earlier != nil || ok {
		return a, earlier
	}
	return a, fmt.Errorf("column %s is a %s", r.ColumnName(i), r.Column(i).DataType())
}

func (in interner) interactions(r arrow.Record) (*Interactions, error) {
	a, err := newInteractionArrays(r)
	if err != nil {
		return nil, err
	}
	ids, ok1 := a.items.ListValues().(*array.String)
	categories, ok2 := a.categories.ListValues().(*array.String)
	prices, ok3 := a.prices.ListValues().(*array.Float64)
	quantities, ok4 := a.quantities.ListValues().(*array.Float64)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return nil, fmt.Errorf("items hold unexpected types: %s", r.Schema())
	}
	n := ids.Len()
	b := &Interactions{
		Event: make([]int32, 0, n), Type: make([]string, 0, n), OccurredAt: make([]int64, 0, n), Logical: make([]bool, 0, n),
		AnonymousID: make([]string, 0, n), UserID: make([]string, 0, n), SessionID: make([]string, 0, n), ItemID: make([]string, 0, n),
		Category: make([]string, 0, n), Price: make([]float64, 0, n), Quantity: make([]float64, 0, n), IsBot: make([]bool, 0, n),
		Personalized: make([]bool, 0, n),
	}
	for i := range int(r.NumRows()) {
		start, end := a.items.ValueOffsets(i)
		if start == end {
			continue
		}
		kind, logical := in.string(a.kind.Value(i)), a.clock.IsValid(i) && a.clock.Value(i) == event.ClockLogical
		anonymous, user, session := in.cell(a.anonymous, i), in.cell(a.user, i), in.cell(a.session, i)
		personalized := a.personal.IsNull(i) || a.personal.Value(i)
		for j := int(start); j < int(end); j++ {
			b.Event = append(b.Event, int32(i))
			b.Type = append(b.Type, kind)
			b.OccurredAt = append(b.OccurredAt, int64(a.at.Value(i)))
			b.Logical = append(b.Logical, logical)
			b.AnonymousID = append(b.AnonymousID, anonymous)
			b.UserID = append(b.UserID, user)
			b.SessionID = append(b.SessionID, session)
			b.ItemID = append(b.ItemID, in.cell(ids, j))
			b.Category = append(b.Category, in.cell(categories, j))
			b.Price = append(b.Price, number(prices, j))
			b.Quantity = append(b.Quantity, number(quantities, j))
			b.IsBot = append(b.IsBot, a.bot.Value(i))
			b.Personalized = append(b.Personalized, personalized)
		}
	}
	return b, nil
}

func (in interner) cell(a *array.String, i int) string {
	if a.IsNull(i) {
		return ""
	}
	return in.string(a.Value(i))
}

func number(a *array.Float64, i int) float64 {
	if a.IsNull(i) {
		return math.NaN()
	}
	return a.Value(i)
}
