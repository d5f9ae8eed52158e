package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// MaxBulkRows bounds one bulk write; 10,000 rows of a few hundred bytes are a few MiB.
	MaxBulkRows = 10_000
	// MaxBulkBytes bounds the body of a bulk write: MaxBulkRows rows of 3 KiB.
	MaxBulkBytes = 32 << 20

	// maxWriteAttempts is how often a write that lost against another writer is merged anew. Losing needs another write
	// of the same item within the few milliseconds of the round trip, each time.
	maxWriteAttempts = 5
	// inForceTimeout bounds the wait for this node to apply a write that the log has acknowledged already.
	inForceTimeout = 10 * time.Second
	// headerWrite carries the id under which the writer waits for its record to come back.
	headerWrite = "millrace-write"
)

// ErrNotInForce means that a write is safe in the log, but that this node has not applied it in time.
var ErrNotInForce = errors.New("the change is stored, but not yet in force on this node")

// Rejection says why one row of a bulk write was refused. Index counts from 0.
type Rejection struct {
	Index  int    `json:"index"`
	ItemID string `json:"item_id,omitempty"`
	event.Problem
}

// UpsertReport is the outcome of a bulk write: every row is accepted, which means in force, or rejected. Unchanged is
// how many of the accepted ones said nothing new.
type UpsertReport struct {
	Accepted  int         `json:"accepted"`
	Unchanged int         `json:"unchanged"`
	Rejected  []Rejection `json:"rejected"`
}

// writeKind says what a change does with the row that stands.
type writeKind int

const (
	writeMerge   writeKind = iota // merge patch over it, or a new row
	writePatch                    // merge patch over it; without a row it is refused
	writeReplace                  // replaces it
	writeDelete                   // hides it
)

// change is one row's worth of a write. index is its place in the request.
type change struct {
	index int
	kind  writeKind
	id    string
	patch map[string]json.RawMessage
}

// Upsert merges rows into a site's catalogue: fields that a row names replace, null clears, the others stay, and an
// unknown item_id makes an item. One bad row never costs its neighbours. It returns when every change is in force on
// this node; an error means that the log did not take the changes, or ErrNotInForce.
func (c *Catalogue) Upsert(ctx context.Context, site string, rows []json.RawMessage) (UpsertReport, error) {
	report := UpsertReport{Rejected: []Rejection{}}
	changes := make([]change, 0, len(rows))
	for i, raw := range rows {
		id, patch, p := decodeRow(raw)
		if p != nil {
			report.Rejected = append(report.Rejected, Rejection{Index: i, ItemID: id, Problem: *p})
			continue
		}
		changes = append(changes, change{index: i, kind: writeMerge, id: id, patch: patch})
	}
	err := c.write(ctx, site, changes, &report)
	return report, err
}

// write carries changes through the log, merging anew those that lost against another writer.
func (c *Catalogue) write(ctx context.Context, site string, changes []change, report *UpsertReport) error {
	for range maxWriteAttempts {
		staged := c.stage(site, changes, report)
		if len(staged) == 0 {
			return nil
		}
		lost, err := c.commit(ctx, staged)
		if err != nil {
			return err
		}
		report.Accepted += len(staged) - len(lost)
		changes = changes[:0]
		for _, s := range lost {
			changes = append(changes, s.change)
		}
	}
	for _, ch := range changes {
		report.Rejected = append(report.Rejected, Rejection{Index: ch.index, ItemID: ch.id, Problem: event.Problem{
			Code:   CodeConflict,
			Detail: fmt.Sprintf("other writers changed the item during each of %d attempts; send the row again", maxWriteAttempts),
		}})
	}
	return nil
}

// stagedWrite is a change with the row that it makes.
type stagedWrite struct {
	change
	row *Row
}

// stage works out the row of each change over the rows in force; of several changes of one item each builds on the one
// before it, which the log keeps in this order.
func (c *Catalogue) stage(site string, changes []change, report *UpsertReport) []stagedWrite {
	staged := make([]stagedWrite, 0, len(changes))
	newest := map[string]*Row{}
	for _, ch := range changes {
		current, ok := newest[ch.id]
		if !ok {
			current = c.row(site, ch.id)
		}
		row, p := ch.apply(site, current)
		switch {
		case p != nil:
			report.Rejected = append(report.Rejected, Rejection{Index: ch.index, ItemID: ch.id, Problem: *p})
		case row == nil:
			report.Accepted++
			report.Unchanged++
		default:
			row.UpdatedAt = c.now().UTC().Truncate(time.Millisecond)
			newest[ch.id] = row
			staged = append(staged, stagedWrite{change: ch, row: row})
		}
	}
	return staged
}

