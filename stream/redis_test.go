package stream

import (
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

// redisHouse is a house whose online store is a real Redis without persistence: what it loses is gone.
func redisHouse(t *testing.T) (*house, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t)
	h := newHouse(t)
	store, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: []string{server.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	h.useOnline = store
	return h, server
}

// until returns when what is asked holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(time.Minute)
	for !holds() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-timeout:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// complete reports whether every partition has said that the store, as it is now, has all its rows.
func (h *house) complete() bool {
	marker, err := h.useOnline.Marker(h.t.Context())
	if err != nil {
		return false
	}
	for p := range int32(testPartitions) {
		row, ok, err := h.useOnline.Get(h.t.Context(), onlinestore.OffsetKey(event.TopicEvents, p))
		if err != nil || !ok || !onlinestore.CompleteFor(row, marker) {
			return false
		}
	}
	return true
}

// TestRedisIsLostUnderLoad kills Redis, or empties it, while events come in: the stream must neither stop nor lose, and
// bring back every row, also of visitors who never come again.
func TestRedisIsLostUnderLoad(t *testing.T) {
	for name, lose := range map[string]func(s *running, server *redistest.Server){
		"kill -9 and restart": func(s *running, server *redistest.Server) {
			server.Kill()
			until(t, "publication waits", func() bool { return s.deps.Online.(*patient).away() > 100*time.Millisecond })
			server.Start()
		},
		"FLUSHALL": func(_ *running, server *redistest.Server) { server.FlushAll() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, server := redisHouse(t)
			tr := newTraffic(7)
			s := h.start()
			h.produce(tr.next(500)...)
			s.drain()
			until(t, "the store is complete at first", h.complete)

			produced := make(chan struct{})
			go func() {
				defer close(produced)
				for range 30 {
					h.produce(tr.next(50)...)
				}
			}()
			lose(s, server)
			<-produced
			s.drain()
			if report := verify(t, s.Stream); report.Rows == 0 {
				t.Fatal("verify compared nothing")
			}
			h.checkLanded(tr.ids)
		})
	}
}

// TestStopWhileRedisIsAway: a partition that is taken away must not wait for Redis, and what it had not published is
// published by the next owner, who may start before Redis does.
func TestStopWhileRedisIsAway(t *testing.T) {
	h, server := redisHouse(t)
	h.drainTimeout = 100 * time.Millisecond
	tr := newTraffic(8)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	server.Kill()
	h.produce(tr.next(200)...)
	until(t, "publication waits", func() bool { return s.deps.Online.(*patient).away() > 0 })
	begun := time.Now()
	s.halt()
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %v", took)
	}

	s = h.start()
	until(t, "the next owner waits", func() bool { return s.deps.Online.(*patient).away() > 0 })
	server.Start()
	s.drain()
	verify(t, s.Stream)
	h.checkLanded(tr.ids)
}

// TestCompleteIsSaidAnew: a declaration for a lost store may stand at a later position than the state that was restored.
func TestCompleteIsSaidAnew(t *testing.T) {
	h := newHouse(t)
	for p := range int32(testPartitions) {
		row := onlinestore.Row{Key: onlinestore.OffsetKey(event.TopicEvents, p), Epoch: 9, Offset: 1 << 40, Value: onlinestore.CompleteValue("another" + strconv.Itoa(int(p)))}
		if err := h.online.Put(t.Context(), []onlinestore.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	h.start().drain()
	if !h.complete() {
		t.Fatal("the store is not said to be complete: no serving node would ever be ready")
	}
}
