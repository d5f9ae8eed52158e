package kafka_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// owners records who holds which partition, and fails when two hold the same.
type owners struct {
	tb      testing.TB
	mu      sync.Mutex
	cond    *sync.Cond
	holder  map[int32]string
	handled map[string]int // handlers started by member
}

func newOwners(tb testing.TB) *owners {
	o := &owners{tb: tb, holder: make(map[int32]string), handled: make(map[string]int)}
	o.cond = sync.NewCond(&o.mu)
	return o
}

func (o *owners) take(member string, partition int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if other := o.holder[partition]; other != "" {
		o.tb.Errorf("partition %d is taken by %s while %s holds it", partition, member, other)
	}
	o.holder[partition] = member
	o.handled[member]++
	o.cond.Broadcast()
}

func (o *owners) release(partition int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.holder, partition)
	o.cond.Broadcast()
}

// await blocks until the partitions are held as want says, by member.
func (o *owners) await(want map[string]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		have := make(map[string]int)
		for _, m := range o.holder {
			have[m]++
		}
		same := len(have) == len(want)
		for m, n := range want {
			same = same && have[m] == n
		}
		if same {
			return
		}
		o.cond.Wait()
	}
}

// awaitHandled blocks until a member has started that many handlers in all.
func (o *owners) awaitHandled(member string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.handled[member] < n {
		o.cond.Wait()
	}
}

func (o *owners) handler(member string) kafka.Handler {
	return func(ctx context.Context, _ string, partition int32, commit func(int64)) error {
		o.take(member, partition)
		defer o.release(partition)
		<-ctx.Done()
		commit(100 + int64(partition)) // the flush window: after ctx, before return
		return nil
	}
}

func group(c *kafka.Client, name, topic string) *kafka.Group {
	return kafka.NewGroup(c, kafka.GroupConfig{Group: name, Topics: []string{topic}, HeartbeatInterval: 100 * time.Millisecond})
}

// A second member gets its share only after the first has let go, and the first takes it back when the second leaves.
func testGroupRebalance(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "group-rebalance", 4)
	o := newOwners(t)
	run := func(member string) (stop func()) {
		return kafkatest.Run(t, func(ctx context.Context) error {
			return group(c, "rebalance", "group-rebalance").Run(ctx, o.handler(member))
		})
	}
	stopA := run("a")
	o.await(map[string]int{"a": 4})
	stopB := run("b")
	o.await(map[string]int{"a": 2, "b": 2})
	stopB()
	o.await(map[string]int{"a": 4})
	stopA()
	o.await(map[string]int{})

	committed, err := c.Committed(t.Context(), "rebalance", "group-rebalance")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(4) {
		if committed[p] != 100+int64(p) {
			t.Errorf("partition %d: committed %d in the flush window, want %d", p, committed[p], 100+p)
		}
	}
}

// A handler's error stops its neighbours and Run, which returns it.
func testGroupHandlerError(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "group-error", 3)
	boom := errors.New("boom")
	stopped := make(chan int32, 3)
	err := group(c, "error", "group-error").Run(t.Context(), func(ctx context.Context, _ string, p int32, _ func(int64)) error {
		if p == 1 {
			return boom
		}
		<-ctx.Done()
		stopped <- p
		return ctx.Err()
	})
	if !errors.Is(err, boom) {
		t.Fatalf("Run returned %v, want the handler's error", err)
	}
	if len(stopped) != 2 {
		t.Fatalf("%d neighbours had stopped when Run returned, want 2", len(stopped))
	}
}

// Partitions go where their state is, whoever joins first.
func testGroupSticky(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "group-sticky", 4)
	o := newOwners(t)
	for member, held := range map[string][]int32{"a": {1, 3}, "b": {0, 2}} {
		g := kafka.NewGroup(c, kafka.GroupConfig{
			Group: "sticky", Topics: []string{"group-sticky"}, HeartbeatInterval: 50 * time.Millisecond,
			Held: func() map[string][]int32 { return map[string][]int32{"group-sticky": held} },
		})
		kafkatest.Run(t, func(ctx context.Context) error { return g.Run(ctx, o.handler(member)) })
	}
	o.await(map[string]int{"a": 2, "b": 2})
	o.mu.Lock()
	defer o.mu.Unlock()
	if want := map[int32]string{0: "b", 1: "a", 2: "b", 3: "a"}; !maps.Equal(o.holder, want) {
		t.Errorf("partitions are held by %v, want %v", o.holder, want)
	}
}
