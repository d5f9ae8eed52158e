package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/state"
)

const (
	beforeUpload step = "file of a checkpoint not put"
	afterUpload  step = "file of a checkpoint put, not noticed"
)

type mortalBucket struct {
	objstore.Bucket
	r *reaper
}

func (b mortalBucket) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.r.around(beforeUpload, afterUpload, func() error { return b.Bucket.PutIfAbsent(ctx, key, body, size) })
}

// arm names the moment at which a running process dies.
func (r *reaper) arm(at step, nth int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.left = at, nth
}

// awaitCheckpoints returns when the bucket has the state of everything that stands in the log.
func (h *house) awaitCheckpoints() {
	h.t.Helper()
	ranges, err := h.client.Offsets(h.t.Context(), event.TopicEvents)
	if err != nil {
		h.t.Fatal(err)
	}
	for partition, r := range ranges {
		points := state.NewCheckpoints(h.bucket, 1, partition)
		until(h.t, fmt.Sprintf("partition %d is in the bucket up to %d", partition, r.End), func() bool {
			m, _, err := points.Newest(h.t.Context())
			return err == nil && m.Position.Offset >= r.End
		})
	}
}

// TestKilledWhileUploading kills a process at one of the first puts of its checkpoints. Who takes over, another process or
// the same one without its directory, restores the checkpoint before and replays only what came after it.
func TestKilledWhileUploading(t *testing.T) {
	for _, nth := range []int{1, 2, 3, 6} {
		for _, at := range []step{beforeUpload, afterUpload} {
			t.Run(fmt.Sprintf("%s %d", at, nth), func(t *testing.T) {
				t.Parallel()
				h, log, past := withBucket(t)
				h.drainTimeout = time.Millisecond
				tr := newTraffic(uint64(nth))
				bucket, r := h.bucket, &reaper{}
				h.bucket = mortalBucket{bucket, r}
				h.useLake, h.useOnline, h.useOutput, h.useLog = mortalLake{past, r}, mortalOnline{h.online, r}, mortalProducer{h.producer, r}, mortalLog{log, r}
				s := h.startIn("a")
				r.kill = s.stop
				h.bucket, h.useLake, h.useOnline, h.useOutput, h.useLog = bucket, past, h.online, h.producer, log
				h.produce(tr.next(100)...)
				s.drain()
				h.awaitCheckpoints()

				r.arm(at, nth)
				tail := tr.next(60)
				h.produce(tail...)
				<-s.done
				if err := s.ended(); err != nil && !errors.Is(err, errKilled) {
					t.Fatalf("stream ended with %v", err)
				}
				next := "b"
				if nth%2 == 0 {
					next = "a"
					if err := os.RemoveAll(filepath.Join(h.dir, next)); err != nil {
						t.Fatal(err)
					}
				}
				log.records.Store(0)
				past.scans.Store(0)
				s = h.startIn(next)
				s.drain()
				// One record of each partition is the witness of its position, for the state and for the lake.
				if n := log.records.Load(); n > int64(len(tail))+2*testPartitions || past.scans.Load() > 0 {
					t.Errorf("read %d records for a tail of %d, and the lake %d times", n, len(tail), past.scans.Load())
				}
				verify(t, s.Stream)
				h.checkLanded(tr.ids)
			})
		}
	}
}

// slowBucket lets the puts of one process wait until they may go on.
type slowBucket struct {
	objstore.Bucket
	waits sync.Once
	begun chan struct{} // closed when the first of them waits
	goOn  chan struct{}
}

func (b *slowBucket) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	b.waits.Do(func() { close(b.begun) })
	select {
	case <-b.goOn:
		return b.Bucket.PutIfAbsent(ctx, key, body, size)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestZombieUploads lets a process put its checkpoints when others have had its partitions for long, restored them and put
// newer ones: a state is what the log up to its position makes of it, so that an old one is old and nothing worse.
func TestZombieUploads(t *testing.T) {
	h, _, _ := withBucket(t)
	tr := newTraffic(13)
	s := h.startIn("a")
	h.produce(tr.next(100)...)
	s.drain()
	s.halt()

	bucket := h.bucket
	slow := &slowBucket{Bucket: bucket, begun: make(chan struct{}), goOn: make(chan struct{})}
	h.bucket = slow
	zombie := h.startIn("a")
	h.bucket = bucket
	h.produce(tr.next(50)...)
	<-slow.begun
	owner := h.startIn("b") // it and the zombie have every partition at once
	h.produce(tr.next(50)...)
	owner.drain()
	h.awaitCheckpoints()
	close(slow.goOn)
	h.produce(tr.next(50)...)
	zombie.drain()
	zombie.halt()
	owner.drain()
	verify(t, owner.Stream)
	owner.halt()

	s = h.startIn("c") // from whichever checkpoint is the newest now
	h.produce(tr.next(50)...)
	s.drain()
	verify(t, s.Stream)
	h.checkLanded(tr.ids)
}
