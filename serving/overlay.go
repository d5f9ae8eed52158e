package serving

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

const (
	// overlayInterval is how often closed sessions come into force: sooner helps no shopper, and making the overlay of a full
	// site takes some 60 ms.
	overlayInterval = time.Second
	// maxFreshItems is how many items of a session count, the newest; the stream writes no more.
	maxFreshItems = vmisknn.MaxNewerLength
)

// overlay puts what happened since a model was trained over it: it follows the topic of closed sessions, and the session
// model and the transitions in force answer as if those that their version was not trained on had been. Nothing changes for a
// request, which reads the model in force by one pointer.
type overlay struct {
	log    *slog.Logger
	topic  Log
	models *models

	mu    sync.Mutex // guards sites
	sites map[string]*freshSessions

	behind  atomic.Int32 // partitions that have not come to where their log ended at the start
	reached atomic.Bool  // all have once, and what they brought is in force
	trouble rarely
}

// run follows the topic until ctx ends.
func (o *overlay) run(ctx context.Context) {
	ranges := o.begin(ctx)
	o.behind.Store(int32(len(ranges)))
	group, ctx := errgroup.WithContext(ctx)
	for partition, r := range ranges {
		group.Go(func() error {
			o.follow(ctx, partition, r, int64(2*maxFreshSessions/len(ranges)))
			return nil
		})
	}
	group.Go(func() error {
		tick := time.NewTicker(overlayInterval)
		defer tick.Stop()
		for ctx.Err() == nil {
			caughtUp := o.behind.Load() == 0
			o.models.all(func(site string, loaded *loadedModel) { o.renew(ctx, site, loaded) })
			if caughtUp {
				o.reached.Store(true)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		return nil
	})
	_ = group.Wait() // none of them fails
}

// begin finds out what the topic has. While Kafka is away a node is ready without: what is over its models comes later.
func (o *overlay) begin(ctx context.Context) map[int32]kafka.OffsetRange {
	for {
		ranges, err := o.topic.Offsets(ctx, event.TopicSessions)
		if err == nil || ctx.Err() != nil {
			return ranges
		}
		o.away(ctx, err)
		if pause(ctx, time.Second) != nil {
			return nil
		}
	}
}

func (o *overlay) away(ctx context.Context, err error) {
	o.reached.Store(true)
	o.trouble.warn(ctx, o.log, "closed sessions are not readable; lists follow from the models as they were trained", err)
}

// follow reads a partition from where its newest records begin, as many as could be kept.
func (o *overlay) follow(ctx context.Context, partition int32, r kafka.OffsetRange, newest int64) {
	next, behind := max(r.Start, r.End-newest), true
	for ctx.Err() == nil {
		if behind && next >= r.End {
			behind = false
			o.behind.Add(-1)
		}
		result, err := o.topic.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicSessions, Partition: partition, Offset: next})
		var below *kafka.ErrBelowStart
		var above *kafka.ErrAboveEnd
		switch {
		case errors.As(err, &below):
			next = below.Start // what retention has removed is old
			continue
		case errors.As(err, &above):
			o.log.WarnContext(ctx, "the topic of closed sessions was made anew; it is read from its start", "partition", partition, "error", err)
			next = above.Start
			continue
		case err != nil:
			if ctx.Err() == nil {
				o.away(ctx, err)
			}
			if pause(ctx, time.Second) != nil {
				return
			}
			continue
		}
		o.take(ctx, result.Records)
		next = result.Next
		result.Release()
	}
}

// take keeps the sessions of some records.
func (o *overlay) take(ctx context.Context, records []kafka.Record) {
	for i := range records {
		c, err := event.UnmarshalClosedSession(records[i].Value)
		if err != nil {
			o.trouble.warn(ctx, o.log, "a record of the sessions topic is not a closed session and was skipped", err)
			continue
		}
		o.mu.Lock()
		f := o.sites[c.Site]
		if f == nil {
			f = &freshSessions{byID: map[string]*freshSession{}}
			o.sites[c.Site] = f
		}
		f.add(c)
		o.mu.Unlock()
	}
}

