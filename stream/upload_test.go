package stream

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/lake"
)

// countedLog counts the records of the events topic that are read.
type countedLog struct {
	Log
	records atomic.Int64
}

func (l *countedLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	res, err := l.Log.Fetch(ctx, r)
	if r.Topic == event.TopicEvents {
		l.records.Add(int64(len(res.Records)))
	}
	return res, err
}

// scannedLake counts readings of everything that has landed.
type scannedLake struct {
	Lake
	scans atomic.Int64
}

func (l *scannedLake) ScanEvents(ctx context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) error {
	l.scans.Add(1)
	return l.Lake.ScanEvents(ctx, r, yield)
}

// withBucket gives the house a bucket and counts what its streams read.
func withBucket(t *testing.T) (h *house, log *countedLog, past *scannedLake) {
	h = newHouse(t)
	bucket, err := objstore.OpenLocal(filepath.Join(h.dir, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	log, past = &countedLog{Log: h.client}, &scannedLake{Lake: h.lake}
	h.bucket, h.useLog, h.useLake = bucket, log, past
	return h, log, past
}

// startIn starts a stream with states of its own, as another process.
func (h *house) startIn(name string) *running {
	h.t.Helper()
	keep := h.stateName
	h.stateName = name
	defer func() { h.stateName = keep }()
	return h.start()
}

// A process without state reads only what was applied after the newest checkpoint, and nothing of the lake.
func TestStateComesFromTheBucket(t *testing.T) {
	h, log, past := withBucket(t)
	tr := newTraffic(7)
	for round, process := range []string{"a", "b", "a", "c"} { // the second time, a has an old state of its own
		if round > 0 {
			log.records.Store(0)
			past.scans.Store(0)
		}
		s := h.startIn(process)
		fresh := tr.next(150)
		h.produce(fresh...)
		s.drain()
		if round > 0 {
			// One record of each partition is the witness of its position, for the state and for the lake.
			if n := log.records.Load(); n > int64(len(fresh))+2*testPartitions || past.scans.Load() > 0 {
				t.Errorf("process %s read %d records for %d new ones, and the lake %d times", process, n, len(fresh), past.scans.Load())
			}
		}
		verify(t, s.Stream)
		s.halt()
	}
	h.checkLanded(tr.ids)
}

// failingBucket refuses everything that writes while it is broken.
type failingBucket struct {
	objstore.Bucket
	broken atomic.Bool
	failed atomic.Int64
}

func (b *failingBucket) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	if b.broken.Load() {
		b.failed.Add(1)
		return errors.New("the bucket is away")
	}
	return b.Bucket.PutIfAbsent(ctx, key, body, size)
}

// A bucket that is away stops nothing; the next owner reads more again, and all is exact.
func TestBucketAwayCostsOnlyReplay(t *testing.T) {
	h, _, _ := withBucket(t)
	bucket := &failingBucket{Bucket: h.bucket}
	h.bucket = bucket
	tr := newTraffic(8)
	s := h.startIn("a")
	h.produce(tr.next(100)...)
	s.drain()
	bucket.broken.Store(true)
	h.produce(tr.next(100)...)
	s.drain()
	s.halt()
	if bucket.failed.Load() == 0 {
		t.Error("nobody tried to put a checkpoint")
	}
	bucket.broken.Store(false)
	s = h.startIn("b")
	s.drain()
	verify(t, s.Stream)
	h.checkLanded(tr.ids)
}

// Checkpoints that are all damaged are passed over: the state is made from the lake.
func TestDamagedBucketIsPassedOver(t *testing.T) {
	h, _, past := withBucket(t)
	tr := newTraffic(9)
	s := h.startIn("a")
	h.produce(tr.next(200)...)
	s.drain()
	s.halt()
	damaged := 0
	for info, err := range h.bucket.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(info.Key, ".sst-") {
			damaged++
			if err := os.Truncate(filepath.Join(h.dir, "bucket", info.Key), info.Size/2); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = h.startIn("b")
	h.produce(tr.next(50)...)
	s.drain()
	verify(t, s.Stream)
	h.checkLanded(tr.ids)
	if damaged == 0 || past.scans.Load() == 0 {
		t.Errorf("%d tables damaged, the lake was read %d times", damaged, past.scans.Load())
	}
}
