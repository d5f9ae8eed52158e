// Package tracker is the collector: the door through which browsers and servers send events. It answers for every event
// alone, and acknowledges one only when every in-sync replica of Kafka has it, or its own disk until Kafka takes it. The browser's
// half is tracker/beacon.
package tracker

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/agent"
	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// DefaultRecentIDs is how many acknowledged ids are remembered to report duplicates: minutes of a busy shop, 16 MiB.
	DefaultRecentIDs = 1 << 19
	// DefaultProduceTimeout bounds the wait for acknowledgement. It is shorter than the server's write timeout, so that an
	// outage becomes a 503 that the beacon understands and not a cut connection.
	DefaultProduceTimeout = 10 * time.Second
	// RetryAfter is what a client is asked to wait when events cannot be stored: a broker restarts within it.
	RetryAfter = 5 * time.Second
)

// Config tunes the collector; a zero field has the default of the same name.
type Config struct {
	RecentIDs      int
	ProduceTimeout time.Duration
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For is believed; none by default
	CookieDomain   string         // of the cookie with the visitor's id; "" is the collector's host alone
}

// Keys tells whom a key belongs to. control.ErrUnknownKey means nobody.
type Keys interface {
	Authenticate(ctx context.Context, secret string) (control.Key, error)
}

// Producer returns when all records are stored for certain, or with an error.
type Producer interface {
	Produce(ctx context.Context, records []kafka.Record) error
}

// Ledgers tells who was erased; *control.Store does.
type Ledgers interface {
	Erased(ctx context.Context) (*erasure.Ledger, error)
}

// Limits refuses a request of a key or a network that makes too many; *ratelimit.Guard does. The zero key is none.
type Limits interface {
	Check(w http.ResponseWriter, r *http.Request, key control.Key) *httpserver.Problem
}

// Deps is what the collector stands on. Now is the wall clock; nil means time.Now. Ledgers may be nil: the stream leaves out who
// was erased in any case. Limits may be nil, for none.
type Deps struct {
	Limits   Limits
	Ledgers  Ledgers
	Keys     Keys
	Producer Producer
	Metrics  prometheus.Registerer
	Log      *slog.Logger
	Now      func() time.Time
}

// Tracker is the collector's HTTP face. It owns no goroutine.
type Tracker struct {
	cfg     Config
	deps    Deps
	metrics *metrics
	recent  *recentIDs
	scripts []*script
	bodies  bodyReader
	losses  *losses
	orders  *orders
	since   time.Time // when the two began to count
	agents  agent.Parser
	outages logLimit

	receipts atomic.Uint32 // set so far; their number names the cookie
}

// logInterval keeps an outage from writing one record a request.
const logInterval = 10 * time.Second

// logLimit lets one record through every logInterval.
type logLimit struct {
	last atomic.Int64 // Unix nanoseconds
}

func (l *logLimit) allow(now time.Time) bool {
	last := l.last.Load()
	return now.UnixNano()-last >= int64(logInterval) && l.last.CompareAndSwap(last, now.UnixNano())
}

// New checks the configuration and prepares what all requests share.
func New(cfg Config, deps Deps) (*Tracker, error) {
	switch {
	case deps.Keys == nil:
		return nil, errors.New("tracker needs keys")
	case deps.Producer == nil:
		return nil, errors.New("tracker needs a producer")
	case deps.Metrics == nil:
		return nil, errors.New("tracker needs a metrics registry")
	case deps.Log == nil:
		return nil, errors.New("tracker needs a logger")
	case cfg.RecentIDs < 0 || cfg.ProduceTimeout < 0:
		return nil, errors.New("tracker limits must not be negative")
	}
	if cfg.RecentIDs == 0 {
		cfg.RecentIDs = DefaultRecentIDs
	}
	if cfg.ProduceTimeout == 0 {
		cfg.ProduceTimeout = DefaultProduceTimeout
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	scripts, err := newScripts()
	if err != nil {
		return nil, err
	}
	since := deps.Now()
	return &Tracker{
		cfg: cfg, deps: deps, metrics: m, recent: newRecentIDs(cfg.RecentIDs), scripts: scripts,
		since: since, losses: newLosses(since, m.account), orders: newOrders(since),
	}, nil
}

// Routes adds the collector's paths to a router, and describes them.
func (t *Tracker) Routes(a *api.API) {
	api.Describe[eventsInput, eventsOutput](a, eventsEndpoint, t.handleEvents)
	api.Describe[pixelInput, pixelOutput](a, pixelEndpoint, t.handlePixel)
	t.trackingEndpoint(a)
	r := a.Router()
	r.Options("/v1/events", t.handlePreflight)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, s := range t.scripts {
			r.Method(method, s.name+".js", http.HandlerFunc(s.serveCurrent))
			r.Method(method, s.name+hashPattern, http.HandlerFunc(s.serveHashed))
		}
	}
}
