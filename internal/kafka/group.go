package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

const (
	// DefaultSessionTimeout is how long a silent member keeps its partitions. A revoked handler has to flush well within
	// it, because heartbeats stop first.
	DefaultSessionTimeout = 30 * time.Second
	// DefaultHeartbeatInterval is how soon a member notices a rebalance.
	DefaultHeartbeatInterval = time.Second
	// joinBackoff is the pause after a failed join.
	joinBackoff = 500 * time.Millisecond
	// commitInterval is how often offsets are committed. They feed lag displays only.
	commitInterval = time.Second
)

// GroupConfig names a consumer group. Zero durations have their defaults.
type GroupConfig struct {
	Group             string
	Topics            []string
	SessionTimeout    time.Duration
	HeartbeatInterval time.Duration
	// Held says for which partitions this process holds state, by topic; they are given to it before others as far as an
	// even share allows. It is called at every rebalance. nil holds nothing.
	Held func() map[string][]int32
	Log  *slog.Logger // rebalances and failed commits; nil is silent
}

// Handler processes one partition until ctx ends, which is when the partition is revoked or Run is asked to stop, and
// then flushes and returns; until it returns no other member gets the partition. Where to start reading is the
// handler's knowledge. commit notes the next offset to read for lag displays; it never blocks. An error stops the group.
type Handler func(ctx context.Context, topic string, partition int32, commit func(next int64)) error

// Group is a member of a consumer group. It uses the group for assignments only: handlers fetch for themselves.
type Group struct {
	client   *Client
	cfg      GroupConfig
	balancer *stickyBalancer
}

// NewGroup returns a member that joins when Run is called.
func NewGroup(c *Client, cfg GroupConfig) *Group {
	if cfg.SessionTimeout <= 0 {
		cfg.SessionTimeout = DefaultSessionTimeout
	}
	if cfg.HeartbeatInterval <= 0 {
		cfg.HeartbeatInterval = DefaultHeartbeatInterval
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Group{client: c, cfg: cfg, balancer: &stickyBalancer{held: cfg.Held}}
}

// Run joins the group and runs handle in one goroutine per assigned partition, again after every rebalance. It returns
// nil after ctx has ended, all handlers have returned and the group was left, or the first error of a handler, or why
// the group could not be joined for a minute.
func (g *Group) Run(ctx context.Context, handle Handler) error {
	cg, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID:                g.cfg.Group,
		Brokers:           g.client.cfg.Brokers,
		Dialer:            g.client.dialer(),
		Topics:            g.cfg.Topics,
		GroupBalancers:    []kafkago.GroupBalancer{g.balancer},
		HeartbeatInterval: g.cfg.HeartbeatInterval,
		SessionTimeout:    g.cfg.SessionTimeout,
		RebalanceTimeout:  g.cfg.SessionTimeout,
		JoinGroupBackoff:  joinBackoff,
	})
	if err != nil {
		return fmt.Errorf("configure group %s: %w", g.cfg.Group, err)
	}
	joining, stop := context.WithCancel(ctx)
	defer stop()
	failed := &failure{stop: stop}
	err = g.follow(joining, cg, handle, failed)
	// Close waits for the handlers of the running generation, then leaves, so that the others need no session timeout.
	if cerr := cg.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("leave group %s: %w", g.cfg.Group, cerr)
	}
	if failed.err != nil {
		return failed.err
	}
	return err
}

// failure keeps the first error of a handler and stops the membership.
type failure struct {
	once sync.Once
	err  error // read after the handlers have ended
	stop context.CancelFunc
}

func (f *failure) set(err error) {
	f.once.Do(func() {
		f.err = err
		f.stop()
	})
}

// follow starts every generation of the group until ctx ends or the group refuses. While no broker answers it goes on trying:
// nobody else could do better, and what it has lies where the next generation finds it.
func (g *Group) follow(ctx context.Context, cg *kafkago.ConsumerGroup, handle Handler, failed *failure) error {
	var troubleSince time.Time
	for {
		gen, err := cg.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // stopped as asked, which is what err says too
		case err == nil:
			troubleSince = time.Time{}
			g.start(ctx, gen, handle, failed)
		case !Transient(err):
			return fmt.Errorf("join group %s: %w", g.cfg.Group, g.client.explain(err))
		case troubleSince.IsZero():
			troubleSince = time.Now()
		case time.Since(troubleSince) > retryFor:
			g.cfg.Log.Error("the group cannot be joined; trying on", "group", g.cfg.Group, "for", retryFor, "error", g.client.explain(err))
			troubleSince = time.Now()
		}
	}
}

