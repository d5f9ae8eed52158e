package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// batchRecords is how many records are applied in one state batch at most. A batch is what was fetched; only a backlog makes
// it so large, and then rows that several of its events change are written once.
const batchRecords = 16_000

// partition is one partition of the events topic while this process owns it. One goroutine runs it.
type partition struct {
	s       *Stream
	number  int32
	origin  origin
	db      *state.DB
	applier *applier
	commit  func(next int64)
	basis   basis // what its state was made for; Stream.mu guards it and claim, because others look
	claim   int64 // under which this process speaks for the state
	// quiet takes functions that must see the partition between two batches; done is closed when nobody takes them. A
	// function that leaves the partition unfit to go on sets failed.
	quiet  chan func(context.Context)
	done   chan struct{}
	failed error

	checkpoint    checkpoint
	upload        upload
	republication republication
	closer        closer
	catchUp       *state.CatchingUp // until the log was read to its end once
	// halfway is true while a committed batch is not wholly published. It stays true when that fails, and then the outbox
	// must not be dropped.
	halfway bool
}

// errOtherEpoch means that the topic has another epoch than a state was made for.
var errOtherEpoch = errors.New("the topic is in another epoch")

// handleEvents owns a partition of the events topic until ctx ends, from epoch to epoch.
func (s *Stream) handleEvents(ctx context.Context, number int32, commit func(next int64)) error {
	if err := s.awaitPartition(ctx, partitionID{event.TopicEvents, number}); err != nil {
		return err
	}
	for {
		if err := s.ownPartition(ctx, number, commit); !errors.Is(err, errOtherEpoch) {
			return err
		}
		s.log.Info("the topic is in another epoch, opening the partition again", "topic", event.TopicEvents, "partition", number)
	}
}

// ownPartition opens the state of a partition and works until ctx ends or the topic's next epoch begins (errOtherEpoch).
func (s *Stream) ownPartition(ctx context.Context, number int32, commit func(next int64)) (err error) {
	id := partitionID{event.TopicEvents, number}
	leave, err := s.takePlace(ctx, number)
	if err != nil {
		return err
	}
	defer leave()
	catchUp := s.deps.CatchUp.Begin()
	defer catchUp.End()
	opened := sync.OnceFunc(s.sweeper.opens())
	defer opened()
	db, made, err := s.openState(ctx, number)
	if err != nil {
		return err
	}
	p := &partition{s: s, number: number, db: db, basis: made, commit: commit, catchUp: catchUp, quiet: make(chan func(context.Context)), done: make(chan struct{})}
	defer func() {
		if p.db != nil { // the state that is in force by then
			err = errors.Join(err, p.db.Close())
		}
	}()
	p.checkpoint = newCheckpoint(s, db)
	if p.upload, err = newUpload(ctx, p); err != nil {
		return err
	}
	defer func() { p.upload.stop() }()
	defer close(p.done)
	sweep, err := p.publishState(ctx)
	if err != nil {
		return err
	}
	if s.own(number, p); sweep {
		s.sweeper.want(number)
	}
	opened()
	defer func() {
		s.own(number, nil)
		s.sweeper.done(number)
		s.landing.end(p.origin.fenceKey())
		s.progress.drop(id)
		s.metrics.lag.drop(id)
	}()
	for ctx.Err() == nil {
		if err = p.begin(ctx, id); err != nil {
			break
		}
		if err = p.loop(ctx); !errors.Is(err, errRewind) {
			break
		}
	}
	p.republication.end()
	if p.failed != nil || err != nil && ctx.Err() == nil {
		p.checkpoint.wait()
		return err
	}
	p.drain(ctx)
	return nil
}

// drain lands and publishes what was applied, so that the next owner has little to read again. A failure costs only that,
// and is therefore no error.
func (p *partition) drain(ctx context.Context) {
	began := time.Now()
	p.checkpoint.wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.s.drainTimeout)
	defer cancel()
	p.upload.beginLast(ctx) // beside the rest: a lake or Kafka that is away takes all the time there is
	err := p.s.landing.flush(ctx)
	if !p.halfway {
		err = errors.Join(err, p.checkpoint.make(ctx))
	}
	p.upload.finish(ctx)
	p.s.flushed(p.origin.id, began, err)
}

// flushed tells how giving a partition up went.
func (s *Stream) flushed(id partitionID, began time.Time, err error) {
	log := s.log.With("topic", id.topic, "partition", id.partition, "took", time.Since(began))
	if err != nil {
		log.Warn("a partition was not flushed; its next owner reads a little again", "error", err)
		return
	}
	log.Debug("a partition is flushed and given up")
}

