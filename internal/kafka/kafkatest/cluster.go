package kafkatest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// LongEnv names the variable that turns on the suites that take minutes; `make test-long` sets it.
const LongEnv = "MILLRACE_TEST_LONG"

const (
	// inSyncTimeout bounds how long replicas may take to catch up after a restart; alone it takes 10 seconds.
	inSyncTimeout = 3 * time.Minute
	// pollInterval is how often the brokers are asked whether they are there yet.
	pollInterval = 100 * time.Millisecond
	// Ports are taken from below the range that outgoing connections use (32768 and up): such a connection could sit on
	// the port of a broker that is down when it comes back.
	firstPort, lastPort = 20_000, 32_000
)

// Long skips a test that takes minutes unless they were asked for.
func Long(tb testing.TB) {
	tb.Helper()
	if os.Getenv(LongEnv) == "" {
		tb.Skipf("takes minutes: `make test-long` runs it (%s is not set)", LongEnv)
	}
}

// Cluster is a real Apache Kafka of several brokers, each a process that is broker and controller. Topics have a
// replica on each of them and take writes while all but one are in sync. Its methods take brokers by index from 0.
type Cluster struct {
	tb    testing.TB
	nodes []*node
}

// RealCluster starts n brokers and returns when all take part. It skips or fails like Real, and ends with the test.
func RealCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb}
	for range n {
		c.nodes = append(c.nodes, newNode(tb))
	}
	var formats errgroup.Group
	for i, node := range c.nodes {
		formats.Go(func() error { return node.format(c.properties(i)) })
	}
	if err := formats.Wait(); err != nil {
		tb.Fatal(err)
	}
	for i, node := range c.nodes {
		tb.Cleanup(node.cleanUp)
		c.Start(i)
	}
	awaitReady(tb, Dial(tb, c.Addrs()))
	c.AwaitInSync()
	return c
}

// Addrs are the addresses of all brokers, running or not.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = n.addr
	}
	return addrs
}

// Kill ends a broker as a power cut would, but for the page cache (SIGKILL).
func (c *Cluster) Kill(i int) { c.nodes[i].kill() }

// Start starts a broker that was killed and returns at once; AwaitInSync says when it takes part again.
func (c *Cluster) Start(i int) {
	c.tb.Helper()
	c.nodes[i].start()
}

// Pause freezes a broker with its connections open (SIGSTOP): it neither answers nor refuses.
func (c *Cluster) Pause(i int) {
	c.tb.Helper()
	c.nodes[i].signal(syscall.SIGSTOP)
}

// Resume lets a paused broker go on (SIGCONT).
func (c *Cluster) Resume(i int) {
	c.tb.Helper()
	c.nodes[i].signal(syscall.SIGCONT)
}

// AwaitInSync returns when every partition of every topic has all of its replicas in sync, so that any broker may go
// next.
func (c *Cluster) AwaitInSync() {
	c.tb.Helper()
	c.await("all replicas in sync", func(m *kmsg.MetadataResponse) bool {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if p.Leader < 0 || len(p.ISR) < len(c.nodes) {
					return false
				}
			}
		}
		return len(m.Brokers) == len(c.nodes)
	})
}

// Leader is the index of the broker that leads a partition. It waits for one.
func (c *Cluster) Leader(topic string, partition int32) (leader int) {
	c.tb.Helper()
	c.await(fmt.Sprintf("a leader of %s/%d", topic, partition), func(m *kmsg.MetadataResponse) bool {
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if *t.Topic == topic && p.Partition == partition && p.Leader > 0 {
					leader = int(p.Leader) - 1 // node ids start at 1
					return true
				}
			}
		}
		return false
	})
	return leader
}

// await asks the brokers until what they say of the cluster is as wanted.
func (c *Cluster) await(what string, wanted func(*kmsg.MetadataResponse) bool) {
	c.tb.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		c.tb.Fatal(err)
	}
	defer client.Close()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	limit := time.After(inSyncTimeout)
	for {
		res, err := kmsg.NewPtrMetadataRequest().RequestWith(c.tb.Context(), client)
		if err == nil && wanted(res) {
			return
		}
		select {
		case <-poll.C:
		case <-c.tb.Context().Done():
			c.tb.Fatalf("wait for %s: %v", what, c.tb.Context().Err())
		case <-limit:
			c.tb.Fatalf("no %s after %v: %+v, %v", what, inSyncTimeout, res, err)
		}
	}
}

func (c *Cluster) properties(i int) string {
	voters := make([]string, len(c.nodes))
	for j, n := range c.nodes {
		voters[j] = fmt.Sprintf("%d@%s", j+1, n.controller)
	}
	n, replicas, inSync := c.nodes[i], len(c.nodes), max(1, len(c.nodes)-1)
	return fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=PLAINTEXT://%[3]s,CONTROLLER://%[4]s
advertised.listeners=PLAINTEXT://%[3]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[5]s
auto.create.topics.enable=false
default.replication.factor=%[6]d
min.insync.replicas=%[7]d
offsets.topic.replication.factor=%[6]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=%[6]d
transaction.state.log.min.isr=%[7]d
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=500
`, i+1, strings.Join(voters, ","), n.addr, n.controller, n.path("data"), replicas, inSync)
}

// freeAddr finds a loopback address that was free a moment ago: Kafka cannot be given port 0, since it advertises the
// port it is configured with.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	for {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.N(lastPort-firstPort))
		ln, err := lc.Listen(tb.Context(), "tcp", addr)
		if err == nil {
			_ = ln.Close() // it was only a question
			return addr
		}
		if tb.Context().Err() != nil {
			tb.Fatal(err)
		}
	}
}
