package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// simOffsets is how far the first offsets of two partitions of events are from each other, so that an offset tells its
// partition.
const simOffsets = 1 << 20

// simEpoch is the epoch of every topic: taken over when its logs began where they do.
const simEpoch = 2

func eventPartition(number int32) partitionID { return partitionID{event.TopicEvents, number} }

// start is the first offset of a partition.
func (id partitionID) start() int64 {
	if id.topic != event.TopicEvents {
		return 0
	}
	return int64(id.partition) * simOffsets
}

// simLog is the model of a Kafka cluster's logs.
type simLog struct {
	plan plan

	mu      sync.Mutex
	parts   map[partitionID][]kafka.Record
	changed chan struct{} // closed and replaced when a log grows
}

func newSimLog(p plan) *simLog {
	l := &simLog{plan: p, parts: make(map[partitionID][]kafka.Record), changed: make(chan struct{})}
	for topic, n := range map[string]int32{event.TopicEvents: simEventPartitions, event.TopicExposures: simExposurePartitions,
		event.TopicDead: 1, event.TopicFeatures: simEventPartitions, event.TopicSessions: 1} {
		for number := range n {
			l.parts[partitionID{topic, number}] = nil
		}
	}
	return l
}

func (l *simLog) partitions(topic string) (n int32) {
	for id := range l.parts {
		if id.topic == topic {
			n++
		}
	}
	return n
}

func (l *simLog) append(records ...kafka.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		if r.Partition < 0 {
			r.Partition = kafka.PartitionFor(r.Key, l.partitions(r.Topic))
		}
		id := partitionID{r.Topic, r.Partition}
		r.Offset = id.start() + int64(len(l.parts[id]))
		l.parts[id] = append(l.parts[id], r)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// records returns what stands in a partition.
func (l *simLog) records(id partitionID) []kafka.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.parts[id])
}

// Offsets implements Log.
func (l *simLog) Offsets(_ context.Context, topic string) (map[int32]kafka.OffsetRange, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ranges := make(map[int32]kafka.OffsetRange)
	for id, records := range l.parts {
		if id.topic == topic {
			ranges[id.partition] = kafka.OffsetRange{Start: id.start(), End: id.start() + int64(len(records))}
		}
	}
	return ranges, nil
}

// Fetch implements Log. How many records come at once depends on the seed, so that batches end anywhere.
func (l *simLog) Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error) {
	deadline := time.After(kafka.DefaultMaxWait)
	id := partitionID{r.Topic, r.Partition}
	for last := false; ; {
		l.mu.Lock()
		records, changed := l.parts[id], l.changed
		l.mu.Unlock()
		start := id.start()
		end := start + int64(len(records))
		if r.Offset < start {
			return kafka.FetchResult{}, &kafka.ErrBelowStart{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Start: start}
		}
		if r.Offset > end {
			return kafka.FetchResult{}, &kafka.ErrAboveEnd{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, End: end}
		}
		if r.Offset < end || last {
			next := min(end, r.Offset+1+int64(l.plan.draw(30, "fetch", id, r.Offset)))
			return kafka.FetchResult{Records: slices.Clone(records[r.Offset-start : next-start]), Next: next, End: end}, nil
		}
		select {
		case <-changed:
		case <-deadline:
			last = true
		case <-ctx.Done():
			return kafka.FetchResult{}, ctx.Err()
		}
	}
}

const (
	// simSession is how long a member may be silent before the group gives its partitions away.
	simSession = 10 * time.Second
	// simHeartbeat is how late a member may notice that the group has moved on.
	simHeartbeat = 3 * time.Second
)

// simGroup is the model of a consumer group: whoever joins, leaves or is silent makes it deal the partitions again. Members
// drain first, but nobody waits longer than a session for them.
type simGroup struct {
	plan plan

	mu      sync.Mutex
	members map[*simMember]bool // value: waits for the next generation
	number  int
	dealing *time.Timer // runs while the group waits for its members; nil otherwise
}

// simMember is one life of a process in the group.
type simMember struct {
	group *simGroup
	link  *simLink

	mine  chan []partitionID // the next generation
	ended chan struct{}      // closed when the current generation is over
}

func (g *simGroup) member(link *simLink) *simMember {
	return &simMember{group: g, link: link, mine: make(chan []partitionID, 1)}
}

