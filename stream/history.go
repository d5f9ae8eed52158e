package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// historyBatch is how many landed events are sorted in one batch.
const historyBatch = 1000

// history is what has landed, sorted by owning partition and position. The lake gives rows in the order of commits and files; the
// order that features depend on is that of the log. It is sorted on disk, so that memory does not grow with the lake.
type history struct {
	dir   string
	db    *state.DB
	total int64 // events

	replayed atomic.Int64 // of them, by the states that are made of it
}

// collectHistory reads the events that have landed before fences, in no later epoch than the layout's, and sorts them by the
// partition that they belong to in it. What has landed since is left out.
func (s *Stream) collectHistory(ctx context.Context, in layout, fences map[lake.FenceKey]lake.Fence) (h *history, err error) {
	if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("sort history: %w", err)
	}
	dir, err := os.MkdirTemp(s.cfg.StateDir, temporaryPrefix)
	if err != nil {
		return nil, fmt.Errorf("sort history: %w", err)
	}
	db, err := state.Open(filepath.Join(dir, "history"), s.stateOptions())
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	made := &history{dir: dir, db: db}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.close())
		}
	}()
	batch, inBatch, total := db.NewBatch(), 0, int64(0)
	defer func() { batch.Discard() }()
	err = s.deps.Lake.ScanEvents(ctx, lake.ScanRequest{Table: lake.TableEvents}, func(r lake.EventRow) error {
		fence, landed := fences[lake.FenceKey{Topic: r.At.Topic, Epoch: r.At.Epoch, Partition: r.At.Partition}]
		if r.At.Topic != event.TopicEvents || !landed || r.At.Epoch > in.epoch || r.At.Offset >= fence.Next {
			return nil
		}
		value, err := event.Marshal(r.Event)
		if err != nil {
			return err
		}
		batch.Set(historyKey(in.owner(r.Event, r.At), r.At), value)
		total++
		if inBatch++; inBatch < historyBatch {
			return nil
		}
		full := batch
		batch, inBatch = db.NewBatch(), 0
		return db.Commit(full, state.Position{Offset: total})
	})
	if err != nil {
		return nil, fmt.Errorf("read landed events: %w", err)
	}
	if err := db.Commit(batch, state.Position{Offset: total}); err != nil {
		return nil, fmt.Errorf("sort history: %w", err)
	}
	made.total = total
	return made, nil
}

// temporaryPrefix begins the names of directories that live as long as one rebuild or verification.
const temporaryPrefix = "tmp-"

// removeTemporary removes what a process that died has left behind.
func removeTemporary(stateDir string) error {
	left, err := filepath.Glob(filepath.Join(stateDir, temporaryPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for leftovers in %s: %w", stateDir, err)
	}
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove leftovers: %w", err)
		}
	}
	return nil
}

// replay calls f with the landed events of a partition in the order of its log.
func (h *history) replay(partition int32, f func(e *event.Event, at state.Position) error) error {
	reader := event.NewReader()
	return h.db.Scan(historyPrefix(partition), func(key string, value []byte) error {
		at, err := parseHistoryKey(key)
		if err != nil {
			return err
		}
		e, err := reader.Read(value)
		if err != nil {
			return err
		}
		return f(e, at)
	})
}

func (h *history) close() error {
	return errors.Join(h.db.Close(), os.RemoveAll(h.dir))
}

// historyKey is the owning partition, then epoch, partition and offset of the record, each big endian: keys sort as the
// log does, and where several partitions of an earlier epoch come together, one after the other.
func historyKey(owner int32, at lake.Position) string {
	b := binary.BigEndian.AppendUint64([]byte(historyPrefix(owner)), uint64(at.Epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(at.Partition))
	return string(binary.BigEndian.AppendUint64(b, uint64(at.Offset)))
}

func historyPrefix(owner int32) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(owner)))
}

func parseHistoryKey(key string) (state.Position, error) {
	if len(key) != 24 {
		return state.Position{}, fmt.Errorf("history key of %d bytes", len(key))
	}
	return state.Position{Epoch: int64(binary.BigEndian.Uint64([]byte(key[4:12]))), Offset: int64(binary.BigEndian.Uint64([]byte(key[16:])))}, nil
}
