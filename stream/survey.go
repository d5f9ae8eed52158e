package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// Holdings counts what each store that was looked through holds of people, by the store's name. A store with 0 was looked through,
// one that is missing was not.
type Holdings map[string]int64

// Total is what all stores hold.
func (h Holdings) Total() (n int64) {
	for _, held := range h {
		n += held
	}
	return n
}

// Stores are the names, sorted.
func (h Holdings) Stores() []string { return slices.Sorted(maps.Keys(h)) }

// Names of stores in Holdings, beside topics.
const (
	StoreOnline      = "online store"
	StoreStates      = "states"
	StoreCheckpoints = "checkpoints"
	StoreRejects     = "reject files"
)

// survey looks through every store for people in a ledger: the online store, the states of this process and the checkpoints of all,
// row by row; the lake, its files on the disk and its manifests; every record from the start of each log; reject files of imports.
func (s *Stream) survey(ctx context.Context, ledger *erasure.Ledger) (Holdings, error) {
	h := Holdings{}
	for _, look := range []func(context.Context, *erasure.Ledger, Holdings) error{
		s.surveyOnline, s.surveyStates, s.surveyCheckpoints, s.surveyLake, s.surveyLogs, s.surveyFeed, s.surveyRejects,
	} {
		if err := look(ctx, ledger, h); err != nil {
			return h, fmt.Errorf("look for people: %w", err)
		}
	}
	return h, nil
}

func (s *Stream) surveyOnline(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	h[StoreOnline] = 0
	get := func(key string) (onlinestore.Row, bool, error) { return s.deps.Online.Get(ctx, key) }
	for _, prefix := range []string{"p/", "n/", onlinestore.LinkPrefixAll} {
		err := s.deps.Online.Scan(ctx, prefix, func(row onlinestore.Row) error {
			r, named, err := whose(row, get)
			if named && ledger.Covers(r) {
				h[StoreOnline]++
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("online store: %w", err)
		}
	}
	return nil
}

// surveyStates looks through the states that are open here. Those of other processes are known by their checkpoints.
func (s *Stream) surveyStates(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	in, err := s.layoutNow(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	open := slices.Sorted(maps.Keys(s.open))
	s.mu.Unlock()
	h[StoreStates] = 0
	for _, number := range open {
		f, err := s.freeze(ctx, number, in.epoch)
		if errors.Is(err, ErrNotOwned) {
			continue
		}
		if err != nil {
			return err
		}
		n, err := surveyState(f.rows, ledger)
		h[StoreStates] += n
		if err = errors.Join(err, f.close()); err != nil && !errors.Is(err, state.ErrClosed) {
			return fmt.Errorf("state of partition %d: %w", number, err)
		}
	}
	return nil
}

// stateReader is a state or a snapshot of one.
type stateReader interface {
	scanner
	Get(key string) ([]byte, bool, error)
	TimerGroups() ([]string, error)
	Due(behind state.Timer, until int64, limit int) ([]state.Timer, error)
}

// surveyState counts the rows and the timers of a state that are about people in a ledger.
func surveyState(from stateReader, ledger *erasure.Ledger) (n int64, err error) {
	get := func(key string) (row onlinestore.Row, ok bool, err error) {
		stored, ok, err := from.Get(key)
		if err != nil || !ok {
			return row, ok, err
		}
		row, err = onlinestore.DecodeRow(stored)
		row.Key = key
		return row, true, err
	}
	err = from.Scan("", func(key string, stored []byte) error {
		row, err := onlinestore.DecodeRow(stored)
		if err != nil {
			return err
		}
		row.Key = key
		r, named, err := whose(row, get)
		if named && ledger.Covers(r) {
			n++
		}
		return err
	})
	if err != nil {
		return n, err
	}
	timers, err := surveyTimers(from, ledger, get)
	return n + timers, err
}

// surveyCheckpoints looks through every checkpoint in the bucket.
func (s *Stream) surveyCheckpoints(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	if s.deps.Bucket == nil {
		return nil
	}
	in, err := s.layoutNow(ctx)
	if err != nil {
		return err
	}
	h[StoreCheckpoints] = 0
	for number := range in.partitions {
		points := state.NewCheckpoints(s.deps.Bucket, in.epoch, number)
		manifests, err := points.Manifests(ctx)
		if err != nil {
			return err
		}
		for _, m := range manifests {
			n, err := s.surveyCheckpoint(ctx, points, m, ledger)
			if err != nil {
				return fmt.Errorf("checkpoint of partition %d at %d: %w", number, m.Position.Offset, err)
			}
			h[StoreCheckpoints] += n
		}
	}
	return nil
}

func (s *Stream) surveyCheckpoint(ctx context.Context, points *state.Checkpoints, m state.Manifest, ledger *erasure.Ledger) (n int64, err error) {
	if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(s.cfg.StateDir, temporaryPrefix)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	restored, err := points.Restore(ctx, filepath.Join(dir, "checkpoint"), func(o state.Manifest) bool { return o.Position == m.Position })
	if err != nil || !restored.Found {
		return 0, err // it is damaged, and nobody can restore it; or its owner has removed it meanwhile
	}
	db, err := state.Open(filepath.Join(dir, "checkpoint"), s.stateOptions())
	if err != nil {
		return 0, err
	}
	n, err = surveyState(db, ledger)
	return n, errors.Join(err, db.Close())
}

func (s *Stream) surveyLake(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	tables, err := s.deps.Erasing.Lake.Survey(ctx, ledger)
	for _, t := range tables {
		h["lake "+t.Table] = t.Rows
		h["lake "+t.Table+" older files"] = int64(t.Files)
		h["lake "+t.Table+" manifests"] = int64(t.Bounds)
	}
	return err
}

func (s *Stream) surveyLogs(ctx context.Context, ledger *erasure.Ledger, h Holdings) error {
	for _, topic := range personalTopics() {
		if topic == event.TopicFeatures {
			continue // by surveyFeed
		}
		ranges, err := s.deps.Log.Offsets(ctx, topic)
		if err != nil {
			return err
		}
		h[topic] = 0
		records := newRecordRows()
		err = s.eachRecordIn(ctx, topic, ranges, func(r *kafka.Record) error {
			if records.covered(r, ledger) {
				h[topic]++
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
	}
	return nil
}
