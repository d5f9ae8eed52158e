package ratelimit

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

const (
	// DefaultKeyRate is how many requests a second a key may make that has no rate of its own. One machine hardly answers as
	// many: the default stops a loop that went wild on many connections, and nobody else.
	DefaultKeyRate = 20_000.0
	// DefaultNetworkRate is how many requests a second come from one network without a secret key: those of a university or
	// of a mobile carrier's gateway, many times over.
	DefaultNetworkRate = 1_000.0

	// keysPerShard and networksPerShard bound the memory: 16,384 keys and 65,536 networks, some 200 bytes each.
	keysPerShard     = 256
	networksPerShard = 1_024

	// Networks are counted this coarse: what one customer of a provider usually has.
	networkBitsV4 = 24
	networkBitsV6 = 64

	// ProblemTooManyRequests is the type of a request over a limit.
	ProblemTooManyRequests = "too-many-requests"
)

// Config says how much is allowed; rates are requests a second. TrustedProxies are peers whose X-Forwarded-For is believed.
type Config struct {
	KeyRate        float64
	NetworkRate    float64
	TrustedProxies []netip.Prefix
	Now            func() time.Time // nil means time.Now
}

// Guard counts the requests of a listener. It is safe for concurrent use and owns no goroutine.
type Guard struct {
	cfg      Config
	keys     *table[string]
	networks *table[netip.Prefix]
}

// NewGuard makes a guard that has counted nothing yet.
func NewGuard(cfg Config) *Guard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Guard{cfg: cfg, keys: newTable[string](keysPerShard), networks: newTable[netip.Prefix](networksPerShard)}
}

// Check counts a request with its key, the zero key for none or a wrong one, and returns a problem when it is one too many. A
// secret key counts for itself alone: a shop's server asks for all its visitors. Everybody else counts for their network, too, so
// that nobody can try keys or use up a public key's rate from one place. A network of the shop's own (loopback, private addresses) is
// not counted: a proxy is there that was not configured as one, and all visitors with it. A nil guard allows everything.
func (g *Guard) Check(w http.ResponseWriter, r *http.Request, key control.Key) *httpserver.Problem {
	if g == nil {
		return nil
	}
	now := g.cfg.Now()
	if key.Kind != control.KeySecret {
		network := httpserver.ClientNetwork(r, g.cfg.TrustedProxies, networkBitsV4, networkBitsV6)
		if network.IsValid() && !network.Addr().IsLoopback() && !network.Addr().IsPrivate() {
			if v := g.networks.take(network, g.cfg.NetworkRate, now); !v.allowed {
				return refuse(w, v, "your network "+network.String(), "spread the requests, or ask from a server with a secret key")
			}
		}
	}
	if key.ID == "" {
		return nil
	}
	rate := key.Rate
	if rate == 0 {
		rate = g.cfg.KeyRate
	}
	v := g.keys.take(key.ID, rate, now)
	if !v.allowed {
		return refuse(w, v, "this key", "ask less often, put several lists into one request, or make a key with a higher --rate")
	}
	if key.Rate > 0 {
		tell(w.Header(), v)
	}
	return nil
}

// tell says how much is left, to whoever has a limit that was chosen for them, and to whoever has met theirs.
func tell(h http.Header, v verdict) {
	h.Set("RateLimit-Limit", strconv.Itoa(v.burst))
	h.Set("RateLimit-Remaining", strconv.Itoa(v.remaining))
	h.Set("RateLimit-Reset", wholeSeconds(v.reset))
}

func refuse(w http.ResponseWriter, v verdict, who, hint string) *httpserver.Problem {
	tell(w.Header(), v)
	w.Header().Set("Retry-After", wholeSeconds(max(v.retry, time.Second)))
	return &httpserver.Problem{
		Type: ProblemTooManyRequests, Title: "Too many requests", Status: http.StatusTooManyRequests,
		Detail: who + " has made more requests than are allowed at once", Hint: hint + "; Retry-After says when the next one is allowed",
	}
}

// wholeSeconds rounds up: whoever waits as long is not too early.
func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }
