package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
)

// linkedOnline is the online store as a process reaches it.
type linkedOnline struct {
	store *simOnline
	link  *simLink
}

// unavailable lets every second fault look like a store that is away, which the stream waits for.
func (o linkedOnline) unavailable(err error) error {
	if errors.Is(err, errInjected) && o.link.world.plan.draw(2, "unavailable", o.link.process.id, o.link.life) == 0 {
		return fmt.Errorf("%w: %w", onlinestore.ErrUnavailable, err)
	}
	return err
}

func (o linkedOnline) Put(ctx context.Context, rows []onlinestore.Row) error {
	o.link.applying(rows)
	return o.unavailable(o.link.around(beforePut, afterPut, func() error {
		err := o.link.world.bug.put(ctx, o.store, rows)
		if err == nil {
			o.link.had(effPublish)
		}
		return err
	}))
}

// applying notes that the process has applied a batch, when it comes to publish rows of events that it has fetched and has
// not published before. Offsets tell the partition (simOffsets).
func (l *simLink) applying(rows []onlinestore.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, row := range rows {
		if strings.HasPrefix(row.Key, onlinestore.OffsetPrefix(event.TopicEvents)) {
			continue // says something of the store and not of an event
		}
		number := row.Offset / simOffsets
		if row.Offset > l.applied[number] && row.Offset < l.fetched[eventPartition(int32(number))] {
			l.applied[number] = row.Offset
			l.last = effApply
		}
	}
}

func (o linkedOnline) Get(ctx context.Context, key string) (onlinestore.Row, bool, error) {
	if err := errors.Join(o.link.pass(beforeRead), o.link.travel(beforeRead)); err != nil {
		return onlinestore.Row{}, false, o.unavailable(err)
	}
	return o.store.Get(ctx, key)
}

func (o linkedOnline) Scan(ctx context.Context, prefix string, f func(onlinestore.Row) error) error {
	if err := errors.Join(o.link.pass(beforeScan), o.link.travel(beforeScan)); err != nil {
		return o.unavailable(err)
	}
	return o.unavailable(errors.Join(o.store.Scan(ctx, prefix, f), o.link.pass(afterScan)))
}

func (o linkedOnline) Replace(ctx context.Context, wrong []onlinestore.Replacement) error {
	return o.unavailable(o.link.around(beforeReplace, afterReplace, func() error { return o.link.world.bug.correct(ctx, o.store, wrong) }))
}

func (o linkedOnline) Sync(ctx context.Context) error {
	return o.unavailable(o.link.around(beforeSync, afterSync, func() error {
		err := o.link.world.bug.sync(ctx, o.store)
		if err == nil {
			o.link.mu.Lock()
			o.link.durable++
			o.link.mu.Unlock()
		}
		return err
	}))
}

func (o linkedOnline) Marker(ctx context.Context) (string, error) {
	if err := errors.Join(o.link.pass(beforeMarker), o.link.travel(beforeMarker)); err != nil {
		return "", o.unavailable(err)
	}
	return o.link.world.bug.marker(ctx, o.store)
}

func (o linkedOnline) Close() error { return nil }

// linkedBucket is the bucket as a process reaches it.
type linkedBucket struct {
	bucket objstore.Bucket
	link   *simLink
}

func (b linkedBucket) put(do func() error) error {
	return b.link.around(beforeObject, afterObject, func() error {
		err := do()
		if err == nil {
			b.link.had(effPutFile)
			b.link.world.tally.count("objects put", 1)
		}
		return err
	})
}

func (b linkedBucket) Put(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.put(func() error { return b.bucket.Put(ctx, key, body, size) })
}

func (b linkedBucket) PutIfAbsent(ctx context.Context, key string, body io.Reader, size int64) error {
	return b.put(func() error { return b.bucket.PutIfAbsent(ctx, key, body, size) })
}

func (b linkedBucket) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := errors.Join(b.link.pass(beforeGet), b.link.travel(beforeGet)); err != nil {
		return nil, err
	}
	return b.bucket.Get(ctx, key, offset, length)
}

func (b linkedBucket) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		if err := b.link.travel("list"); err != nil {
			yield(objstore.Info{}, err)
			return
		}
		b.bucket.List(ctx, prefix)(yield)
	}
}

func (b linkedBucket) Delete(ctx context.Context, key string) error {
	if err := b.link.travel("remove"); err != nil {
		return err
	}
	return b.bucket.Delete(ctx, key)
}