// apply returns the row that a change makes of the current one, nil when nothing would differ.
func (ch change) apply(site string, current *Row) (*Row, *event.Problem) {
	row := &Row{Site: site, Item: Item{ItemID: ch.id, Available: true}}
	live := current != nil && !current.Deleted
	if current != nil {
		row.BaseRevision = current.Revision
	}
	row.Revision = row.BaseRevision + 1
	switch {
	case ch.kind == writeDelete:
		row.Available, row.Deleted = false, true
		if current != nil && current.Deleted {
			return nil, nil
		}
		return row, nil
	case ch.kind == writePatch && !live:
		return nil, &event.Problem{Code: CodeUnknownItem, Detail: errNoRow.Error() + "; PUT creates one"}
	case ch.kind != writeReplace && live:
		row.Item = current.Item
	}
	if p := row.merge(ch.patch); p != nil {
		return nil, p
	}
	if live && reflect.DeepEqual(row.Item, current.Item) {
		return nil, nil
	}
	return row, nil
}

// commit sends staged rows to the log and waits until this node has met each of them there; it returns those that
// another writer's record overtook.
func (c *Catalogue) commit(ctx context.Context, staged []stagedWrite) (lost []stagedWrite, err error) {
	records := make([]kafka.Record, len(staged))
	batch := event.NewID(c.now())
	ids := make([]string, len(staged))
	for i, s := range staged {
		ids[i] = batch + "/" + strconv.Itoa(i)
		if records[i], err = itemRecord(s.row, ids[i]); err != nil {
			return nil, err
		}
	}
	outcomes := c.waiters.add(ids)
	defer c.waiters.remove(ids)
	if err := c.produce.Produce(ctx, records); err != nil {
		return nil, fmt.Errorf("write %d catalogue rows to %s: %w", len(records), event.TopicItems, err)
	}
	timeout := time.NewTimer(inForceTimeout)
	defer timeout.Stop()
	for range staged {
		select {
		case o := <-outcomes:
			if !o.applied {
				lost = append(lost, staged[o.index])
			}
		case <-timeout.C:
			return nil, ErrNotInForce
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d catalogue rows: %w", len(staged), ctx.Err())
		}
	}
	return lost, nil
}

func itemRecord(row *Row, writeID string) (kafka.Record, error) {
	value, err := json.Marshal(row)
	if err != nil {
		return kafka.Record{}, fmt.Errorf("encode catalogue row %s: %w", row.ItemID, err)
	}
	return kafka.Record{
		Topic: event.TopicItems, Partition: -1, Time: row.UpdatedAt,
		Key: []byte(row.Site + ":" + row.ItemID), Value: value,
		Headers: []kafka.Header{
			{Key: event.HeaderSchema, Value: []byte(ItemSchema)},
			{Key: headerWrite, Value: []byte(writeID)},
		},
	}, nil
}

// outcome says of one staged write, by its index, whether its record came into force.
type outcome struct {
	index   int
	applied bool
}

// waiters are the writes of this node whose records have not come back yet, by write id.
type waiters struct {
	mu      sync.Mutex // guards pending
	pending map[string]waiter
}

type waiter struct {
	index int
	done  chan<- outcome
}

// add registers write ids; their outcomes come on the channel, which holds all of them.
func (w *waiters) add(ids []string) <-chan outcome {
	done := make(chan outcome, len(ids))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == nil {
		w.pending = map[string]waiter{}
	}
	for i, id := range ids {
		w.pending[id] = waiter{index: i, done: done}
	}
	return done
}

func (w *waiters) remove(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.pending, id)
	}
}

// settle tells the waiters of a fetched batch what became of their records.
func (w *waiters) settle(applied map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range maps.Keys(applied) {
		if waiting, ok := w.pending[id]; ok {
			delete(w.pending, id)
			waiting.done <- outcome{index: waiting.index, applied: applied[id]} // never blocks: the channel holds all
		}
	}
}
