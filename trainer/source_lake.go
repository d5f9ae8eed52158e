package trainer

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// LakeSource reads events from the lake, by column, and the catalogue (source_catalogue.go).
type LakeSource struct{ Lake *lake.Lake }

// Snapshot implements EventSource.
func (s LakeSource) Snapshot(ctx context.Context, site string) (Snapshot, error) {
	tables, err := s.Lake.Info(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	var out Snapshot
	for _, t := range tables {
		switch t.Name {
		case lake.TableEvents:
			out.ID, out.Epoch, out.Fences = t.SnapshotID, t.Epoch, t.NextOffsets
		case lake.TableItems:
			out.Items = t.SnapshotID
		}
	}
	if out.ID == 0 {
		return out, nil
	}
	all, err := s.span(ctx, lake.ScanRequest{Site: site, SnapshotID: out.ID})
	if err != nil {
		return Snapshot{}, fmt.Errorf("find newest event: %w", err)
	}
	out.Newest, out.Rows = all.Last, all.Events
	return out, nil
}

// Older implements EventSource.
func (s LakeSource) Older(ctx context.Context, site string, at Snapshot, before time.Time) (Older, error) {
	if at.ID == 0 {
		return Older{}, nil
	}
	older, err := s.span(ctx, lake.ScanRequest{Site: site, SnapshotID: at.ID, To: before})
	if err != nil {
		return Older{}, fmt.Errorf("count events before %s: %w", before.Format(time.RFC3339), err)
	}
	return older, nil
}

// span counts the events of a scan and finds the first and the last, from the time column alone.
func (s LakeSource) span(ctx context.Context, req lake.ScanRequest) (Older, error) {
	req.Table, req.Columns = lake.TableEvents, []string{"occurred_at"}
	var out Older
	first, last := arrow.Timestamp(math.MaxInt64), arrow.Timestamp(math.MinInt64)
	for batch, err := range s.Lake.Scan(ctx, req) {
		if err != nil {
			return Older{}, err
		}
		times, ok := batch.Column(0).(*array.Timestamp)
		if !ok {
			return Older{}, fmt.Errorf("column occurred_at is a %s", batch.Column(0).DataType())
		}
		for _, t := range times.TimestampValues() {
			first, last = min(first, t), max(last, t)
		}
		out.Events += batch.NumRows()
	}
	if out.Events > 0 {
		out.First, out.Last = time.UnixMicro(int64(first)).UTC(), time.UnixMicro(int64(last)).UTC()
	}
	return out, nil
}

// Rows counts the events of a site, robots and all.
func (s LakeSource) Rows(ctx context.Context, site string) (int64, error) {
	req := lake.ScanRequest{Table: lake.TableEvents, Columns: []string{"is_bot"}, Site: site}
	rows := int64(0)
	for batch, err := range s.Lake.Scan(ctx, req) {
		if err != nil {
			return 0, fmt.Errorf("count events: %w", err)
		}
		rows += batch.NumRows()
	}
	return rows, nil
}

// TotalRows counts the events of all sites from metadata alone.
func (s LakeSource) TotalRows(ctx context.Context) (int64, error) {
	tables, err := s.Lake.Info(ctx)
	if err != nil {
		return 0, err
	}
	for _, t := range tables {
		if t.Name == lake.TableEvents {
			return t.Rows, nil
		}
	}
	return 0, nil
}

// The columns that training reads, in the order of eventColumns' fields.
func trainingColumns() []string {
	return []string{
		"type", "occurred_at", "anonymous_id", "user_id", "session_id", "is_bot", "clock", "consent.personalization",
		"transaction_id", "device", "items.item_id", "items.item_name", "items.item_brand",
		"items.item_category", "items.item_category2", "items.item_category3", "kafka_epoch", "kafka_offset",
	}
}

// Events implements EventSource.
func (s LakeSource) Events(ctx context.Context, site string, at Snapshot, from time.Time, yield func(*Interaction) error) error {
	if at.ID == 0 {
		return nil
	}
	req := lake.ScanRequest{Table: lake.TableEvents, Columns: trainingColumns(), Site: site, From: from, SnapshotID: at.ID}
	var row Interaction
	for batch, err := range s.Lake.Scan(ctx, req) {
		if err != nil {
			return err
		}
		columns, err := newEventColumns(batch)
		if err != nil {
			return err
		}
		for i := range int(batch.NumRows()) {
			columns.fill(&row, i)
			if err := yield(&row); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventColumns are the columns of one record batch by their types.
type eventColumns struct {
	kind                           *array.String
	occurredAt                     *array.Timestamp
	anonymous, user, session       *array.String
	isBot                          *array.Boolean
	clock                          *array.String
	personalization                *array.Boolean
	transaction, device            *array.String
	items, name, brand             stringLists
	category, category2, category3 stringLists
	epoch, offset                  *array.Int64
}

// stringLists is a list column of strings.
type stringLists struct {
	lists  *array.List
	values *array.String
}

// newEventColumns takes the columns of a batch of trainingColumns.
func newEventColumns(batch arrow.Record) (*eventColumns, error) {
	t := taker{batch: batch}
	c := &eventColumns{
		kind: take[*array.String](&t), occurredAt: take[*array.Timestamp](&t),
		anonymous: take[*array.String](&t), user: take[*array.String](&t), session: take[*array.String](&t),
		isBot: take[*array.Boolean](&t), clock: take[*array.String](&t), personalization: take[*array.Boolean](&t),
		transaction: take[*array.String](&t), device: take[*array.String](&t),
		items: t.stringLists(), name: t.stringLists(), brand: t.stringLists(),
		category: t.stringLists(), category2: t.stringLists(), category3: t.stringLists(),
		epoch: take[*array.Int64](&t), offset: take[*array.Int64](&t),
	}
	return c, t.err
}

// taker hands out the columns of a batch one after the other and keeps the first error.
type taker struct {
	batch arrow.Record
	next  int
	err   error
}

func take[A arrow.Array](t *taker) A {
	column, ok := t.batch.Column(t.next).(A)
	if !ok && t.err == nil {
		t.err = fmt.Errorf("column %s is a %s", t.batch.ColumnName(t.next), t.batch.Column(t.next).DataType())
	}
	t.next++
	return column
}

func (t *taker) stringLists() stringLists {
	name := t.batch.ColumnName(t.next)
	lists := take[*array.List](t)
	if t.err != nil {
		return stringLists{}
	}
	values, ok := lists.ListValues().(*array.String)
	if !ok {
		t.err = fmt.Errorf("column %s is a list of %s", name, lists.ListValues().DataType())
	}
	return stringLists{lists: lists, values: values}
}

// fill makes row say what row i of the batch says; it shares the batch's memory.
func (c *eventColumns) fill(row *Interaction, i int) {
	items := row.Items[:0]
	*row = Interaction{
		Type: c.kind.Value(i), OccurredAt: time.UnixMicro(int64(c.occurredAt.Value(i))).UTC(),
		AnonymousID: c.anonymous.Value(i), UserID: c.user.Value(i), SessionID: c.session.Value(i),
		TransactionID: c.transaction.Value(i), Device: c.device.Value(i),
		IsBot: c.isBot.Value(i), Logical: c.clock.Value(i) == event.ClockLogical,
		Personalized: c.personalization.IsNull(i) || c.personalization.Value(i),
		Sequence:     c.epoch.Value(i)<<epochShift + c.offset.Value(i),
	}
	start, end := c.items.lists.ValueOffsets(i)
	for at := range int(end - start) {
		items = append(items, InteractionItem{
			ID: c.items.values.Value(int(start) + at), Name: c.name.at(i, at), Brand: c.brand.at(i, at),
		})
		for _, level := range []stringLists{c.category, c.category2, c.category3} {
			if name := level.at(i, at); name != "" {
				last := &items[len(items)-1]
				last.Categories = append(last.Categories, name)
			}
		}
	}
	row.Items = items
}

// epochShift leaves 2^44 offsets to a life of a topic, more than a partition takes in a century.
const epochShift = 44

// at returns element k of list i, empty when it is null or missing.
func (l stringLists) at(i, k int) string {
	start, end := l.lists.ValueOffsets(i)
	if n := int(start) + k; n < int(end) && !l.values.IsNull(n) {
		return l.values.Value(n)
	}
	return ""
}
