package stream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/kafka"
)

// produce writes records and returns when they are acknowledged. While Kafka is out of reach, or the producer has no room,
// it tries again until ctx ends: the position must not move without them. It does so too for a partition that a growing
// topic has and the producer does not know yet. Any other error would come again, and is returned.
func produce(ctx context.Context, p Producer, log *slog.Logger, records []kafka.Record) error {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := p.Produce(ctx, records)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !kafka.Transient(err) && !errors.Is(err, kafka.ErrBufferFull) && !errors.Is(err, kafka.ErrNoPartition):
			return err
		}
		log.Warn("records cannot be written yet, trying again", "topic", records[0].Topic, "records", len(records),
			"error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