// renew makes the model of a site again when sessions have come since.
func (o *overlay) renew(ctx context.Context, site string, loaded *loadedModel) {
	o.mu.Lock()
	f := o.sites[site]
	due := f != nil && f.changes != loaded.changes
	o.mu.Unlock()
	if !due {
		return
	}
	trained := loaded.whole()
	renewed := o.over(ctx, site, trained)
	if renewed.pages != trained.pages {
		o.keepPages(f, renewed, loaded)
	}
	o.models.replace(site, loaded, renewed)
}

// keepPages takes over the lists of product pages that the sessions which have moved since say nothing to.
func (o *overlay) keepPages(f *freshSessions, renewed, before *loadedModel) {
	known := renewed.whole().Vocabulary.Len()
	o.mu.Lock()
	moved, ok := f.movedSince(before.changes, renewed.Vocabulary, known)
	o.mu.Unlock()
	if ok {
		renewed.pages.session.keep(&before.pages.session, known, moved)
		renewed.pages.transitions.keep(&before.pages.transitions, known, moved)
	}
}

// over returns a model with the site's closed sessions over it: as much of it as they can lie over, and none that it knows.
func (o *overlay) over(ctx context.Context, site string, trained *loadedModel) *loadedModel {
	o.mu.Lock()
	f := o.sites[site]
	if f == nil {
		o.mu.Unlock()
		return trained
	}
	sessions, vocabulary := f.behind(trained.Manifest.Source, trained.Vocabulary)
	over := *trained
	m := &over
	m.trained, m.changes = trained, f.changes
	o.mu.Unlock()
	if sessions.Len() == 0 {
		return m
	}
	var errs [2]error
	m.session, errs[0] = lay(vmisknn.Over, trained.session, sessions, vocabulary.Len())
	m.transitions, errs[1] = lay(transitions.Over, trained.transitions, sessions, vocabulary.Len())
	if err := errors.Join(errs[:]...); err != nil {
		o.cannotLay(ctx, site, f, trained.Manifest.Version, err)
	}
	if m.session != trained.session || m.transitions != trained.transitions {
		bundle := *trained.Bundle
		bundle.Vocabulary = vocabulary
		m.Bundle, m.fresh, m.pages, m.placing = &bundle, sessions.Len(), newPageLists(trained.Vocabulary.Len()), &placing{}
		m.blend = m.blendAgain(trained)
	}
	return m
}

// blendAgain is the blend of a version over the families as they answer now.
func (m *loadedModel) blendAgain(trained *loadedModel) *blend.Model {
	if trained.blend == nil {
		return nil
	}
	scorers := maps.Clone(trained.Scorers)
	for _, family := range []model.Scorer{m.session, m.transitions} {
		if family != nil { // a version need not have both
			scorers[family.Name()] = family
		}
	}
	again, err := blend.New(trained.blend.Config(), scorers)
	if err != nil {
		return trained.blend // it has all that the trained one had, so this cannot be
	}
	return again
}

// lay returns a scorer with sessions over it; the scorer itself where its family has no such thing, or it failed.
func lay[Base, Over model.Scorer](
	over func(Base, *model.Sessions, int) (Over, error), trained model.Scorer, sessions *model.Sessions, numItems int,
) (model.Scorer, error) {
	base, ok := trained.(Base)
	if !ok {
		return trained, nil
	}
	laid, err := over(base, sessions, numItems)
	if err != nil {
		return trained, err
	}
	return laid, nil
}

// cannotLay says once of a version that a part of it answers as it was trained.
func (o *overlay) cannotLay(ctx context.Context, site string, f *freshSessions, version string, err error) {
	o.mu.Lock()
	told := f.told == version
	f.told = version
	o.mu.Unlock()
	if !told {
		o.log.WarnContext(ctx, "closed sessions cannot be laid over a part of the model, which answers as it was trained",
			"site", site, "version", version, "error", err)
	}
}
