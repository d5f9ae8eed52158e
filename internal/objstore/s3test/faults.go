package s3test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Rates say which share of the requests meets which fault; the rest is served.
type Rates struct {
	Refused float64 // answered with 503 or 500, or with a closed connection; nothing is done
	Lost    float64 // done, but the connection closes without an answer
	Late    float64 // a conditional put that is done after its connection has closed; others are Lost
	Cut     float64 // done, but the connection closes within the answer
	Slow    float64 // served some milliseconds late
}

// Faults stands before a store and lets requests fail at random, in an order that follows from the seed.
type Faults struct {
	next http.Handler
	late sync.WaitGroup

	mu     sync.Mutex
	rates  Rates
	random *rand.Rand // nil while nothing goes wrong
	count  map[string]int
	drop   string // a header that the store does not know
	hang   bool
}

// slowest is how long a slow answer takes at most. It is short, so that tests are; what a hanging store does is Hang's.
const slowest = 20 * time.Millisecond

// Set begins to let requests fail. Rates of zero end it.
func (f *Faults) Set(seed uint64, rates Rates) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rates, f.random, f.count = rates, rand.New(rand.NewPCG(seed, 0)), make(map[string]int)
}

// Ignore makes the store ignore a request header, as an older one would; an empty name ends it.
func (f *Faults) Ignore(header string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop = header
}

// Hang keeps every request waiting until its client gives up, or ends that.
func (f *Faults) Hang(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hang = on
}

// Count is how often each fault has happened since Set, by the name of its field in Rates.
func (f *Faults) Count() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[string]int, len(f.count))
	for name, n := range f.count {
		out[name] = n
	}
	return out
}

// choose draws what happens to a request, and a number for it.
func (f *Faults) choose(r *http.Request) (fault string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hang {
		return "Hang", 0
	}
	if f.random == nil {
		return "", 0
	}
	at := f.random.Float64()
	n = f.random.IntN(1 << 20)
	for _, c := range []struct {
		name string
		rate float64
	}{{"Refused", f.rates.Refused}, {"Lost", f.rates.Lost}, {"Late", f.rates.Late}, {"Cut", f.rates.Cut}, {"Slow", f.rates.Slow}} {
		if at < c.rate {
			if c.name == "Late" && r.Header.Get("If-None-Match") == "" {
				c.name = "Lost"
			}
			f.count[c.name]++
			return c.name, n
		}
		at -= c.rate
	}
	return "", 0
}

// ServeHTTP implements http.Handler.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	r.Header.Del(f.drop)
	f.mu.Unlock()
	fault, n := f.choose(r)
	switch fault {
	case "Hang":
		_, _ = io.Copy(io.Discard, r.Body) // only then a connection that closes shows
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "Refused":
		refuse(w, r, n)
	case "Lost":
		f.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case "Late":
		f.serveLate(r, n)
		panic(http.ErrAbortHandler)
	case "Cut":
		f.serveHalf(w, r, n)
	case "Slow":
		wait(r, time.Duration(n)%slowest)
		f.next.ServeHTTP(w, r)
	default:
		f.next.ServeHTTP(w, r)
	}
}

func wait(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

func refuse(w http.ResponseWriter, r *http.Request, n int) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	switch n % 3 {
	case 0:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>`)
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>`)
	default:
		panic(http.ErrAbortHandler)
	}
}

// serveLate does what was asked, some milliseconds after its client was left alone.
func (f *Faults) serveLate(r *http.Request, n int) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	late := r.Clone(r.Context())
	late.Body = io.NopCloser(bytes.NewReader(body))
	f.late.Go(func() {
		<-time.After(time.Duration(n) % slowest)
		f.next.ServeHTTP(httptest.NewRecorder(), late)
	})
}

// serveHalf gives a part of the answer.
func (f *Faults) serveHalf(w http.ResponseWriter, r *http.Request, n int) {
	whole := httptest.NewRecorder()
	f.next.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	if whole.Body.Len() == 0 || strings.EqualFold(r.Method, http.MethodHead) {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:n%whole.Body.Len()])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
