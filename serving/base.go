package serving

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// basePoll is how often the online store is asked whether it was lost, and so how long a loss can go unnoticed.
	basePoll = time.Second
	// basePollStart is the same while this node is not ready yet.
	basePollStart = 50 * time.Millisecond
)

// standing is what the online store holds. Features and items say that every row of them is in the store with the marker.
type standing struct {
	marker          string
	features, items bool
}

// base follows whether the online store has everything. Its writers say so themselves, partition by partition: the stream
// of profiles and aggregates, serving of the catalogue. Under another marker all of them have to say it again.
type base struct {
	online  OnlineStore
	control Control
	health  health // of the online store

	mu   sync.Mutex // guards seen
	seen standing

	whole   atomic.Bool // features are complete as of the last look
	reached atomic.Bool // they were complete once: from then on this node is ready
	// Partitions of the events, and how many of them have their features in the store, as of the look before whole.
	partitions, filled atomic.Int32
}

// look asks the store how it stands. Once all is there, this is the reading of the marker alone.
func (b *base) look(ctx context.Context) (standing, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	marker, err := b.online.Marker(ctx)
	b.health.saw(ctx, err)
	if err != nil {
		return standing{}, fmt.Errorf("read marker of the online store: %w", err)
	}
	if b.seen.marker != marker {
		b.seen = standing{marker: marker}
	}
	if !b.seen.features {
		said, of, err := b.complete(ctx, event.TopicEvents, marker)
		if err != nil {
			return standing{}, err
		}
		b.partitions.Store(of)
		b.filled.Store(said)
		b.seen.features = of > 0 && said == of
	}
	if !b.seen.items {
		said, of, err := b.complete(ctx, event.TopicItems, marker)
		if err != nil {
			return standing{}, err
		}
		b.seen.items = of > 0 && said == of
	}
	if b.whole.Store(b.seen.features); b.seen.features {
		b.reached.Store(true)
	}
	return b.seen, nil
}

// complete reports how many partitions of a topic say that the store with the marker has their rows, of how many; 0 of 0
// before the topic is known.
func (b *base) complete(ctx context.Context, topic, marker string) (said, of int32, err error) {
	epoch, ok, err := b.control.TopicEpoch(ctx, topic)
	if err != nil || !ok {
		return 0, 0, wrap(err, "read epoch of "+topic)
	}
	err = b.online.Scan(ctx, onlinestore.OffsetPrefix(topic), func(row onlinestore.Row) error {
		_, partition, err := onlinestore.ParseOffsetKey(row.Key)
		if err == nil && partition < epoch.Partitions && onlinestore.CompleteFor(row, marker) {
			said++
		}
		return err
	})
	return said, epoch.Partitions, wrap(err, "read what the online store has of "+topic)
}

// watch looks again and again until ctx ends, and lets the catalogue follow what it sees.
func (b *base) watch(ctx context.Context, log *slog.Logger, catalogue *Catalogue) {
	var trouble rarely
	for {
		at, err := b.look(ctx)
		if err == nil {
			err = catalogue.keep(ctx, log, at)
		}
		if err != nil && ctx.Err() == nil {
			trouble.warn(ctx, log, "the online store does not answer; catalogue and trends stay as they were, lists come from the ladder", err)
		}
		wait := basePoll
		if !b.reached.Load() || !catalogue.complete() {
			wait = basePollStart
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// errFilling means that the store was lost and has not got everything back yet.
var errFilling = errors.New("the online store was lost and is being filled again")

// steady runs a reading of features and fails with errFilling unless the store had all of them from its begin to its end.
func (b *base) steady(ctx context.Context, read func() error) error {
	before, err := b.look(ctx)
	if err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	after, err := b.look(ctx)
	if err == nil && (!before.features || before.marker != after.marker) {
		err = errFilling
	}
	return err
}
