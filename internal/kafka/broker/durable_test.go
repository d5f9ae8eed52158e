package broker

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/internal/kafka"
)

func produceRequest(topic string, partitions ...int32) *kmsg.ProduceRequest {
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, p := range partitions {
		part := kmsg.NewProduceRequestTopicPartition()
		part.Partition = p
		t.Partitions = append(t.Partitions, part)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Topics = append(req.Topics, t)
	return req
}

// Neither the acknowledgement nor the record itself leaves the broker before the record is on disk.
func TestNothingLeavesBeforeTheSync(t *testing.T) {
	b, err := Start(Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	// Every round first drains; there the test gets in.
	var during atomic.Pointer[func()]
	drain := b.durability.drain
	b.durability.drain = func() {
		drain()
		if f := during.Load(); f != nil {
			(*f)()
		}
	}
	c, err := kafka.NewClient(kafka.Config{Brokers: []string{b.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.EnsureTopics(t.Context(), []kafka.TopicSpec{{Name: "t", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	p := kafka.NewProducer(c, kafka.ProducerConfig{Linger: -1})
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ran })
	record := []kafka.Record{{Topic: "t", Time: time.UnixMilli(1)}}
	if err := p.Produce(t.Context(), record); err != nil {
		t.Fatal(err)
	}

	// The files that are synced are the ones that kfake writes.
	if _, ok := b.durability.segments.Load(filepath.Join(b.durability.dir, partitionDir("t", 0))); !ok {
		t.Fatal("the segment of t/0 was not found where it was looked for")
	}
	if _, err := os.Stat(filepath.Join(b.durability.dir, pidsLog)); err != nil {
		t.Fatal(err)
	}

	var left atomic.Int32 // answers that have left
	rounds := make(chan int32, 16)
	look := func() { rounds <- left.Load() }
	during.Store(&look)
	fetched := make(chan error, 1)
	go func() {
		res, err := c.Fetch(ctx, kafka.FetchRequest{Topic: "t", Offset: 1, MaxWait: 20 * time.Second})
		left.Add(int32(len(res.Records)))
		fetched <- err
	}()
	acked := make(chan error, 1)
	if err := p.Enqueue(t.Context(), record, func(err error) { left.Add(1); acked <- err }); err != nil {
		t.Fatal(err)
	}
	if n := <-rounds; n != 0 {
		t.Errorf("%d answers had left before the first sync", n)
	}
	if err := <-acked; err != nil {
		t.Error(err)
	}
	if err := <-fetched; err != nil {
		t.Error(err)
	}
}

// A round covers what was appended before it began; what comes meanwhile needs the next one.
func TestRoundsCoverWhatCameBefore(t *testing.T) {
	d := newDurability(t.TempDir(), func(err error) { t.Error(err) })
	rounds := 0
	d.drain = func() {
		if rounds++; rounds == 1 {
			d.mark(produceRequest("t", 1))
		}
	}
	if err := d.wait(); err != nil || rounds != 0 {
		t.Fatalf("nothing to wait for: %d rounds, %v", rounds, err)
	}
	d.mark(produceRequest("t", 0))
	if err := d.wait(); err != nil || rounds != 1 {
		t.Fatalf("first append: %d rounds, %v", rounds, err)
	}
	if err := d.wait(); err != nil || rounds != 2 {
		t.Fatalf("append during the first round: %d rounds, %v", rounds, err)
	}
	if err := d.wait(); err != nil || rounds != 2 {
		t.Fatalf("nothing new: %d rounds, %v", rounds, err)
	}
}

func TestSyncFollowsTheNewestSegment(t *testing.T) {
	dir := t.TempDir()
	d := newDurability(dir, func(err error) { t.Error(err) })
	d.drain = func() {}
	path := filepath.Join(dir, partitionDir("a/b", 3))
	if filepath.Base(path) != "a%2Fb-3" {
		t.Errorf("directory %s", path)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		base int64
	}{{"5.dat", 5}, {"5.idx", 5}, {"100.dat", 100}, {"20.dat", 100}} {
		if err := os.WriteFile(filepath.Join(path, step.name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.mark(produceRequest("a/b", 3))
		if err := d.wait(); err != nil {
			t.Fatal(err)
		}
		s, ok := d.segments.Load(path)
		if !ok || s.(*segment).base != step.base {
			t.Fatalf("after %s the newest segment is %+v, want base %d", step.name, s, step.base)
		}
	}
	d.stop()
	if err := d.wait(); err == nil {
		t.Error("an answer passed after the stop")
	}
}

// A disk that refuses a sync ends everything: no later answer passes, and the reason is reported once.
func TestFailedSyncStopsTheBroker(t *testing.T) {
	dir := t.TempDir()
	reported := make(chan error, 2)
	d := newDurability(dir, func(err error) { reported <- err })
	d.drain = func() {}
	path := filepath.Join(dir, partitionDir("t", 0))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // not a directory
		t.Fatal(err)
	}
	d.mark(produceRequest("t", 0))
	if d.wait() == nil {
		t.Fatal("the failed sync was answered")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if d.wait() == nil {
		t.Error("an answer passed after a failed sync")
	}
	if len(reported) != 1 {
		t.Errorf("reported %d times", len(reported))
	}
}
