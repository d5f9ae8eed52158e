package simshop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// HistoryDays is how far the simulated past reaches. It stays under the stream's de-duplication window of 8 days:
	// the history of a restarted demo has the same ids at the same times, and nothing in it was first sent longer ago
	// than it happened, so every repeated event is recognised.
	HistoryDays = 7

	// DefaultSessionsPerDay makes a history of about 500 sessions and 3,500 events: enough for a first model, sent in
	// about a second.
	DefaultSessionsPerDay = 72

	// DefaultShoppers gives every shelf eight regulars.
	DefaultShoppers = 48

	// DefaultEventsPerSecond keeps the dashboards moving without warming a laptop.
	DefaultEventsPerSecond = 2.0

	// MaxEventsPerSecond is where a gentle simulator ends and a load generator would begin.
	MaxEventsPerSecond = 1000.0

	// visitorsAtOnce is how many live visits are under way at any moment.
	visitorsAtOnce = 6

	// historyBatch is a request of the history; well under the collector's limits of 500 events and 1 MiB.
	historyBatch = 200
)

// Config says where simulated shoppers go and how busily. A zero Shoppers, SessionsPerDay or EventsPerSecond has the
// default of that name; a negative SessionsPerDay means no history.
type Config struct {
	URL             string // the collector's base, such as http://127.0.0.1:8080
	WriteKey        string // the demo site's pk_ key
	Seed            uint64
	Shoppers        int
	SessionsPerDay  int
	EventsPerSecond float64
}

// Deps are what the simulator uses; a nil field gets an ordinary one (no log, a client with a timeout, the wall clock).
type Deps struct {
	Client *http.Client
	Log    *slog.Logger
	Now    func() time.Time
}

// Simulator keeps a site alive: first a week of history, then a gentle stream of live visits, all posted to the
// collector like anybody else's events.
type Simulator struct {
	cfg      Config
	collect  collector
	log      *slog.Logger
	now      func() time.Time
	shoppers []Shopper
}

// New checks the configuration and returns a simulator that does nothing until Run.
func New(cfg Config, deps Deps) (*Simulator, error) {
	if cfg.Shoppers == 0 {
		cfg.Shoppers = DefaultShoppers
	}
	if cfg.SessionsPerDay == 0 {
		cfg.SessionsPerDay = DefaultSessionsPerDay
	}
	if cfg.EventsPerSecond == 0 {
		cfg.EventsPerSecond = DefaultEventsPerSecond
	}
	switch {
	case cfg.WriteKey == "":
		return nil, errors.New("simulator needs a write key")
	case !strings.HasPrefix(cfg.URL, "http://") && !strings.HasPrefix(cfg.URL, "https://"):
		return nil, fmt.Errorf("simulator needs the collector's http address, not %q", cfg.URL)
	case cfg.Shoppers < 1:
		return nil, fmt.Errorf("simulator needs at least one shopper, not %d", cfg.Shoppers)
	case cfg.EventsPerSecond < 0 || cfg.EventsPerSecond > MaxEventsPerSecond:
		return nil, fmt.Errorf("simulator rate %g: want 0 to %g events a second", cfg.EventsPerSecond, MaxEventsPerSecond)
	}
	if deps.Client == nil {
		deps.Client = &http.Client{Timeout: requestTimeout}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Simulator{
		cfg:      cfg,
		collect:  collector{url: strings.TrimRight(cfg.URL, "/") + "/v1/events", key: cfg.WriteKey, client: deps.Client, now: deps.Now},
		log:      deps.Log,
		now:      deps.Now,
		shoppers: Shoppers(cfg.Seed, cfg.Shoppers),
	}, nil
}

// Run sends the history and then live visits until the context ends, and returns nil. A collector that is down or busy
// is waited for. One that refuses the key or an event ends the visits, which is logged, but not Run: a demo that fails
// must not take down the shop whose process it shares.
func (s *Simulator) Run(ctx context.Context) error {
	if err := s.run(ctx); ctx.Err() == nil {
		s.log.Warn("simulated shoppers have left", "error", err)
	}
	<-ctx.Done()
	return nil
}

// run lets the shoppers in until the context ends or nothing more can be sent; its error says which.
func (s *Simulator) run(ctx context.Context) error {
	past := History(s.cfg.Seed, s.shoppers, s.cfg.SessionsPerDay, s.now())
	for batch := range slices.Chunk(past, historyBatch) {
		if err := s.collect.send(ctx, batch); err != nil {
			return fmt.Errorf("send simulated history: %w", err)
		}
	}
	s.log.Info("simulated history sent", "events", len(past), "shoppers", len(s.shoppers))
	return s.live(ctx)
}

// live plays a few visits at once. Waiting times are exponential, as visitors who know nothing of each other make them.
func (s *Simulator) live(ctx context.Context) error {
	rng := random(s.cfg.Seed, "live", s.now().UnixMilli(), 0)
	visits := make([][]event.Event, visitorsAtOnce)
	timer := time.NewTimer(s.gap(rng))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		i := rng.IntN(len(visits))
		if len(visits[i]) == 0 {
			visits[i] = s.shoppers[rng.IntN(len(s.shoppers))].Session(s.cfg.Seed, s.now())
		}
		e := visits[i][0]
		visits[i] = visits[i][1:]
		e.OccurredAt = s.now().UTC().Truncate(time.Millisecond)
		if err := s.collect.send(ctx, []event.Event{e}); err != nil {
			return fmt.Errorf("send simulated event: %w", err)
		}
		timer.Reset(s.gap(rng))
	}
}

func (s *Simulator) gap(rng *rand.Rand) time.Duration {
	return time.Duration(rng.ExpFloat64() * float64(time.Second) / s.cfg.EventsPerSecond)
}

// History returns the events of the HistoryDays before now, ordered by time: perDay visits a day (none if it is not
// positive), more by day than by night. Each day is played from its own date, so that a later call returns the same
// events for the days that both cover.
func History(seed uint64, shoppers []Shopper, perDay int, now time.Time) []event.Event {
	now = now.UTC()
	from := now.Add(-HistoryDays * 24 * time.Hour)
	var out []event.Event
	for day := from.Truncate(24 * time.Hour); day.Before(now); day = day.Add(24 * time.Hour) {
		rng := random(seed, "day", day.Unix(), 0)
		for range perDay {
			shopper := shoppers[rng.IntN(len(shoppers))]
			// The mean of two uniform hours makes a day with a busy middle; +2 h puts the peak in the early afternoon.
			at := day.Add(time.Duration((rng.Float64() + rng.Float64()) / 2 * float64(22*time.Hour))).Add(2 * time.Hour)
			if at.Before(from) || !at.Before(now) {
				continue
			}
			visit := shopper.Session(seed, at)
			if visit[len(visit)-1].OccurredAt.Before(now) {
				out = append(out, visit...)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b event.Event) int { return a.OccurredAt.Compare(b.OccurredAt) })
	return out
}