// start runs the handlers of one generation under its supervision: the generation does not end before they return.
func (g *Group) start(ctx context.Context, gen *kafkago.Generation, handle Handler, failed *failure) {
	if shared := g.balancer.took(gen); shared != nil {
		gen.Start(func(ctx context.Context) { g.watchPartitions(ctx, shared) })
	}
	g.cfg.Log.Info("joined consumer group", "group", g.cfg.Group, "generation", gen.ID, "assigned", assigned(gen))
	gen.Start(func(ended context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(ended, cancel)()

		commits := &commits{next: make(map[string]map[int]int64)}
		flushed := make(chan struct{})
		committed := make(chan struct{})
		go func() {
			defer close(committed)
			g.commitLoop(gen, commits, flushed)
		}()
		err := runHandlers(ctx, gen, handle, commits)
		if err == nil {
			<-ctx.Done() // a member whose handlers are all done keeps its place: returning would end the generation
		}
		close(flushed)
		<-committed
		if err != nil {
			failed.set(err)
		}
	})
}

// watchPartitions returns when a topic has other partitions than the leader has shared, or ctx ends. With it the generation
// ends, and all are shared anew. The library's own watch compares with what there is when it begins, which is after the
// sharing: partitions that come in between would be nobody's for ever.
func (g *Group) watchPartitions(ctx context.Context, shared map[string]int) {
	tick := time.NewTicker(partitionsRefresh) // longer than the client remembers the layout that was there before
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, topic := range g.cfg.Topics {
			have, err := g.client.partitions(ctx, topic)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				g.cfg.Log.Warn("look for new partitions", "group", g.cfg.Group, "topic", topic, "error", err)
			case int(have) != shared[topic]:
				g.cfg.Log.Info("a topic has changed, sharing its partitions anew", "group", g.cfg.Group, "topic", topic, "had", shared[topic], "has", have)
				return
			}
		}
	}
}

// runHandlers runs one handler per assigned partition and answers the first error when all have returned.
func runHandlers(ctx context.Context, gen *kafkago.Generation, handle Handler, commits *commits) error {
	handlers, handlerCtx := errgroup.WithContext(ctx)
	for topic, partitions := range gen.Assignments {
		for _, a := range partitions {
			partition := int32(a.ID)
			handlers.Go(func() error {
				err := handle(handlerCtx, topic, partition, func(next int64) { commits.note(topic, partition, next) })
				if err == nil || handlerCtx.Err() != nil && errors.Is(err, context.Canceled) {
					return nil // stopped as asked
				}
				return fmt.Errorf("partition %s/%d: %w", topic, partition, err)
			})
		}
	}
	return handlers.Wait()
}

// commitLoop commits what the handlers noted, once a second and a last time after they have returned.
func (g *Group) commitLoop(gen *kafkago.Generation, commits *commits, stop <-chan struct{}) {
	ticker := time.NewTicker(commitInterval)
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-ticker.C:
		case <-stop:
			last = true
		}
		if err := gen.CommitOffsets(commits.take()); err != nil {
			g.cfg.Log.Warn("commit offsets", "group", g.cfg.Group, "error", err)
		}
	}
}

// commits collects the newest offsets since the last commit.
type commits struct {
	mu   sync.Mutex
	next map[string]map[int]int64 // topic, partition
}

func (c *commits) note(topic string, partition int32, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next[topic] == nil {
		c.next[topic] = make(map[int]int64)
	}
	c.next[topic][int(partition)] = next
}

func (c *commits) take() map[string]map[int]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := maps.Clone(c.next)
	clear(c.next)
	return out
}

// assigned counts the partitions of a generation by topic.
func assigned(gen *kafkago.Generation) map[string]int {
	n := make(map[string]int, len(gen.Assignments))
	for topic, partitions := range gen.Assignments {
		n[topic] = len(partitions)
	}
	return n
}
