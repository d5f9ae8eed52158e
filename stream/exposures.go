package stream

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/lake"
)

// handleExposures owns a partition of the exposures topic until ctx ends. Exposures feed no feature; they land.
func (s *Stream) handleExposures(ctx context.Context, number int32, commit func(next int64)) error {
	id := partitionID{event.TopicExposures, number}
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
		if o, err = s.origin(ctx, id, lake.TableExposures); err == nil {
			s.landing.begin(o.fenceKey(), o.landed.Offset, o.landed.Hash)
			s.progress.update(id, func(at *standing) {
				*at = standing{applied: o.landed.Offset, landed: o.landed.Offset, end: o.log.End}
			})
			err = s.landExposures(ctx, o, commit)
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

// landExposures fetches exposures and hands them to landing until ctx ends or the lake moves away (errRewind).
func (s *Stream) landExposures(ctx context.Context, o origin, commit func(next int64)) error {
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
		err = s.handExposures(ctx, o, res)
		next = res.Next
		res.Release() // decoded exposures are copies, and the letters are written
		if err != nil {
			return err
		}
		commit(next)
		s.progress.update(id, func(at *standing) { at.applied, at.end = max(at.applied, next), res.End })
	}
}

func (s *Stream) handExposures(ctx context.Context, o origin, res kafka.FetchResult) error {
	h := handover{next: res.Next}
	var letters []deadLetter
	for i := range res.Records {
		r := &res.Records[i]
		if r.Offset == res.Next-1 {
			h.hash = kafka.Hash(*r)
		}
		if isFiller(r) {
			continue
		}
		x, poison := decodeExposure(r)
		if poison != nil {
			letters = append(letters, deadLetter{r, o.epoch, poison})
			continue
		}
		if s.erased().Covers(erasure.ExposureRow(x)) {
			s.metrics.erased.Inc()
			continue
		}
		h.exposures = append(h.exposures, lake.ExposureRow{Exposure: x, At: lake.Position{Topic: o.id.topic, Epoch: o.epoch,
			Partition: o.id.partition, Offset: r.Offset}})
		h.bytes += len(r.Value)
	}
	if err := s.bury(ctx, letters); err != nil {
		return err
	}
	return s.landing.add(ctx, o.fenceKey(), h)
}
