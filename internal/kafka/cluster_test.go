package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// What three real brokers do to a client when one of them goes away. Minutes; `make test-long` runs it.

const clusterTopic = "t"

// Each broker in turn is killed and comes back while records are written and read: none is lost, none is there twice,
// and both sides go on with two of three brokers.
func TestLongKillEachBroker(t *testing.T) {
	kafkatest.Long(t)
	cluster := kafkatest.RealCluster(t, 3)
	l := newLoad(t, cluster, 3)
	for broker := range 3 {
		cluster.Kill(broker)
		l.awaitMore("with broker " + strconv.Itoa(broker) + " killed")
		cluster.Start(broker)
		cluster.AwaitInSync()
		l.awaitMore("with broker " + strconv.Itoa(broker) + " back")
	}
	l.finish()
}

// A leader is frozen, so that nothing refuses connections to it, until another leads; then it wakes and believes for a
// moment that it still leads.
func TestLongFrozenLeader(t *testing.T) {
	kafkatest.Long(t)
	cluster := kafkatest.RealCluster(t, 3)
	l := newLoad(t, cluster, 1)
	old := cluster.Leader(clusterTopic, 0)
	cluster.Pause(old)
	l.awaitMore("with the leader frozen")
	if now := cluster.Leader(clusterTopic, 0); now == old {
		t.Errorf("broker %d still leads while it is frozen", old)
	}
	cluster.Resume(old)
	cluster.AwaitInSync()
	l.awaitMore("with the old leader awake")
	l.finish()
}

// load writes numbered records to every partition without end and follows them with fetches. Offset and number are
// the same as long as nothing is lost and nothing is there twice.
type load struct {
	t             *testing.T
	client        *kafka.Client
	written, read []atomic.Int64 // by partition: how many were acknowledged and read
	longest       atomic.Int64   // nanoseconds: the longest wait for an acknowledgement
	stopWriters   []func()
	stopReaders   []func()
}

func newLoad(t *testing.T, cluster *kafkatest.Cluster, partitions int32) *load {
	c := kafkatest.Dial(t, cluster.Addrs())
	kafkatest.Topic(t, c, clusterTopic, partitions)
	l := &load{t: t, client: c, written: make([]atomic.Int64, partitions), read: make([]atomic.Int64, partitions)}
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	for partition := range partitions {
		l.stopWriters = append(l.stopWriters, kafkatest.Run(t, func(ctx context.Context) error { return l.write(ctx, p, partition) }))
		l.stopReaders = append(l.stopReaders, kafkatest.Run(t, func(ctx context.Context) error { return l.follow(ctx, partition) }))
	}
	l.awaitMore("with all brokers up")
	return l
}

func (l *load) write(ctx context.Context, p *kafka.Producer, partition int32) error {
	const perCall = 10
	records := make([]kafka.Record, perCall)
	for n := int64(0); ctx.Err() == nil; n += perCall {
		for i := range records {
			records[i] = kafka.Record{Topic: clusterTopic, Partition: partition, Time: time.UnixMilli(1), Value: strconv.AppendInt(nil, n+int64(i), 10)}
		}
		begun := time.Now()
		if err := p.Produce(context.WithoutCancel(ctx), records); err != nil {
			return err
		}
		l.written[partition].Store(n + perCall)
		if took := int64(time.Since(begun)); took > l.longest.Load() {
			l.longest.Store(took)
		}
	}
	return nil
}

func (l *load) follow(ctx context.Context, partition int32) error {
	for at := int64(0); ; {
		res, err := l.client.Fetch(ctx, kafka.FetchRequest{Topic: clusterTopic, Partition: partition, Offset: at})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range res.Records {
			if want := strconv.FormatInt(r.Offset, 10); r.Offset != at || string(r.Value) != want {
				return fmt.Errorf("%s/%d: offset %d, wanted %d, holds number %s", clusterTopic, partition, r.Offset, at, r.Value)
			}
			at++
		}
		l.read[partition].Store(at)
	}
}

// awaitMore returns when every partition took and gave more records than it has now.
func (l *load) awaitMore(when string) {
	l.t.Helper()
	const more = 1000
	begun := time.Now()
	var goal []int64
	for i := range l.written {
		goal = append(goal, l.written[i].Load()+more)
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for i := range goal {
		for l.written[i].Load() < goal[i] || l.read[i].Load() < goal[i] {
			<-poll.C
			if l.t.Context().Err() != nil || l.t.Failed() || time.Since(begun) > 2*time.Minute {
				l.t.Fatalf("partition %d stands at %d written and %d read %s, wanted %d", i, l.written[i].Load(), l.read[i].Load(), when, goal[i])
			}
		}
	}
	l.t.Logf("%s: %d records more in %v; the longest acknowledgement so far took %v", when, more*len(goal),
		time.Since(begun).Round(time.Millisecond), time.Duration(l.longest.Load()).Round(time.Millisecond))
}

// finish stops the load and checks that the log holds what was acknowledged and no more.
func (l *load) finish() {
	l.t.Helper()
	for _, stop := range slices.Concat(l.stopWriters, l.stopReaders) {
		stop()
	}
	ranges, err := l.client.Offsets(l.t.Context(), clusterTopic)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := range l.written {
		if have := ranges[int32(i)].End; have != l.written[i].Load() {
			l.t.Errorf("partition %d holds %d records, %d were acknowledged", i, have, l.written[i].Load())
		}
		l.t.Logf("partition %d: %d acknowledged, 0 lost, 0 twice", i, ranges[int32(i)].End)
	}
}
