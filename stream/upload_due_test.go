package stream

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// startSeldom starts a stream whose states go to the bucket seldom, as another process.
func (h *house) startSeldom(name string) *running {
	s := h.streamIn(filepath.Join(h.dir, name))
	s.cfg.UploadInterval = time.Hour
	return h.run(s)
}

// manifests are the files of all checkpoints in the bucket.
func (h *house) manifests() (paths []string) {
	h.t.Helper()
	for info, err := range h.bucket.List(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		if strings.HasSuffix(info.Key, ".json") {
			paths = append(paths, filepath.Join(h.dir, "bucket", info.Key))
		}
	}
	return paths
}

// A partition that changes hands more often than states are uploaded goes to the bucket all the same: the interval counts
// from the newest checkpoint, whoever put it.
func TestIntervalOfUploadsOutlivesItsOwner(t *testing.T) {
	h, _, _ := withBucket(t)
	tr := newTraffic(11)
	s := h.startSeldom("a")
	h.produce(tr.next(100)...)
	s.drain()
	s.halt() // puts the first checkpoints
	first := h.manifests()
	for _, path := range first {
		old := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s = h.startSeldom("b")
	h.produce(tr.next(100)...)
	s.drain()
	until(t, "every partition has another checkpoint", func() bool { return len(h.manifests()) >= 2*len(first) })
	s.halt()
	if len(first) != testPartitions {
		t.Errorf("%d checkpoints of %d partitions at first", len(first), testPartitions)
	}
}

// deafProducer takes the change feed of a broker that is away: it answers only that the caller has given up.
type deafProducer struct{ Producer }

func (p deafProducer) Produce(ctx context.Context, records []kafka.Record) error {
	if records[0].Topic == event.TopicFeatures {
		<-ctx.Done()
		return ctx.Err()
	}
	return p.Producer.Produce(ctx, records)
}

// A partition that is taken away while a broker is away cannot be flushed in time; its state goes to the bucket even so, and
// the next owner reads hardly anything again.
func TestUploadNeedsNoFlush(t *testing.T) {
	h, log, past := withBucket(t)
	h.drainTimeout = time.Second
	tr := newTraffic(12)
	h.useOutput = deafProducer{h.producer}
	s := h.startSeldom("a")
	h.produce(tr.next(50)...)
	until(t, "each partition has its first checkpoint", func() bool { return len(h.manifests()) == testPartitions })
	h.produce(tr.next(300)...)
	until(t, "everything has landed", func() bool { return len(h.landed()) == len(tr.ids) })
	s.halt()
	h.useOutput = h.producer
	log.records.Store(0)
	past.scans.Store(0) // the first states were made from the lake, which held nothing
	s = h.startSeldom("b")
	s.drain()
	if n := log.records.Load(); n > 2*testPartitions || past.scans.Load() > 0 { // two witnesses of where a partition stands
		t.Errorf("the next owner read %d of %d records again, and the lake %d times", n, len(tr.sent), past.scans.Load())
	}
	verify(t, s.Stream)
	h.checkLanded(tr.ids)
}
