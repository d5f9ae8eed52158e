package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// MaxBulkRows bounds one bulk write; 10,000 rows of a few hundred bytes are a few MiB.
	MaxBulkRows = 10_000
	// MaxBulkBytes bounds the body of a bulk write: MaxBulkRows rows of 3 KiB.
	MaxBulkBytes = 32 << 20

	// MaxRowBytes bounds a row as it stands in the log. Merging lets one grow beyond MaxItemBytes, the most that a single
	// input may have; a record that exceeds a batch of Kafka (512 KiB) would be refused with all its neighbours.
	MaxRowBytes = 256 << 10
	// maxRoundBytes bounds the rows of one round trip: a small part of what the producer buffers for everybody (64 MiB),
	// so that a bulk of small changes of large rows is not refused for ever.
	maxRoundBytes = 8 << 20

	// maxWriteAttempts is how often a write that lost against another writer is merged anew. Losing needs another write
	// of the same item within the few milliseconds of the round trip, each time.
	maxWriteAttempts = 5
	// produceTimeout bounds the wait for Kafka: who writes a catalogue learns soon that it is away, and tries again. The producer goes
	// on for a minute, so that the write may still come; it then counts as any other writer's.
	produceTimeout = 5 * time.Second
	// catchUpStep is the pause between two looks at how far this node is: it applies a record within a few milliseconds.
	catchUpStep = time.Millisecond
	// inForceTimeout bounds the wait for this node to apply a write that the log has acknowledged already.
	inForceTimeout = 10 * time.Second
	// headerWrite carries the id under which the writer waits for its record to come back.
	headerWrite = "millrace-write"
)

// ErrNotInForce means that a write is safe in the log, but that this node has not applied it in time.
var ErrNotInForce = errors.New("the change is stored, but not yet in force on this node")

// Rejection says why one row of a bulk write was refused. Index counts from 0.
type Rejection struct {
	Index  int    `json:"index" doc:"Which row of the request, from 0."`
	ItemID string `json:"item_id,omitempty" doc:"The item that it names."`
	event.Problem
}

// UpsertReport is the outcome of a bulk write: every row is accepted, which means in force, or rejected. Unchanged is
// how many of the accepted ones said nothing new.
type UpsertReport struct {
	Accepted  int         `json:"accepted" doc:"Rows in force."`
	Unchanged int         `json:"unchanged" doc:"Of the accepted, those that said nothing new."`
	Rejected  []Rejection `json:"rejected" doc:"Rows that were refused."`
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
	index    int
	kind     writeKind
	id       string
	patch    map[string]json.RawMessage
	said     *Item // what events said of an item without a row, which a merge starts from; nil where they said nothing
	match    ifMatch
	attempts int // that lost against other writers
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

// write carries changes through the log, in rounds of maxRoundBytes, and merges anew those that lost against another
// writer. That a change says nothing new, or that its item does not exist, is only said once this node has what the log held when
// it was asked: what another node has acknowledged may be on its way here.
func (c *Catalogue) write(ctx context.Context, site string, changes []change, report *UpsertReport) error {
	for current := false; len(changes) > 0; {
		var round UpsertReport
		staged, rest, err := c.stage(site, changes, &round)
		if err != nil {
			return err
		}
		if !current && round.hangsOnRows() {
			if err := c.catchUp(ctx); err != nil {
				return err
			}
			current = true
			continue
		}
		report.add(&round)
		lost, err := c.commit(ctx, staged)
		if err != nil {
			return err
		}
		again := make([]change, 0, len(rest))
		for i, s := range staged {
			if !lost[i] {
				report.Accepted += len(s.changes)
				continue
			}
			for _, ch := range s.changes {
				if ch.attempts++; ch.attempts < maxWriteAttempts {
					again = append(again, ch)
					continue
				}
				report.reject(ch, &event.Problem{
					Code:   CodeConflict,
					Detail: fmt.Sprintf("other writers changed the item during each of %d attempts; send the row again", maxWriteAttempts),
				})
			}
		}
		changes = append(again, rest...)
	}
	return nil
}

func (r *UpsertReport) add(o *UpsertReport) {
	r.Accepted += o.Accepted
	r.Unchanged += o.Unchanged
	r.Rejected = append(r.Rejected, o.Rejected...)
}

// hangsOnRows reports whether a verdict is about what the item is now, and not about the change.
func (r *UpsertReport) hangsOnRows() bool {
	return r.Unchanged > 0 || slices.ContainsFunc(r.Rejected, func(r Rejection) bool { return r.Code == CodeUnknownItem })
}

// catchUp returns when this node has applied what the log holds now.
func (c *Catalogue) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	ranges, err := c.log.Offsets(ctx, event.TopicItems)
	if err != nil {
		return fmt.Errorf("read the end of %s: %w", event.TopicItems, err)
	}
	for !c.hasReached(ranges) {
		if err := pause(ctx, catchUpStep); err != nil {
			return fmt.Errorf("wait for what other nodes wrote to %s: %w", event.TopicItems, err)
		}
	}
	return nil
}

// hasReached reports whether everything before the ends of ranges is applied.
func (c *Catalogue) hasReached(ranges map[int32]kafka.OffsetRange) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for partition, r := range ranges {
		if c.reached[partition].next < r.End {
			return false
		}
	}
	return true
}

