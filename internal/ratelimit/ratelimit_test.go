package ratelimit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// clock is a guard's time.
type clock struct{ now time.Time }

func newGuard(cfg Config) (*Guard, *clock) {
	c := &clock{noon}
	cfg.Now = func() time.Time { return c.now }
	return NewGuard(cfg), c
}

// ask makes n requests and returns how many were allowed, with the last answer's headers.
func ask(g *Guard, n int, key control.Key, peer string, forwarded ...string) (allowed int, last http.Header) {
	for range n {
		r := httptest.NewRequest(http.MethodGet, "/v1/recommend", nil)
		r.RemoteAddr = peer
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		w := httptest.NewRecorder()
		p := g.Check(w, r, key)
		if p == nil {
			allowed++
		} else if p.Status != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			panic(fmt.Sprintf("refused with %+v %v", p, w.Header()))
		}
		last = w.Header()
	}
	return allowed, last
}

var (
	public = control.Key{ID: "key_p", Kind: control.KeyWrite}
	secret = control.Key{ID: "key_s", Kind: control.KeySecret}
)

// TestKeyRate: a key has its own rate or the default, whatever the network, and waiting as long as Retry-After says is enough.
func TestKeyRate(t *testing.T) {
	g, c := newGuard(Config{KeyRate: 100, NetworkRate: 1e6})
	slow := control.Key{ID: "key_slow", Kind: control.KeySecret, Rate: 10}
	if n, _ := ask(g, 300, secret, "203.0.113.1:1"); n != 100*burst {
		t.Errorf("the default rate allowed %d at once", n)
	}
	n, h := ask(g, 300, slow, "203.0.113.1:1")
	if n != 10*burst || h.Get("RateLimit-Limit") != strconv.Itoa(10*burst) || h.Get("RateLimit-Remaining") != "0" || h.Get("RateLimit-Reset") != "2" {
		t.Errorf("the key's own rate allowed %d at once, with %v", n, h)
	}
	wait, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || wait != 1 {
		t.Fatalf("Retry-After %q", h.Get("Retry-After"))
	}
	c.now = c.now.Add(time.Duration(wait) * time.Second)
	if n, h := ask(g, 100, slow, "203.0.113.1:1"); n != 10 || h.Get("RateLimit-Remaining") != "0" {
		t.Errorf("after a second %d were allowed, with %v", n, h)
	}
	c.now = c.now.Add(time.Hour)
	if n, h := ask(g, 1, slow, "203.0.113.1:1"); n != 1 || h.Get("RateLimit-Remaining") != strconv.Itoa(10*burst-1) {
		t.Errorf("after an hour: %d, %v", n, h)
	}
	lowest := control.Key{ID: "key_lowest", Kind: control.KeySecret, Rate: 0.5}
	if n, h := ask(g, 100, lowest, "203.0.113.1:1"); n != minBurst || h.Get("Retry-After") != "2" {
		t.Errorf("half a request a second allowed %d at once, with %v", n, h)
	}
}

