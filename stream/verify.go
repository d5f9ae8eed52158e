package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// describedDifferences is how many differences a report spells out: enough to see a pattern.
const describedDifferences = 20

// Compared counts what was held against its rebuild.
type Compared struct {
	Profiles int64 `json:"profiles"`
	Items    int64 `json:"items"` // shares of items: each partition has its own
	Rows     int64 `json:"rows"`  // of all kinds: beside those, site shares, links, counts of partials
}

func (c *Compared) count(key string) {
	c.Rows++
	switch {
	case strings.HasPrefix(key, "p/"):
		c.Profiles++
	case strings.HasPrefix(key, "i/"):
		c.Items++
	}
}

// Add adds another count.
func (c *Compared) Add(o Compared) {
	c.Profiles, c.Items, c.Rows = c.Profiles+o.Profiles, c.Items+o.Items, c.Rows+o.Rows
}

// Report is the outcome of a verification. Where it was asked of a process that owns no partition, what is compared is the
// online store, and beside it States; else both at once.
type Report struct {
	Compared
	Differences int64           `json:"differences"` // rows that differ between rebuild, state and online store
	Described   []string        `json:"described,omitempty"`
	States      []VerifiedState `json:"states,omitempty"`
}

// VerifiedState is the state of a partition that was compared, at the position up to which it had applied the log.
type VerifiedState struct {
	Partition int32 `json:"partition"`
	Found     bool  `json:"found"` // false: no event has come, or the bucket has no checkpoint of this basis yet
	Epoch     int64 `json:"epoch,omitempty"`
	Offset    int64 `json:"offset,omitempty"` // the next to apply
	Compared
}

func (r *Report) differ(format string, args ...any) {
	if r.Differences++; len(r.Described) < describedDifferences {
		r.Described = append(r.Described, fmt.Sprintf(format, args...))
	}
}

// Verify computes every feature again, from the lake up to its fence and from Kafka up to the position of the state, and
// compares it with the state and the online store at equal positions. It runs beside Run, which must own every partition
// (ErrNotOwned), or alone: then the states must not be open elsewhere, and Run must not begin before it ends. It needs disk
// for one partition's state and the landed events, and little memory.
func (s *Stream) Verify(ctx context.Context) (report Report, err error) {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	if err := s.settledLedger(ctx); err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	// While rows of an earlier state are being removed the online store is known to differ.
	if err := s.sweeper.idle(ctx); err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	parts, err := s.freezeAll(ctx, in)
	defer func() {
		for _, f := range parts {
			err = errors.Join(err, f.close())
		}
	}()
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	// The same while a lost store is being filled; its owners are known to be here.
	if err := s.refilled(ctx); err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	// Fences are read after the states: what lies between them comes from Kafka, what lies behind a state does not count.
	v, err := s.beginVerification(ctx, in)
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	defer func() { err = errors.Join(err, v.landed.close()) }()
	for number := range in.partitions {
		found, err := v.compareState(ctx, number, parts[number], s.compareOnline)
		if err != nil {
			return v.report, fmt.Errorf("verify features of partition %d: %w", number, err)
		}
		v.report.Add(found.Compared)
	}
	if err := v.compareOwners(ctx, parts); err != nil {
		return v.report, fmt.Errorf("verify online store: %w", err)
	}
	return v.report, nil
}

// verification computes states again from what has landed and compares.
type verification struct {
	s      *Stream
	in     layout
	fences map[lake.FenceKey]lake.Fence
	landed *history // all before fences; close it
	report Report
}

func (s *Stream) beginVerification(ctx context.Context, in layout) (*verification, error) {
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return nil, err
	}
	landed, err := s.collectHistory(ctx, in, fences)
	if err != nil {
		return nil, err
	}
	return &verification{s: s, in: in, fences: fences, landed: landed}, nil
}

// compareState computes the state of a partition again, up to the position of a frozen one, and compares the two. Rows that
// are the same it hands to same.
func (v *verification) compareState(ctx context.Context, number int32, f *frozen, same rowComparison) (found VerifiedState, err error) {
	found = VerifiedState{Partition: number, Found: f.known, Epoch: f.Epoch, Offset: f.Offset}
	defer func() { v.report.States = append(v.report.States, found) }()
	if !f.known {
		return found, nil
	}
	dir := filepath.Join(v.landed.dir, strconv.Itoa(int(number)))
	again, err := state.Open(dir, v.s.stateOptions())
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, again.Close(), os.RemoveAll(dir)) }()
	fence, err := v.s.fenceOf(ctx, v.fences, f.Epoch, number)
	if err != nil {
		return found, err
	}
	fence.Next = min(fence.Next, f.Offset)
	if err := v.s.replayHistory(ctx, again, v.landed, v.in, fence); err != nil {
		return found, err
	}
	if err := v.s.replayLog(ctx, again, partitionID{event.TopicEvents, number}, v.in, fence.Next, f.Offset); err != nil {
		return found, err
	}
	found.Compared, err = v.compareRows(ctx, again, f, same)
	return found, err
}

// rowComparison compares a stored row of a state with what is somewhere else.
type rowComparison func(ctx context.Context, key string, stored []byte, report *Report) error

// compareRows holds the rows of a frozen state against rebuilt ones.
func (v *verification) compareRows(ctx context.Context, again *state.DB, f *frozen, same rowComparison) (c Compared, err error) {
	err = f.rows.Scan("", func(key string, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.count(key)
		want, ok, err := again.Get(key)
		switch {
		case err != nil:
			return err
		case !ok:
			v.report.differ("%s: the state has a row that no event explains", key)
			return nil
		case !bytes.Equal(want, value):
			v.report.differ("%s: the state differs from what the events give: %s", key, differenceOf(key, value, want))
			return nil
		}
		return same(ctx, key, value, &v.report)
	})
	if err != nil {
		return c, err
	}
	return c, again.Scan("", func(key string, _ []byte) error {
		if _, ok, err := f.rows.Get(key); err != nil || ok {
			return err
		}
		c.count(key)
		v.report.differ("%s: the state lacks a row that the events give", key)
		return nil
	})
}
