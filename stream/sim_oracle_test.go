package stream

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// batchAnswer is what a batch job over the whole log gives: the rows of the lake and of the online store, and the records
// that must have letters. It shares the feature math with the stream and nothing else: no batches, no state, no encoding in
// between.
type batchAnswer struct {
	landed  map[lake.Position]string // value of the event or exposure
	online  map[string]onlinestore.Row
	letters map[lake.Position]bool
}

// simLate is how far behind the newest event one must have happened to count as late.
const simLate = time.Hour

func newBatchAnswer(l *simLog, t *tally) (*batchAnswer, error) {
	a := &batchAnswer{landed: make(map[lake.Position]string), online: make(map[string]onlinestore.Row), letters: make(map[lake.Position]bool)}
	for number := range int32(simEventPartitions) {
		if err := a.addEvents(l, number, t); err != nil {
			return nil, err
		}
	}
	for number := range int32(simExposurePartitions) {
		for _, r := range l.records(partitionID{event.TopicExposures, number}) {
			a.landed[lake.Position{Topic: r.Topic, Epoch: simEpoch, Partition: number, Offset: r.Offset}] = string(r.Value)
		}
	}
	return a, nil
}

// person is what is known of a browser, or of a user without one.
type person struct {
	newest   int64
	profiles map[int64]*feature.Profile
}

// addEvents goes through one partition. All repetitions of an id in the simulation come within the window.
func (a *batchAnswer) addEvents(l *simLog, number int32, t *tally) error {
	seen := make(map[string]bool)
	var newest time.Time
	persons := make(map[string]*person)
	items := make(map[string]*feature.ItemAggregate)
	sites := make(map[string]*feature.SiteAggregate)
	for _, r := range l.records(partitionID{event.TopicEvents, number}) {
		at := lake.Position{Topic: r.Topic, Epoch: simEpoch, Partition: number, Offset: r.Offset}
		e := &event.Event{}
		if err := event.Unmarshal(r.Value, e); err != nil {
			a.letters[at] = true
			t.count("poison records", 1)
			continue
		}
		id := fmt.Sprint(e.Site, " ", e.EventID, " ", e.Source == event.SourceImport)
		if seen[id] {
			t.count("duplicates", 1)
			continue
		}
		t.count("events", 1)
		if newest.Sub(e.OccurredAt) > simLate {
			t.count("late events", 1)
		}
		if e.OccurredAt.After(newest) {
			newest = e.OccurredAt
		}
		seen[id] = true
		a.landed[at] = string(r.Value)
		set := func(key string, value []byte) {
			a.online[key] = onlinestore.Row{Key: key, Version: feature.Version, Epoch: simEpoch, Offset: r.Offset, Value: value}
		}
		item := func(id string, change func(*feature.ItemAggregate)) {
			key := onlinestore.ItemKey(onlinestore.ItemShare{Site: e.Site, Item: id, Partition: number})
			if items[key] == nil {
				items[key] = &feature.ItemAggregate{}
			}
			change(items[key])
			set(key, items[key].Encode(nil))
		}
		if feature.FeedsSite(e) {
			key := onlinestore.SiteKey(onlinestore.SiteShare{Site: e.Site, Partition: number})
			if sites[key] == nil {
				sites[key] = &feature.SiteAggregate{}
			}
			sites[key].Apply(e)
			set(key, sites[key].Encode(nil))
		}
		if feature.FeedsProfile(e) {
			who := onlinestore.Partial{Site: e.Site, Kind: onlinestore.KindBrowser, ID: e.AnonymousID}
			if e.AnonymousID == "" {
				who = onlinestore.Partial{Site: e.Site, Kind: onlinestore.KindUser, ID: e.UserID}
			}
			if persons[who.Kind+who.Site+"/"+who.ID] == nil {
				persons[who.Kind+who.Site+"/"+who.ID] = &person{profiles: make(map[int64]*feature.Profile)}
			}
			met, counted := persons[who.Kind+who.Site+"/"+who.ID].add(e, who, set)
			if !counted {
				continue
			}
			for _, m := range met {
				item(m.Item, func(a *feature.ItemAggregate) { a.Meet(m.Other, e.OccurredAt.UnixMilli()) })
				item(m.Other, func(a *feature.ItemAggregate) { a.Meet(m.Item, e.OccurredAt.UnixMilli()) })
			}
		}
		if feature.FeedsItems(e) {
			for i := range e.Items {
				item(e.Items[i].ItemID, func(a *feature.ItemAggregate) { a.Apply(e, &e.Items[i]) })
			}
		}
	}
	return nil
}