// rebalance ends the current generation.
func (g *simGroup) rebalance() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begin()
}

// begin ends the generation and deals when all members wait, or when the session of those who do not is over. The caller
// holds mu.
func (g *simGroup) begin() {
	for m := range g.members {
		m.end()
	}
	if g.dealing == nil {
		round := g.number
		g.dealing = time.AfterFunc(simSession, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.dealing == nil || g.number != round {
				return // all came at the last moment
			}
			for m, waits := range g.members {
				if !waits {
					delete(g.members, m)
				}
			}
			g.deal()
		})
	}
}

func (m *simMember) end() {
	if m.ended != nil {
		close(m.ended)
		m.ended = nil
	}
}

// deal gives the partitions to the members, who all wait. The caller holds mu.
func (g *simGroup) deal() {
	if g.dealing == nil {
		return
	}
	for _, waits := range g.members {
		if !waits {
			return
		}
	}
	g.dealing.Stop()
	g.dealing = nil
	if len(g.members) == 0 {
		return
	}
	g.number++
	members := make([]*simMember, 0, len(g.members))
	for m := range g.members {
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b *simMember) int { return a.link.process.id - b.link.process.id })
	r := rand.New(rand.NewPCG(g.plan.seed, uint64(g.number)))
	mine := make([][]partitionID, len(members))
	for _, topic := range Topics() {
		n := map[string]int32{event.TopicEvents: simEventPartitions, event.TopicExposures: simExposurePartitions}[topic]
		for number := range n {
			i := r.IntN(len(members))
			mine[i] = append(mine[i], partitionID{topic, number})
		}
	}
	for i, m := range members {
		g.members[m] = false
		m.ended = make(chan struct{})
		m.mine <- mine[i]
	}
}

// evict takes a member for dead. One that is just joining is alive.
func (g *simGroup) evict(m *simMember) {
	g.mu.Lock()
	waits := g.members[m]
	g.mu.Unlock()
	if !waits {
		g.remove(m)
	}
}

func (g *simGroup) remove(m *simMember) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.members[m]; known {
		delete(g.members, m)
		m.end()
		g.begin()
		g.deal()
	}
}

// await joins, or says that the old generation is drained, and returns the next one and what ends it.
func (m *simMember) await(ctx context.Context) (mine []partitionID, ended chan struct{}, err error) {
	g := m.group
	g.mu.Lock()
	if _, known := g.members[m]; !known || g.dealing == nil {
		g.members[m] = true
		g.begin()
	}
	g.members[m] = true
	g.deal()
	g.mu.Unlock()
	select {
	case mine = <-m.mine:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.ended == nil { // over already
		m.ended = make(chan struct{})
		defer m.end()
	}
	return mine, m.ended, nil
}

// Run implements Assigner.
func (m *simMember) Run(ctx context.Context, handle kafka.Handler) error {
	defer m.leave()
	for {
		mine, ended, err := m.await(ctx)
		if err != nil {
			return nil //nolint:nilerr // stopped as asked
		}
		if err := m.generation(ctx, mine, ended, handle); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (m *simMember) leave() {
	if !m.link.isDead() { // the dead do not say goodbye
		m.group.remove(m)
		return
	}
	time.AfterFunc(simSession, func() { m.group.remove(m) })
}

// generation runs the handlers until the generation ends, which the member notices at its next heartbeat.
func (m *simMember) generation(ctx context.Context, mine []partitionID, ended chan struct{}, handle kafka.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ended:
			wait(time.Duration(m.group.plan.draw(int(simHeartbeat), "heartbeat", m.link.process.id, mine)))
			m.link.standStill()
			cancel()
		case <-ctx.Done():
		}
	}()
	handlers, handlerCtx := errgroup.WithContext(ctx)
	for _, id := range mine {
		handlers.Go(func() error {
			err := handle(handlerCtx, id.topic, id.partition, func(next int64) { m.link.world.hints.note(id, next) })
			if err == nil || handlerCtx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return fmt.Errorf("partition %s/%d: %w", id.topic, id.partition, err)
		})
	}
	err := handlers.Wait()
	if err == nil {
		<-ctx.Done()
	}
	cancel()
	<-watched
	return err
}

// simHints are the offsets that the members commit to the group.
type simHints struct {
	mu   sync.Mutex
	next map[partitionID]int64
}

func (h *simHints) note(id partitionID, next int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next[id] = next
}