func (r *UpsertReport) reject(ch change, p *event.Problem) {
	r.Rejected = append(r.Rejected, Rejection{Index: ch.index, ItemID: ch.id, Problem: *p})
}

// stagedWrite is what one round makes of one item: the row, the same as the log will hold it, and the changes that led
// to it, in their order.
type stagedWrite struct {
	row     *event.CatalogueRow
	value   []byte
	changes []change
}

// stage works out the rows that changes make over the rows in force. The changes of one item make one row, whose base is
// a row in force: were each to build on the one before it, a record of another writer could take the revision of a row
// that was never in force, and the next change would overwrite it unseen. The rest is what a round has no room for.
func (c *Catalogue) stage(site string, changes []change, report *UpsertReport) (staged []stagedWrite, rest []change, err error) {
	places := map[string]int{} // in staged, by item
	size := 0
	for i, ch := range changes {
		if size >= maxRoundBytes {
			return staged, changes[i:], nil
		}
		place, again := places[ch.id]
		var current *event.CatalogueRow
		if again {
			current = staged[place].row
		} else if row := c.row(site, ch.id); row != nil {
			current = row.whole()
		}
		row, p := ch.apply(site, current)
		if p != nil {
			report.reject(ch, p)
			continue
		}
		if row == nil {
			report.Accepted++
			report.Unchanged++
			continue
		}
		if again {
			row.BaseRevision, row.Revision = current.BaseRevision, current.Revision
		}
		row.UpdatedAt = c.now().UTC().Truncate(time.Millisecond)
		value, err := encodeRow(row)
		if err != nil {
			return nil, nil, err
		}
		if len(value) > MaxRowBytes {
			report.reject(ch, tooLarge("with this change the item has %d bytes, the limit is %d; clear some of its fields", len(value), MaxRowBytes))
			continue
		}
		if !again {
			place = len(staged)
			places[ch.id], staged = place, append(staged, stagedWrite{})
		}
		s := &staged[place]
		size += len(value) - len(s.value)
		s.row, s.value, s.changes = row, value, append(s.changes, ch)
	}
	return staged, nil, nil
}

// apply returns the row that a change makes of the current one, nil when nothing would differ.
func (ch change) apply(site string, current *event.CatalogueRow) (*event.CatalogueRow, *event.Problem) {
	row := &event.CatalogueRow{Site: site, CatalogueItem: Item{ItemID: ch.id, Available: true}}
	live := current != nil && !current.Deleted
	if current != nil {
		row.BaseRevision = current.Revision
	}
	row.Revision = row.BaseRevision + 1
	if p := ch.match.check(current); p != nil {
		return nil, p
	}
	switch {
	case ch.kind == writeDelete:
		row.Available, row.Deleted = false, true
		if current != nil && current.Deleted {
			return nil, nil
		}
		return row, nil
	case ch.kind == writePatch && current == nil && ch.said != nil:
		row.CatalogueItem = *ch.said
	case ch.kind == writePatch && !live:
		return nil, &event.Problem{Code: CodeUnknownItem, Detail: errNoRow.Error() + "; PUT creates one"}
	case ch.kind != writeReplace && live:
		row.CatalogueItem = current.CatalogueItem
	}
	if p := mergeItem(&row.CatalogueItem, ch.patch); p != nil {
		return nil, p
	}
	if live && reflect.DeepEqual(row.CatalogueItem, current.CatalogueItem) {
		return nil, nil
	}
	return row, nil
}

// commit sends staged rows to the log and waits until this node has met each of them there; it returns the indexes of
// those that another writer's record overtook.
func (c *Catalogue) commit(ctx context.Context, staged []stagedWrite) (lost map[int]bool, err error) {
	records := make([]kafka.Record, len(staged))
	batch := event.NewID(c.now())
	ids := make([]string, len(staged))
	for i := range staged {
		ids[i] = batch + "/" + strconv.Itoa(i)
		records[i] = staged[i].record(ids[i])
	}
	outcomes := c.waiters.add(ids)
	defer c.waiters.remove(ids)
	producing, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	if err := c.produce.Produce(producing, records); err != nil {
		return nil, fmt.Errorf("write %d catalogue rows to %s: %w", len(records), event.TopicItems, err)
	}
	timeout := time.NewTimer(inForceTimeout)
	defer timeout.Stop()
	lost = map[int]bool{}
	for range staged {
		select {
		case o := <-outcomes:
			if !o.applied {
				lost[o.index] = true
			}
		case <-timeout.C:
			return nil, ErrNotInForce
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %d catalogue rows: %w", len(staged), ctx.Err())
		}
	}
	return lost, nil
}

func (s *stagedWrite) record(writeID string) kafka.Record {
	return kafka.Record{
		Topic: event.TopicItems, Partition: -1, Time: s.row.UpdatedAt,
		Key: []byte(s.row.Site + ":" + s.row.ItemID), Value: s.value,
		Headers: []kafka.Header{
			{Key: event.HeaderSchema, Value: []byte(event.ItemSchema)},
			{Key: headerWrite, Value: []byte(writeID)},
		},
	}
}
