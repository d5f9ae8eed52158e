package serving

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

// ward is a house each of whose neighbours can be taken away and given back while it is being asked.
type ward struct {
	*house
	kafka  *broker.Broker
	logDir string
	redis  *redistest.Server
	sql    *valve
	models string // the directory
	hidden string // where its files are while they are away
}

func newWard(t *testing.T) *ward {
	t.Helper()
	w := &ward{logDir: t.TempDir(), hidden: t.TempDir()}
	w.startKafka(t, "127.0.0.1:0")
	t.Cleanup(func() { w.must(w.kafka.Close()) })
	place, err := url.Parse(postgrestest.Start(t).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	w.sql = newValve(t, place.Query().Get("host"))
	place.RawQuery = url.Values{"host": {w.sql.dir}}.Encode()
	dir := t.TempDir()
	w.house = newHouseOver(t, dir, place.String(), kafkatest.Dial(t, []string{w.kafka.Addr()}))
	w.models = filepath.Join(dir, "models")
	w.redis = redistest.Start(t)
	store, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: []string{w.redis.Addr}})
	w.must(err)
	t.Cleanup(func() { w.must(store.Close()) })
	w.online, w.deps.Online = store, store
	w.complete(event.TopicItems)
	w.complete(event.TopicEvents)
	return w
}

func (w *ward) startKafka(t *testing.T, listen string) {
	t.Helper()
	var err error
	if w.kafka, err = broker.Start(broker.Config{DataDir: w.logDir, Listen: listen}); err != nil {
		t.Fatal(err)
	}
}

func (w *ward) stopKafka()   { w.must(w.kafka.Close()) }
func (w *ward) returnKafka() { w.startKafka(w.tb.(*testing.T), w.kafka.Addr()) }

// returnRedis starts a Redis that has lost everything, and fills it as the stream would.
func (w *ward) returnRedis() {
	w.redis.Start()
	w.republish()
}

// hideModels empties the directory of models, the files included that are mapped.
func (w *ward) hideModels() {
	w.must(os.CopyFS(filepath.Join(w.hidden, "models"), os.DirFS(w.models)))
	entries, err := os.ReadDir(w.models)
	w.must(err)
	for _, e := range entries {
		w.must(os.RemoveAll(filepath.Join(w.models, e.Name())))
	}
}

func (w *ward) returnModels() {
	w.must(os.CopyFS(w.models, os.DirFS(filepath.Join(w.hidden, "models"))))
	w.must(os.RemoveAll(filepath.Join(w.hidden, "models")))
}

// exposed is how many lists Kafka has the record of.
func (w *ward) exposed() (n int64) {
	w.tb.Helper()
	ranges, err := w.client.Offsets(w.tb.Context(), event.TopicExposures)
	w.must(err)
	for _, r := range ranges {
		n += r.End
	}
	return n
}

// heals waits until everything is as it was: personal lists of the version in force, exposures, writes, and what rows say.
func (w *ward) heals(version string) {
	w.tb.Helper()
	waitFor(w.tb, "personal lists", func() bool {
		a := w.ask(`{"placement":"home","anonymous_id":"x"}`)
		return a.Degraded == "none" && a.ModelVersion == version
	})
	before := w.exposed()
	waitFor(w.tb, "exposures to flow", func() bool {
		w.ask(`{"placement":"popular"}`)
		return w.exposed() > before
	})
	waitFor(w.tb, "a catalogue write", func() bool {
		return w.do(http.MethodPut, "/v1/items/healed", `{"title":"Healed"}`).Code == http.StatusOK
	})
	if n := testutil.ToFloat64(w.serving.metrics.dropped); n > 0 {
		w.tb.Logf("%g exposures dropped so far", n)
	}
}

// valve is a way to the socket of PostgreSQL that can be shut: what is connected hangs or breaks off, and nobody new comes through.
type valve struct {
	dir string

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

func newValve(t *testing.T, dir string) *valve {
	t.Helper()
	const socket = ".s.PGSQL.5432"
	v := &valve{dir: t.TempDir(), conns: map[net.Conn]bool{}}
	listener, err := net.Listen("unix", filepath.Join(v.dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", filepath.Join(dir, socket))
			if err != nil || !v.admit(client, server) {
				_ = client.Close()
				continue
			}
			for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
				running.Go(func() {
					_, _ = io.Copy(to, from)
					v.end(client, server)
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		v.turn(true)
		running.Wait()
	})
	return v
}

func (v *valve) admit(client, server net.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		_ = server.Close()
		return false
	}
	v.conns[client], v.conns[server] = true, true
	return true
}

func (v *valve) end(client, server net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.conns, client)
	delete(v.conns, server)
	_, _ = client.Close(), server.Close()
}

// turn shuts or opens the valve.
func (v *valve) turn(shut bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = shut
	if shut {
		for conn := range v.conns {
			_ = conn.Close()
		}
	}
}

// wantUnavailable expects a write to be refused so that its caller knows what to do.
func (w *ward) wantUnavailable() {
	w.tb.Helper()
	r := w.do(http.MethodPut, "/v1/items/refused", `{"title":"Refused"}`)
	if r.Code != http.StatusServiceUnavailable || r.Header().Get("Retry-After") == "" {
		w.tb.Errorf("a write while Kafka is away: %d %s", r.Code, r.Body)
	}
}

// live gives the house visitors, items and a version.
func (w *ward) live() string {
	w.tb.Helper()
	t := w.tb.(*testing.T)
	for i := range 20 {
		for visitor, kind := range map[string]string{"x": "hat", "y": "cup", "z": "hat"} {
			w.happen(parseEvent(t, fmt.Sprintf("%dm a=%s type=view_item items=%s%d category=%s", 25-i, visitor, kind, i, kind)))
		}
	}
	w.happen(parseEvent(t, "2m a=y type=purchase items=cup3"))
	var sessions [][]string
	for i := range 60 {
		sessions = append(sessions, []string{fmt.Sprintf("hat%d", i%20), fmt.Sprintf("hat%d", (i+7)%20), fmt.Sprintf("more%d", i%5)},
			[]string{fmt.Sprintf("cup%d", i%20), fmt.Sprintf("cup%d", (i+3)%20)})
	}
	return w.train(sessions).Version
}
