package beacon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lanes are the shop at addresses of their own: each scenario has one, with faults that meet nobody else, so that scenarios
// run side by side.
type lanes struct {
	t    *testing.T
	shop http.Handler

	mu    sync.Mutex
	byURL map[string]*lane
}

// lane is one address of the shop.
type lane struct {
	mu    sync.Mutex
	fault fault
	hits  []hit
}

// fault is what requests to the collector meet instead of it.
type fault struct {
	Status     int    `json:"status"`      // answered with it
	RetryAfter int    `json:"retry_after"` // seconds, beside the status
	Reset      bool   `json:"reset"`       // the connection is torn down
	Hang       bool   `json:"hang"`        // no answer
	Swallow    bool   `json:"swallow"`     // acknowledged and lost: what no fault of ours may do
	Body       string `json:"body"`        // beside the status, such as the page of a network that wants a login
}

// hit is one request that the beacon made.
type hit struct {
	AtMillis int64 `json:"at"`
	Events   int   `json:"events"`
	Bytes    int   `json:"bytes"`
	Met      bool  `json:"met"` // a fault
}

// open makes a lane and answers its address. On a cold one each request needs a connection of its own, which is held for
// hold and dropped where the browser has given it up by then, as on a network with a slow handshake.
func (l *lanes) open(w http.ResponseWriter, r *http.Request) {
	hold, err := strconv.Atoi(r.URL.Query().Get("hold"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	listener, err := (&net.ListenConfig{}).Listen(r.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	made := &lane{}
	server := &http.Server{Handler: made.around(l.shop), ReadHeaderTimeout: time.Minute}
	if hold > 0 {
		server.SetKeepAlivesEnabled(false)
		listener = coldListener{listener, time.Duration(hold) * time.Millisecond}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			l.t.Errorf("serve lane: %v", err)
		}
	})
	l.t.Cleanup(func() { _ = server.Close(); wg.Wait() })
	url := "http://" + listener.Addr().String()
	l.mu.Lock()
	l.byURL[url] = made
	l.mu.Unlock()
	_ = json.NewEncoder(w).Encode(url)
}

// control sets the fault of a lane where the request has one, and answers the requests of its beacons so far.
func (l *lanes) control(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	found := l.byURL[r.URL.Query().Get("lane")]
	l.mu.Unlock()
	if found == nil {
		http.NotFound(w, r)
		return
	}
	found.mu.Lock()
	defer found.mu.Unlock()
	if r.Method == http.MethodPost {
		found.fault = fault{}
		if err := json.NewDecoder(r.Body).Decode(&found.fault); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	_ = json.NewEncoder(w).Encode(append([]hit{}, found.hits...))
}

// around lets requests meet the lane's fault.
func (l *lane) around(shop http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/v1/events") {
			shop.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // given up by the browser on its way
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		n := bytes.Count(body, []byte(`"event_id"`))
		l.mu.Lock()
		f := l.fault
		l.hits = append(l.hits, hit{AtMillis: time.Now().UnixMilli(), Events: n, Bytes: len(body), Met: f != fault{}})
		l.mu.Unlock()
		if !f.meet(w, r, n) {
			shop.ServeHTTP(w, r)
		}
	})
}

// meet answers in the collector's place, and reports whether it did.
func (f fault) meet(w http.ResponseWriter, r *http.Request, events int) bool {
	switch {
	case f.Hang:
		<-r.Context().Done()
	case f.Reset:
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err) // no HTTP/1: the rig is wrong
		}
		_ = conn.(interface{ SetLinger(int) error }).SetLinger(0)
		_ = conn.Close()
	case f.Swallow:
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]any{"accepted": events, "duplicates": 0, "rejected": []int{}})
	case f.Status > 0:
		if f.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	default:
		return false
	}
	return true
}

// coldListener holds each connection before anything is read from it.
type coldListener struct {
	net.Listener
	hold time.Duration
}

func (l coldListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &coldConn{TCPConn: conn.(*net.TCPConn), hold: l.hold}, nil
}

type coldConn struct {
	*net.TCPConn
	hold time.Duration
	warm sync.Once
}

func (c *coldConn) Read(p []byte) (int, error) {
	c.warm.Do(func() {
		<-time.After(c.hold)
		if c.abandoned() {
			_ = c.Close()
		}
	})
	return c.TCPConn.Read(p)
}

// abandoned reports whether the browser has closed its side. What it has written before is in the socket all the same, but
// on a network whose handshake takes this long it would not have been written.
func (c *coldConn) abandoned() (gone bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		_, err := unix.Poll(polled, 0)
		gone = err != nil || polled[0].Revents != 0
	})
	return gone || err != nil
}
