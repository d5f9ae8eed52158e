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
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// describedDifferences is how many differences a report spells out: enough to see a pattern.
const describedDifferences = 20

// Report is the outcome of a verification.
type Report struct {
	Profiles    int64    `json:"profiles"`    // in the state
	Rows        int64    `json:"rows"`        // compared: profiles, item and site shares, links, counts of partials
	Differences int64    `json:"differences"` // rows that differ between rebuild, state and online store
	Described   []string `json:"described,omitempty"`
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
	fences, err := s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	h, err := s.collectHistory(ctx, in, func(at lake.Position, owner int32) bool {
		f, fence := parts[owner], fences[lake.FenceKey{Topic: at.Topic, Epoch: at.Epoch, Partition: at.Partition}]
		return f != nil && (state.Position{Epoch: at.Epoch, Offset: at.Offset}).Before(f.Position) && at.Offset < fence.Next
	})
	if err != nil {
		return report, fmt.Errorf("verify features: %w", err)
	}
	defer func() { err = errors.Join(err, h.close()) }()
	for number := range in.partitions {
		if err := s.verifyPartition(ctx, number, in, parts[number], fences, h, &report); err != nil {
			return report, fmt.Errorf("verify features of partition %d: %w", number, err)
		}
	}
	if err := s.verifyOnline(ctx, parts, in.partitions, &report); err != nil {
		return report, fmt.Errorf("verify online store: %w", err)
	}
	return report, nil
}

func errIf(condition bool, text string) error {
	if condition {
		return errors.New(text)
	}
	return nil
}

// verifyPartition computes one partition again and compares.
func (s *Stream) verifyPartition(ctx context.Context, number int32, in layout, f *frozen, fences map[lake.FenceKey]lake.Fence, h *history, report *Report) (err error) {
	if !f.known {
		return nil
	}
	dir := filepath.Join(h.dir, strconv.Itoa(int(number)))
	again, err := state.Open(dir, s.stateOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, again.Close(), os.RemoveAll(dir)) }()
	id := partitionID{event.TopicEvents, number}
	fence, err := s.fenceOf(ctx, fences, f.Epoch, number)
	if err != nil {
		return err
	}
	fence.Next = min(fence.Next, f.Offset)
	if err := s.replayHistory(ctx, again, h, in, fence); err != nil {
		return err
	}
	if err := s.replayLog(ctx, again, id, in, fence.Next, f.Offset); err != nil {
		return err
	}
	return s.compare(ctx, again, f, report)
}

// compare holds the rebuilt rows against the state's, and the state's against the online store's.
func (s *Stream) compare(ctx context.Context, again *state.DB, f *frozen, report *Report) error {
	err := f.rows.Scan("", func(key string, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		report.Rows++
		if strings.HasPrefix(key, "p/") {
			report.Profiles++
		}
		want, ok, err := again.Get(key)
		if err != nil {
			return err
		}
		switch {
		case !ok:
			report.differ("%s: the state has a row that no event explains", key)
			return nil
		case !bytes.Equal(want, value):
			report.differ("%s: the state differs from what the events give", key)
			return nil
		}
		return s.compareOnline(ctx, key, value, report)
	})
	if err != nil {
		return err
	}
	return again.Scan("", func(key string, _ []byte) error {
		if _, ok, err := f.rows.Get(key); err != nil || ok {
			return err
		}
		report.Rows++
		report.differ("%s: the state lacks a row that the events give", key)
		return nil
	})
}

// compareOnline holds a row of the state against the online store, which may have moved on since.
func (s *Stream) compareOnline(ctx context.Context, key string, stored []byte, report *Report) error {
	row, err := onlinestore.DecodeRow(stored)
	if err != nil {
		return err
	}
	online, ok, err := s.deps.Online.Get(ctx, key)
	switch {
	case err != nil:
		return err
	case !ok:
		report.differ("%s: the online store lacks the row", key)
	case row.Before(online):
		// A later event has changed it since the state was frozen.
	case online.Before(row):
		report.differ("%s: the online store has the row of an older event", key)
	case online.Version != row.Version || !bytes.Equal(online.Value, row.Value):
		report.differ("%s: the online store differs from the state", key)
	}
	return nil
}

// verifyOnline looks for rows in the online store that no state has.
func (s *Stream) verifyOnline(ctx context.Context, parts map[int32]*frozen, partitions int32, report *Report) error {
	for prefix, owner := range owners(partitions) {
		err := s.deps.Online.Scan(ctx, prefix, func(row onlinestore.Row) error {
			number, err := owner(row.Key)
			if err != nil {
				return err
			}
			f := parts[number]
			if f == nil || !(state.Position{Epoch: row.Epoch, Offset: row.Offset}).Before(f.Position) {
				return nil // of another owner, or newer than the frozen state
			}
			if _, ok, err := f.rows.Get(row.Key); err != nil || ok {
				return err
			}
			report.Rows++
			report.differ("%s: the online store has a row that the state lacks", row.Key)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// owners says for every kind of row that the stream writes which partition writes it.
func owners(partitions int32) map[string]func(key string) (int32, error) {
	of := func(site, kind, id string) int32 {
		return kafka.PartitionFor([]byte(site+":"+kind+":"+id), partitions)
	}
	return map[string]func(string) (int32, error){
		"p/": func(key string) (int32, error) {
			p, err := onlinestore.ParseProfileKey(key)
			return of(p.Site, p.Kind, p.ID), err
		},
		"n/": func(key string) (int32, error) {
			site, browser, err := onlinestore.ParseNewestKey(key)
			return of(site, onlinestore.KindBrowser, browser), err
		},
		"link/": func(key string) (int32, error) {
			l, err := onlinestore.ParseLinkKey(key)
			return of(l.Site, onlinestore.KindBrowser, l.Browser), err
		},
		"i/": func(key string) (int32, error) {
			i, err := onlinestore.ParseItemKey(key)
			return i.Partition, err
		},
		"s/": func(key string) (int32, error) {
			s, err := onlinestore.ParseSiteKey(key)
			return s.Partition, err
		},
	}
}