// add applies an event to the one of the persons at a browser whose it is, and returns the items that met, and whether
// features count the event.
func (p *person) add(e *event.Event, who onlinestore.Partial, set func(key string, value []byte)) (met []feature.Meeting, counted bool) {
	current := func() *feature.Profile {
		if p.profiles[p.newest] == nil {
			p.profiles[p.newest] = &feature.Profile{}
		}
		return p.profiles[p.newest]
	}
	browser := who.Kind == onlinestore.KindBrowser
	next := func() {
		p.newest++
		set(onlinestore.NewestKey(e.Site, e.AnonymousID), onlinestore.NewestValue(p.newest))
	}
	if browser && e.UserID != "" && current().UserID != "" && current().UserID != e.UserID {
		next()
	}
	who.N = p.newest
	if browser && e.UserID != "" && current().UserID == "" {
		set(onlinestore.LinkKey(onlinestore.Link{Site: e.Site, User: e.UserID, Browser: e.AnonymousID, N: p.newest}),
			onlinestore.LinkValue(e.OccurredAt.UnixMilli()))
	}
	counted = current().Apply(e)
	met = current().Met()
	set(onlinestore.ProfileKey(who), current().Encode(nil))
	if browser && e.Type == event.Logout {
		next()
	}
	return met, counted
}

// shownDifferences bounds what a failure prints.
const shownDifferences = 8

// differences compares the world with the answer and describes the first of what differs.
func (a *batchAnswer) differences(ctx context.Context, w *simWorld) ([]string, error) {
	var d []string
	differ := func(format string, args ...any) {
		if len(d) < shownDifferences {
			d = append(d, fmt.Sprintf(format, args...))
		}
	}
	landed, err := w.landed(ctx)
	if err != nil {
		return nil, err
	}
	for at, values := range landed {
		switch want, ok := a.landed[at]; {
		case !ok:
			differ("lake: %s/%d offset %d landed and should not", at.Topic, at.Partition, at.Offset)
		case len(values) > 1:
			differ("lake: %s/%d offset %d landed %d times", at.Topic, at.Partition, at.Offset, len(values))
		case values[0] != want:
			differ("lake: %s/%d offset %d landed as %s, want %s", at.Topic, at.Partition, at.Offset, values[0], want)
		}
	}
	for at := range a.landed {
		if len(landed[at]) == 0 {
			differ("lake: %s/%d offset %d has not landed", at.Topic, at.Partition, at.Offset)
		}
	}
	have := w.online.all()
	for _, key := range slices.Sorted(maps.Keys(a.online)) {
		want, got := a.online[key], have[key]
		switch {
		case got.Key == "":
			differ("online: %s is missing", key)
		case got.Epoch != want.Epoch || got.Offset != want.Offset:
			differ("online: %s is of (%d, %d), want (%d, %d)", key, got.Epoch, got.Offset, want.Epoch, want.Offset)
		case got.Version != want.Version || !bytes.Equal(got.Value, want.Value):
			differ("online: %s differs from the batch answer", key)
		}
	}
	for key := range have {
		if _, ok := a.online[key]; !ok && !strings.HasPrefix(key, onlinestore.OffsetPrefix(event.TopicEvents)) {
			differ("online: %s is a row that no event explains", key)
		}
	}
	buried := w.buried()
	for at := range a.letters {
		if !buried[at] {
			differ("dead letters: none for %s/%d offset %d", at.Topic, at.Partition, at.Offset)
		}
	}
	return d, nil
}
