package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/lake"
)

const (
	// landingRowBytes is how small records may be on average, in bytes of value, before rows and not bytes start a commit: a
	// decoded row takes about a kilobyte however small its record.
	landingRowBytes = 336
	// landingFull is how many times these bounds may wait before the partitions have to: one share is being written while
	// the next is collected.
	landingFull = 2
	// retryMin and retryMax bound the pause after a failed commit.
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// errRewind means that the lake does not stand where this process thought: the partition reads again from the real fence.
var errRewind = errors.New("the lake has moved: read again from its fence")

// landing is the one committer of a process. Partitions hand over rows and how far they have read; every few seconds, or
// when enough has come together, all of it is committed as one. What was not committed when the process dies is read again.
type landing struct {
	lake     Lake
	interval time.Duration
	maxRows  int // either of these starts a commit before its time
	maxBytes int
	progress *progress
	log      *slog.Logger

	lookEvery time.Duration // movedInterval
	looked    time.Time

	turns  // commits; mu guards what follows
	parts  map[lake.FenceKey]*share
	rows   int
	bytes  int
	oldest time.Time // when the oldest waiting row was handed over; zero when none waits
}

// share is what waits of one partition: rows from offset from up to next.
type share struct {
	from, next int64
	hash       uint64
	events     []lake.EventRow
	exposures  []lake.ExposureRow
	items      []lake.ItemRow
	gaps       []lake.Gap
	rows       int
	bytes      int
	rewind     bool
}

func newLanding(l Lake, cfg Config, p *progress, log *slog.Logger) *landing {
	return &landing{lake: l, interval: cfg.CommitInterval, maxRows: cfg.CommitBytes / landingRowBytes, maxBytes: cfg.CommitBytes, progress: p, log: log, lookEvery: movedInterval, looked: time.Now(), turns: newTurns("landing"), parts: make(map[lake.FenceKey]*share)}
}

// begin takes a partition in at its fence. What was left of an earlier life of it is dropped.
func (l *landing) begin(key lake.FenceKey, from int64, hash uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(key)
	l.parts[key] = &share{from: from, next: from, hash: hash}
}

// end gives a partition up.
func (l *landing) end(key lake.FenceKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(key)
}

func (l *landing) drop(key lake.FenceKey) {
	if s, ok := l.parts[key]; ok {
		l.rows -= s.rows
		l.bytes -= s.bytes
		delete(l.parts, key)
		l.broadcast()
	}
}

// handover is what a partition adds: rows below next (in order), and the hash of the record before next. bytes is the size
// of their records. Where lost is set the log holds nothing below next any more, and that is why no rows come.
type handover struct {
	events    []lake.EventRow
	exposures []lake.ExposureRow
	items     []lake.ItemRow
	next      int64
	hash      uint64
	bytes     int
	lost      bool
}

// add takes rows over. Rows below what the partition has handed over before are left out: they have landed, or will. It
// waits while too much waits already, and fails with errRewind when the partition has to read again.
func (l *landing) add(ctx context.Context, key lake.FenceKey, h handover) error {
	for {
		l.mu.Lock()
		s, ok := l.parts[key]
		if !ok || s.rewind {
			l.mu.Unlock()
			return errRewind
		}
		if l.rows < landingFull*l.maxRows && l.bytes < landingFull*l.maxBytes {
			l.take(key, s, h)
			l.mu.Unlock()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take appends to a share. The caller holds mu.
func (l *landing) take(key lake.FenceKey, s *share, h handover) {
	if h.next <= s.next {
		return
	}
	if h.lost {
		s.gaps = append(s.gaps, lake.Gap{Topic: key.Topic, Epoch: key.Epoch, Partition: key.Partition, From: s.next, To: h.next, At: time.Now().UTC()})
	}
	rows := 0
	for _, r := range h.events {
		if r.At.Offset >= s.next {
			s.events = append(s.events, r)
			rows++
		}
	}
	for _, r := range h.exposures {
		if r.At.Offset >= s.next {
			s.exposures = append(s.exposures, r)
			rows++
		}
	}
	for _, r := range h.items {
		if r.At.Offset >= s.next {
			s.items = append(s.items, r)
			rows++
		}
	}
	s.next, s.hash = h.next, h.hash
	s.rows, s.bytes = s.rows+rows, s.bytes+h.bytes
	l.rows, l.bytes = l.rows+rows, l.bytes+h.bytes
	if l.oldest.IsZero() {
		l.oldest = time.Now()
	}
	if l.rows >= l.maxRows || l.bytes >= l.maxBytes {
		l.poke()
	}
}

// rewound reports whether the partition has to read again.
func (l *landing) rewound(key lake.FenceKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.parts[key]
	return !ok || s.rewind
}

// age is how long the oldest row has waited for its commit, 0 when none waits.
func (l *landing) age() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.oldest.IsZero() {
		return 0
	}
	return time.Since(l.oldest)
}

// run commits until ctx ends: what has not landed by then is read again at the next start. It ends early only if the lake
// cannot say where it stands.
func (l *landing) run(ctx context.Context) error { return l.every(ctx, l.interval, l.commit) }

// commit lands what waits now. A landing that the lake refuses for any reason but a moved fence is offered again: the
// commit may have happened, and only the same landing is recognised.
func (l *landing) commit(ctx context.Context) error {
	if err := l.lookMoved(ctx); err != nil && ctx.Err() == nil {
		l.log.Warn("the lake does not say where it stands; looking again later", "error", err)
	}
	in, shares := l.collect()
	pause := retryMin
	for len(in.Fences) > 0 {
		err := l.lake.Commit(ctx, in)
		if err == nil {
			break
		}
		var moved *lake.FenceMovedError
		if errors.As(err, &moved) {
			l.log.Warn("lake has moved, reading again from its fences", "error", err)
			l.rewind(shares)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, lake.ErrNoFence) {
			l.settle()
			return fmt.Errorf("land: %w", err)
		}
		l.log.Error("lake commit failed, trying again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			l.settle()
			return ctx.Err()
		}
		pause = min(2*pause, retryMax)
	}
	l.landed(in, shares)
	return nil
}

// collect takes what waits out of the shares and begins a turn.
func (l *landing) collect() (lake.Landing, map[lake.FenceKey]*share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	var in lake.Landing
	shares := make(map[lake.FenceKey]*share)
	for key, s := range l.parts {
		if s.rewind || s.next == s.from {
			continue
		}
		in.Events = append(in.Events, s.events...)
		in.Exposures = append(in.Exposures, s.exposures...)
		in.Items = append(in.Items, s.items...)
		in.Gaps = append(in.Gaps, s.gaps...)
		in.Fences = append(in.Fences, lake.Fence{Topic: key.Topic, Epoch: key.Epoch, Partition: key.Partition,
			From: s.from, Next: s.next, Hash: s.hash})
		shares[key] = s
	}
	return in, shares
}

// landed moves the shares behind what was committed and ends the turn. Rows that came meanwhile stay.
func (l *landing) landed(in lake.Landing, shares map[lake.FenceKey]*share) {
	events, exposures, items := countRows(in)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range in.Fences {
		s := shares[f.Key()]
		if l.parts[f.Key()] != s {
			continue // given up meanwhile
		}
		s.events = append([]lake.EventRow(nil), s.events[events[f.Key()]:]...)
		s.exposures = append([]lake.ExposureRow(nil), s.exposures[exposures[f.Key()]:]...)
		s.items = append([]lake.ItemRow(nil), s.items[items[f.Key()]:]...)
		s.gaps = slices.DeleteFunc(slices.Clone(s.gaps), func(g lake.Gap) bool { return g.To <= f.Next })
		rows := len(s.events) + len(s.exposures) + len(s.items)
		// Bytes are not known row by row; the average is near enough for a bound.
		bytes := 0
		if s.rows > 0 {
			bytes = s.bytes * rows / s.rows
		}
		l.rows, l.bytes = l.rows-s.rows+rows, l.bytes-s.bytes+bytes
		s.from, s.rows, s.bytes = f.Next, rows, bytes
		l.progress.update(partitionID{f.Topic, f.Partition}, func(at *standing) { at.landed = f.Next })
	}
	l.oldest = time.Time{}
	for _, s := range l.parts {
		if s.next > s.from && !s.rewind {
			l.oldest = time.Now()
		}
	}
	l.finish()
}

func countRows(in lake.Landing) (events, exposures, items map[lake.FenceKey]int) {
	events, exposures, items = make(map[lake.FenceKey]int), make(map[lake.FenceKey]int), make(map[lake.FenceKey]int)
	of := func(at lake.Position) lake.FenceKey {
		return lake.FenceKey{Topic: at.Topic, Epoch: at.Epoch, Partition: at.Partition}
	}
	for _, r := range in.Events {
		events[of(r.At)]++
	}
	for _, r := range in.Exposures {
		exposures[of(r.At)]++
	}
	for _, r := range in.Items {
		items[of(r.At)]++
	}
	return events, exposures, items
}

// rewind drops what the shares hold and sends their partitions back, and ends the turn.
func (l *landing) rewind(shares map[lake.FenceKey]*share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, s := range shares {
		if l.parts[key] != s {
			continue
		}
		l.sendBack(s)
	}
	l.finish()
}

// sendBack drops what a share holds and has its partition read again from the fence. The caller holds mu.
func (l *landing) sendBack(s *share) {
	l.rows -= s.rows
	l.bytes -= s.bytes
	*s = share{rewind: true}
}

// retire drops what waits of earlier epochs of a topic and sends their partitions back: they read on in the epoch that
// runs now.
func (l *landing) retire(topic string, epoch int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, s := range l.parts {
		if key.Topic == topic && key.Epoch < epoch && !s.rewind {
			l.rows -= s.rows
			l.bytes -= s.bytes
			l.parts[key] = &share{rewind: true} // a commit that is under way knows the old one, and leaves this alone
			l.broadcast()
		}
	}
}

// settle ends a turn that came to nothing.
func (l *landing) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish()
}
