package stream

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// plainTopic is a topic that feeds no feature: its records only land.
type plainTopic struct {
	topic, table string
	// read adds what a record says to a handover; nothing where it is about somebody who was erased.
	read func(s *Stream, r *kafka.Record, at lake.Position, h *handover) *poison
}

var (
	exposuresTopic = plainTopic{event.TopicExposures, lake.TableExposures, (*Stream).readExposure}
	itemsTopic     = plainTopic{event.TopicItems, lake.TableItems, (*Stream).readItem}
)

func (s *Stream) readExposure(r *kafka.Record, at lake.Position, h *handover) *poison {
	x, poison := decodeExposure(r)
	if poison != nil {
		return poison
	}
	if s.erased().Covers(erasure.ExposureRow(x)) {
		s.metrics.erased.Inc()
		return nil
	}
	h.exposures = append(h.exposures, lake.ExposureRow{Exposure: x, At: at})
	return nil
}

func (s *Stream) readItem(r *kafka.Record, at lake.Position, h *handover) *poison {
	if len(r.Value) == 0 {
		return nil // a shop's own program had an item compacted away, which is none of its history
	}
	item, poison := decodeItem(r)
	if poison == nil {
		h.items = append(h.items, lake.ItemRow{Item: item, At: at})
	}
	return poison
}

// handlePlain owns a partition of a plain topic until ctx ends.
func (s *Stream) handlePlain(ctx context.Context, of plainTopic, number int32, commit func(next int64)) error {
	id := partitionID{of.topic, number}
	if err := s.awaitPartition(ctx, id); err != nil {
		return err
	}
	var o origin
	defer func() {
		s.landing.end(o.fenceKey())
		s.progress.drop(id)
		s.metrics.lag.drop(id)
	}()
	for ctx.Err() == nil {
		s.landing.end(o.fenceKey()) // of the epoch before, where there was one
		var err error
		if o, err = s.origin(ctx, id, of.table); err == nil {
			s.landing.begin(o.fenceKey(), o.landed.Offset, o.landed.Hash)
			s.progress.update(id, func(at *standing) {
				*at = standing{applied: o.landed.Offset, landed: o.landed.Offset, end: o.log.End}
			})
			err = s.landPlain(ctx, of, o, commit)
		}
		if err != nil && !errors.Is(err, errRewind) && ctx.Err() == nil {
			return err
		}
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drainTimeout)
	defer cancel()
	s.flushed(id, began, s.landing.flush(ctx))
	return nil
}

// landPlain fetches records and hands them to landing until ctx ends or the lake moves away (errRewind).
func (s *Stream) landPlain(ctx context.Context, of plainTopic, o origin, commit func(next int64)) error {
	id := o.id
	for next := o.landed.Offset; ; {
		if s.landing.rewound(o.fenceKey()) {
			return errRewind
		}
		res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: id.topic, Partition: id.partition, Offset: next, Budget: s.fetches})
		var below *kafka.ErrBelowStart
		switch {
		case ctx.Err() != nil:
			res.Release()
			return nil
		case errors.As(err, &below):
			if err := s.skip(ctx, o, next, below.Start); err != nil {
				return err
			}
			next = below.Start
			continue
		case err != nil:
			return err
		}
		s.metrics.lag.set(id, behind(res, len(res.Records)))
		if res.Next == next {
			res.Release()
			continue
		}
		err = s.handPlain(ctx, of, o, res)
		next = res.Next
		res.Release() // what was decoded are copies, and the letters are written
		if err != nil {
			return err
		}
		commit(next)
		s.progress.update(id, func(at *standing) { at.applied, at.end = max(at.applied, next), res.End })
	}
}

// plainTurn is how many records are decoded before others of the process have their turn: answers do not wait for a whole fetch.
const plainTurn = 16

func (s *Stream) handPlain(ctx context.Context, of plainTopic, o origin, res kafka.FetchResult) error {
	h := handover{next: res.Next}
	var letters []deadLetter
	for i := range res.Records {
		if i%plainTurn == plainTurn-1 {
			runtime.Gosched()
		}
		r := &res.Records[i]
		if r.Offset == res.Next-1 {
			h.hash = kafka.Hash(*r)
		}
		if isFiller(r) {
			continue
		}
		at := lake.Position{Topic: o.id.topic, Epoch: o.epoch, Partition: o.id.partition, Offset: r.Offset}
		if poison := of.read(s, r, at, &h); poison != nil {
			letters = append(letters, deadLetter{r, o.epoch, poison})
			continue
		}
		h.bytes += len(r.Value)
	}
	if err := s.bury(ctx, letters); err != nil {
		return err
	}
	return s.landing.add(ctx, o.fenceKey(), h)
}
