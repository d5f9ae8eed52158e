package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	sampleSessions   = 2_000 // sessions that run at once: a backlog mixes them, so that a batch holds few events of each
	sampleSession    = 6     // events of a session on average
	sampleReturning  = 3     // one session of so many is of a visitor who was here before
	sampleDuplicates = 100   // one event of so many comes twice
	sampleItems      = 20_000
	sampleSlots      = 40 // categories, ten brands to each
	sampleList       = 8  // items of a list that is shown
)

// shopSample is a busy shop: sessions of some events that run side by side, skewed items, mostly views, some searches, dwell
// times and lists with the clicks on them, so that every feature has something to count, and beacons that send again what they
// sent already.
type shopSample struct {
	rng      *rand.Rand
	items    *rand.Zipf
	at       time.Time
	visitors int
	running  []sampleVisit
}

// sampleVisit is one session that runs.
type sampleVisit struct{ visitor, session int }

func newShopSample(seed uint64) *shopSample {
	s := &shopSample{rng: rand.New(rand.NewPCG(seed, 1)), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.items = rand.NewZipf(s.rng, 1.2, 10, sampleItems)
	for range sampleSessions {
		s.running = append(s.running, s.arrive())
	}
	return s
}

func (s *shopSample) arrive() sampleVisit {
	visit := sampleVisit{visitor: s.visitors, session: s.rng.IntN(1 << 30)}
	if s.visitors > 0 && s.rng.IntN(sampleReturning) == 0 {
		visit.visitor = s.rng.IntN(s.visitors)
		return visit
	}
	s.visitors++
	return visit
}

// records makes n records of the events topic, as the collector writes them.
func (s *shopSample) records(n int) ([]kafka.Record, error) {
	records := make([]kafka.Record, 0, n)
	for len(records) < n {
		if len(records) > 0 && s.rng.IntN(sampleDuplicates) == 0 {
			again := records[max(0, len(records)-1-s.rng.IntN(500))]
			records = append(records, again)
			continue
		}
		e := s.next()
		value, err := event.Marshal(e)
		if err != nil {
			return nil, err
		}
		records = append(records, kafka.Record{Topic: event.TopicEvents, Time: e.ReceivedAt, Key: []byte(e.Key()), Value: value,
			Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.Schema)}}})
	}
	return records, nil
}

func (s *shopSample) next() *event.Event {
	s.at = s.at.Add(time.Duration(s.rng.IntN(2000)) * time.Microsecond)
	slot := s.rng.IntN(len(s.running))
	visit := s.running[slot]
	if s.rng.IntN(sampleSession) == 0 {
		s.running[slot] = s.arrive()
	}
	at := s.at.Truncate(time.Millisecond)
	e := &event.Event{
		EventID: event.NewID(s.at), Site: event.DefaultSite, OccurredAt: at, ReceivedAt: at,
		AnonymousID: fmt.Sprintf("v%07d", visit.visitor), SessionID: fmt.Sprintf("s%08x", visit.session),
		Items: []event.Item{s.item()}, UserAgentFamily: "Chrome", Device: "desktop",
	}
	s.act(e)
	return e
}

// item draws one of the shop's items.
func (s *shopSample) item() event.Item {
	item := s.items.Uint64()
	price := float64(item%9000)/100 + 1
	category := int(item % sampleSlots)
	return event.Item{ItemID: fmt.Sprintf("sku-%05d", item), Price: &price, ItemCategory: fmt.Sprintf("cat-%d", category),
		ItemBrand: fmt.Sprintf("b-%d", category*10+int(item/sampleSlots)%10)}
}

// act draws what a visitor does with an item.
func (s *shopSample) act(e *event.Event) {
	switch chance := s.rng.IntN(100); {
	case chance < 2:
		e.Type = event.Purchase
	case chance < 10:
		e.Type = event.AddToCart
	case chance < 15:
		place := int32(s.rng.IntN(sampleList))
		e.Type, e.Rec = event.SelectItem, &event.Rec{RecID: "r", Placement: "home", Index: &place}
	case chance < 20:
		e.Type, e.Rec = event.ViewItemList, &event.Rec{RecID: "r", Placement: "home"}
		for place := range int32(sampleList) {
			shown := event.Item{ItemID: s.item().ItemID, Index: &place}
			e.Items = append(e.Items[:place], shown)
		}
	case chance < 25:
		e.Type, e.Items, e.SearchTerm = event.Search, nil, fmt.Sprintf("term %d", s.rng.IntN(500))
	case chance < 40:
		shown := int64(s.rng.IntN(60_000))
		e.Type, e.Engagement = event.Engage, &event.Engagement{VisibleMs: shown, FocusedMs: shown / 2}
	default:
		e.Type = event.ViewItem
	}
}