// ask runs f in the partition's goroutine, between two batches, when all that was applied is published, and returns what it
// returns. It fails with ErrNotOwned when the partition is given up first.
func (p *partition) ask(ctx context.Context, f func(context.Context) error) (err error) {
	taken := make(chan struct{})
	select {
	case p.quiet <- func(ctx context.Context) { err = f(ctx); close(taken) }:
		<-taken
		return err
	case <-p.done:
		return fmt.Errorf("partition %d: %w", p.number, ErrNotOwned)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// own publishes which partition this process runs, for Verify; nil takes it back.
func (s *Stream) own(number int32, p *partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil {
		delete(s.open, number)
		return
	}
	s.open[number] = p
}

// begin finds where to read on: at the smaller of what was applied and what has landed.
func (p *partition) begin(ctx context.Context, id partitionID) error {
	o, err := p.s.origin(ctx, id, lake.TableEvents)
	if err != nil {
		return err
	}
	if o.epoch != p.basis.Epoch {
		return errOtherEpoch
	}
	p.origin = o
	if p.applier, err = p.s.newApplier(p.db, id.partition); err != nil {
		return err
	}
	position, known, err := p.db.Position()
	if err != nil {
		return err
	}
	applied, err := p.s.appliedFrom(ctx, o, position, known)
	if err != nil {
		return err
	}
	p.s.log.Debug("a partition is taken over", "topic", id.topic, "partition", id.partition, "epoch", o.epoch, "applied", applied, "landed", o.landed.Offset)
	p.s.landing.begin(o.fenceKey(), o.landed.Offset, o.landed.Hash)
	p.s.progress.update(id, func(at *standing) { *at = standing{applied: applied, landed: o.landed.Offset, end: o.log.End} })
	return nil
}

// loop fetches and processes until ctx ends, the lake moves away (errRewind), or something is out of order.
func (p *partition) loop(ctx context.Context) error {
	id := p.origin.id
	var next int64
	p.s.progress.update(id, func(at *standing) { next = min(at.applied, at.landed) })
	for {
		if err := p.between(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		res, err := p.s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: id.topic, Partition: id.partition, Offset: next, Budget: p.s.fetches})
		var below *kafka.ErrBelowStart
		switch {
		case ctx.Err() != nil:
			res.Release()
			return nil
		case errors.As(err, &below):
			if err := p.s.skip(ctx, p.origin, next, below.Start); err != nil {
				return err
			}
			next = below.Start
			continue
		case err != nil:
			return err
		}
		err = p.processAll(ctx, next, res)
		next = res.Next
		res.Release() // decoded events are copies, and the letters are written
		if err != nil {
			return err
		}
	}
}

// processAll processes what was fetched from an offset on.
func (p *partition) processAll(ctx context.Context, from int64, res kafka.FetchResult) error {
	id := p.origin.id
	for done := 0; done < len(res.Records); {
		p.s.metrics.lag.set(id, behind(res, done))
		n, err := p.process(ctx, res.Records[done:min(len(res.Records), done+batchRecords)])
		if err != nil {
			return err
		}
		done += n
		if err := p.between(ctx); err != nil {
			return err
		}
	}
	if err := p.passed(ctx, from, res); err != nil {
		return err
	}
	if p.closer.caughtUp = res.Next >= res.End; p.closer.caughtUp {
		p.catchUp.End()
	}
	p.s.metrics.lag.set(id, behind(res, len(res.Records)))
	return nil
}

// passed notes how far a fetch has come, also where the log holds nothing for us.
func (p *partition) passed(ctx context.Context, from int64, res kafka.FetchResult) error {
	if res.Next == from {
		return nil
	}
	if n := len(res.Records); n == 0 || res.Records[n-1].Offset+1 < res.Next {
		if err := p.s.landing.add(ctx, p.origin.fenceKey(), handover{next: res.Next}); err != nil {
			return err
		}
	}
	p.s.progress.update(p.origin.id, func(at *standing) { at.applied, at.end = max(at.applied, res.Next), res.End })
	return nil
}

// skip passes over offsets that are gone: it counts and reports them, and lets the lake keep a mark.
func (s *Stream) skip(ctx context.Context, o origin, from, to int64) error {
	s.log.Error("events are lost: retention removed them before they were read", "topic", o.id.topic, "partition", o.id.partition,
		"from", from, "to", to, "lost", to-from)
	s.progress.lose(to - from)
	s.metrics.lost.WithLabelValues(o.id.topic, strconv.Itoa(int(o.id.partition))).Add(float64(to - from))
	if err := s.landing.add(ctx, o.fenceKey(), handover{next: to, lost: true}); err != nil {
		return err
	}
	s.progress.update(o.id, func(at *standing) { at.applied = max(at.applied, to) })
	return nil
}

// between does what must happen between two batches: answer who waits for quiet, notice that the lake has moved or that the
// online store was lost, and make a checkpoint when it is time.
func (p *partition) between(ctx context.Context) error {
	select {
	case f := <-p.quiet:
		if f(ctx); p.failed != nil {
			return p.failed
		}
	default:
	}
	if p.s.landing.rewound(p.origin.fenceKey()) {
		return errRewind
	}
	if err := p.republishIfLost(ctx); err != nil {
		return err
	}
	if err := p.closer.ifDue(ctx, p); err != nil {
		return err
	}
	p.upload.ifDue(ctx)
	return p.checkpoint.ifDue(ctx)
}

// process applies records in one batch, publishes what changed and hands the events to landing. It returns how many
// records it took: fewer than given when they touch very many rows.
func (p *partition) process(ctx context.Context, records []kafka.Record) (int, error) {
	var letters []deadLetter
	var moved forwards
	var h handover
	taken, duplicates, left := 0, 0, p.applier.left
	before := p.applier.position
	for i := range records {
		r := &records[i]
		at := state.Position{Epoch: p.origin.epoch, Offset: r.Offset}
		taken++
		if isFiller(r) {
			p.applier.advance(at)
			continue
		}
		e, home, poison := p.origin.read(p.applier.reader, r)
		if poison != nil || home != p.number {
			if poison != nil {
				letters = append(letters, deadLetter{r, p.origin.epoch, poison})
			} else {
				moved.add(r, home)
			}
			p.applier.advance(at)
			continue
		}
		dropped, err := p.applier.apply(e, at)
		if err != nil {
			return 0, err
		}
		if dropped {
			duplicates++
			continue
		}
		h.events = append(h.events, lake.EventRow{Event: e, At: lake.Position{Topic: p.origin.id.topic, Epoch: p.origin.epoch,
			Partition: p.origin.id.partition, Offset: r.Offset}})
		h.bytes += len(r.Value)
		if p.applier.full() {
			break
		}
	}
	if err := errors.Join(p.s.bury(ctx, letters), p.s.forward(ctx, moved), p.linkErased(ctx)); err != nil {
		return 0, err
	}
	last := &records[taken-1]
	h.next, h.hash = last.Offset+1, kafka.Hash(*last)
	p.applier.advance(state.Position{Epoch: p.origin.epoch, Offset: last.Offset, Hash: h.hash})
	if before.Before(p.applier.position) {
		if err := p.publish(ctx, records[:taken], before); err != nil {
			return 0, err
		}
		p.s.metrics.applied.Add(float64(len(h.events)))
		left = p.applier.left - left
		p.s.metrics.duplicates.Add(float64(duplicates - left))
		p.s.metrics.erased.Add(float64(left))
	}
	if err := p.s.landing.add(ctx, p.origin.fenceKey(), h); err != nil {
		return 0, err
	}
	p.commit(h.next)
	return taken, nil
}

// publish commits the batch and writes the changed rows to the online store and to the change feed, in this order: the
// outbox remembers them until a checkpoint has made all three durable.
func (p *partition) publish(ctx context.Context, records []kafka.Record, before state.Position) error {
	rows, err := p.applier.commit(p.checkpoint.round)
	if err != nil {
		return err
	}
	p.checkpoint.dirty = p.checkpoint.dirty || len(rows) > 0
	p.halfway = true
	if err := p.s.deps.Online.Put(ctx, rows); err != nil {
		return fmt.Errorf("write %d rows to the online store: %w", len(rows), err)
	}
	now := time.Now()
	for i := range records {
		if !(state.Position{Epoch: p.origin.epoch, Offset: records[i].Offset}).Before(before) {
			p.s.metrics.freshness.Observe(now.Sub(records[i].Time).Seconds())
		}
	}
	p.s.progress.update(p.origin.id, func(at *standing) { at.applied = max(at.applied, p.applier.position.Offset) })
	if err := p.s.feed.add(ctx, p.origin.id.partition, rows); err != nil {
		return err
	}
	p.halfway = false
	return nil
}