// TestNetworkRate: a network is a /24 or a /64, public keys and wrong keys count for it, secret keys do not, and a proxy's word
// counts only where it is trusted.
func TestNetworkRate(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	const most = 50 * burst
	for _, c := range []struct {
		name         string
		first, again string // peers
		forwarded    [2]string
		key          control.Key
		together     bool
	}{
		{"one /24", "203.0.113.1:1", "203.0.113.200:1", [2]string{}, public, true},
		{"another /24", "203.0.113.1:1", "203.0.114.1:1", [2]string{}, public, false},
		{"no key", "203.0.113.1:1", "203.0.113.200:1", [2]string{}, control.Key{}, true},
		{"one /64", "[2001:db8::1]:1", "[2001:db8::ffff:1]:1", [2]string{}, public, true},
		{"another /64", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", [2]string{}, public, false},
		{"a secret key", "203.0.113.1:1", "203.0.113.1:1", [2]string{}, secret, false},
		{"this machine", "127.0.0.1:1", "127.0.0.1:1", [2]string{}, public, false},
		{"a private network", "10.0.0.1:1", "10.0.0.1:1", [2]string{}, public, false},
		{"two visitors behind our proxy", "198.51.100.7:1", "198.51.100.7:1", [2]string{"203.0.113.1", "192.0.2.1"}, public, false},
		{"one visitor behind our proxy", "198.51.100.7:1", "198.51.100.7:1", [2]string{"203.0.113.1", "203.0.113.1"}, public, true},
		{"whoever claims to be two", "203.0.113.1:1", "203.0.113.1:1", [2]string{"192.0.2.1", "192.0.3.1"}, public, true},
	} {
		g, _ := newGuard(Config{KeyRate: 1e6, NetworkRate: 50, TrustedProxies: proxies})
		n, _ := ask(g, most, c.key, c.first, c.forwarded[0])
		again, _ := ask(g, most, c.key, c.again, c.forwarded[1])
		if n != most || (again == 0) != c.together || again != 0 && again != most {
			t.Errorf("%s: %d and then %d of %d were allowed", c.name, n, again, most)
		}
	}
}

// TestMemoryIsBounded: more callers than the table holds never make it larger; whoever is silent is forgotten first, and a table of
// busy ones makes room anyway.
func TestMemoryIsBounded(t *testing.T) {
	const perShard = 16
	size := func(tab *table[int]) (n int) {
		for i := range tab.shards {
			if len(tab.shards[i].buckets) > perShard {
				t.Fatalf("%d in a shard, the limit is %d", len(tab.shards[i].buckets), perShard)
			}
			n += len(tab.shards[i].buckets)
		}
		return n
	}
	tab := newTable[int](perShard)
	drained := 0
	for range 1000 {
		if tab.take(-1, 5, noon).allowed {
			drained++
		}
	}
	later := noon.Add(500 * time.Millisecond)
	for i := range shards * perShard * 3 / 4 {
		tab.take(i, 1e6, noon) // full again within a microsecond
	}
	for i := range shards * perShard * 10 {
		tab.take(1e6+i, 1e6, later)
		later = later.Add(time.Microsecond)
		if i%100 == 0 {
			size(tab)
		}
	}
	if v := tab.take(-1, 5, noon.Add(500*time.Millisecond)); drained != minBurst || v.remaining > 2 {
		t.Errorf("whoever was over the limit was forgotten for those who are silent: %d, then %+v", drained, v)
	}
	for i := range shards * perShard * 4 {
		for range 3 {
			tab.take(1e8+i, 1, later) // nobody is silent
		}
		if i%100 == 0 {
			size(tab)
		}
	}
	if n := size(tab); n < shards*perShard/2 {
		t.Errorf("only %d of %d places are used", n, shards*perShard)
	}
}

// TestConcurrentCallers: no request is counted twice or not at all.
func TestConcurrentCallers(t *testing.T) {
	tab := newTable[string](4)
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 500 {
				if tab.take("one", 100, noon).allowed {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if allowed.Load() != 100*burst {
		t.Errorf("%d were allowed, not %d", allowed.Load(), 100*burst)
	}
}

// BenchmarkCheck is what the limits cost a request: of one busy key, of visitors from many networks, and of more networks than
// are remembered.
func BenchmarkCheck(b *testing.B) {
	for name, networks := range map[string]int{"one network": 1, "10,000 networks": 10_000, "200,000 networks": 200_000} {
		peers := make([]string, networks)
		for i := range peers {
			peers[i] = fmt.Sprintf("%d.%d.%d.7:1234", 20+i>>16, i>>8&255, i&255)
		}
		b.Run(name, func(b *testing.B) {
			g := NewGuard(Config{KeyRate: 1e9, NetworkRate: 1e6})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := httptest.NewRequest(http.MethodGet, "/v1/recommend", nil)
				w := httptest.NewRecorder()
				for i := 0; pb.Next(); i++ {
					r.RemoteAddr = peers[i%len(peers)]
					if p := g.Check(w, r, public); p != nil {
						b.Fatal(p)
					}
				}
			})
		})
	}
}
