package onlinestore_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/onlinestoretest"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

// openRedis opens a store on a server; the test closes it.
func openRedis(tb testing.TB, namespace string, servers ...*redistest.Server) *onlinestore.Redis {
	tb.Helper()
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.Addr)
	}
	s, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: addresses, Namespace: namespace})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// contract runs the suite; every store is a namespace of its own.
func contract(t *testing.T, servers ...*redistest.Server) {
	namespaces := map[onlinestore.Store]string{}
	openNamed := func(t *testing.T, namespace string) onlinestore.Store {
		s := openRedis(t, namespace, servers...)
		namespaces[s] = namespace
		return s
	}
	onlinestoretest.Run(t,
		func(t *testing.T) onlinestore.Store { return openNamed(t, "test"+strconv.Itoa(len(namespaces))) },
		func(t *testing.T, s onlinestore.Store) onlinestore.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openNamed(t, namespaces[s])
		})
}

func TestRedis(t *testing.T) { contract(t, redistest.Start(t)) }

// TestRedisCluster would fail if a script touched keys of two slots, or if a scan asked one node only.
func TestRedisCluster(t *testing.T) {
	nodes := redistest.Cluster(t, 3)
	contract(t, nodes...)
	for _, node := range nodes {
		if size := node.Do("DBSIZE"); size == ":0" {
			t.Errorf("%s holds no key: groups are not spread over the cluster", node.Addr)
		}
	}
}

func TestRedisAwayIsUnavailable(t *testing.T) {
	server := redistest.Start(t)
	s := openRedis(t, "", server)
	defer s.Close()
	row := onlinestore.Row{Key: "p/k", Value: []byte("v")}
	if err := s.Put(t.Context(), []onlinestore.Row{row}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Marker(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	server.Kill()
	_, _, err = s.Get(t.Context(), "p/k")
	wantUnavailable(t, "get", err)
	wantUnavailable(t, "put", s.Put(t.Context(), []onlinestore.Row{row}))
	wantUnavailable(t, "replace", s.Replace(t.Context(), []onlinestore.Replacement{{Seen: row}}))
	wantUnavailable(t, "scan", s.Scan(t.Context(), "", func(onlinestore.Row) error { return nil }))
	_, err = s.Marker(t.Context())
	wantUnavailable(t, "marker", err)

	// It heals with the server, which knows no script any more, and shows the loss.
	server.Start()
	eventually(t, func() error { return s.Put(t.Context(), []onlinestore.Row{row}) })
	after, err := s.Marker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after == before {
		t.Fatal("the marker outlived the loss of all rows")
	}
}

// TestRedisHangs would hang if a call relied on the server for its end.
func TestRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	s := openRedis(t, "", server)
	defer s.Close()
	if _, _, err := s.Get(t.Context(), "p/k"); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	start := time.Now()
	_, _, err := s.Get(t.Context(), "p/k")
	wantUnavailable(t, "get", err)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("a read waited %v for a server that hangs", took)
	}
	server.Resume()
	eventually(t, func() error { _, _, err := s.Get(t.Context(), "p/k"); return err })
}

func TestRedisConnectsLater(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	s := openRedis(t, "", server)
	defer s.Close()
	_, err := s.Marker(t.Context())
	wantUnavailable(t, "marker before the server is up", err)
	server.Start()
	eventually(t, func() error { _, err := s.Marker(t.Context()); return err })
}

// TestRedisMarkerShowsEveryLoss: what is lost need not take the marker with it.
func TestRedisMarkerShowsEveryLoss(t *testing.T) {
	nodes := redistest.Cluster(t, 3)
	s := openRedis(t, "", nodes...)
	defer s.Close()
	seen := map[string]string{}
	look := func(what string) {
		t.Helper()
		m, err := s.Marker(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[m]; ok {
			t.Fatalf("after %s the marker is that of %s", what, before)
		}
		seen[m] = what
	}
	look("the start")
	for i, node := range nodes {
		node.FlushAll()
		look(fmt.Sprintf("the loss of node %d alone", i))
	}
}

// TestRedisMarkerShowsARestart: a restart may bring back an older file, marker included.
func TestRedisMarkerShowsARestart(t *testing.T) {
	server := redistest.Start(t, "--save", "3600 1")
	s := openRedis(t, "", server)
	defer s.Close()
	before, err := s.Marker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server.Do("SAVE")
	if err := s.Put(t.Context(), []onlinestore.Row{{Key: "p/k"}}); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start()
	var after string
	eventually(t, func() (err error) { after, err = s.Marker(t.Context()); return err })
	eventually(t, func() error {
		_, ok, err := s.Get(t.Context(), "p/k")
		if ok {
			t.Fatal("the row came back with the file: the test proves nothing")
		}
		return err
	})
	if after == before {
		t.Fatal("the marker came back without the row: nobody would publish it again")
	}
}

func TestRedisRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		config  onlinestore.RedisConfig
	}{
		{"a wrong password", []string{"--requirepass", "right"}, onlinestore.RedisConfig{Password: "wrong"}},
		{"no password", []string{"--requirepass", "right"}, onlinestore.RedisConfig{}},
		{"eviction", []string{"--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"}, onlinestore.RedisConfig{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.Addresses = []string{redistest.Start(t, c.options...).Addr}
			s, err := onlinestore.OpenRedis(c.config)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Put(t.Context(), []onlinestore.Row{{Key: "k"}}); err == nil || errors.Is(err, onlinestore.ErrUnavailable) {
				t.Fatalf("put: %v, want an error that does not look like one that passes", err)
			}
		})
	}
	for _, cfg := range []onlinestore.RedisConfig{{}, {Addresses: []string{"127.0.0.1:1"}, Namespace: "a{b}"}} {
		if _, err := onlinestore.OpenRedis(cfg); err == nil {
			t.Errorf("configuration %+v was taken", cfg)
		}
	}
}

func TestRedisTakesAUser(t *testing.T) {
	server := redistest.Start(t, "--user", "writer", "on", ">secret", "~shop:*", "+@all")
	s, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: []string{server.Addr}, Username: "writer", Password: "secret", Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(t.Context(), []onlinestore.Row{{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
}

// TestRedisForgetsRemovedRows: a scan passes over what the index still has of a removed row, so it would never tell.
func TestRedisForgetsRemovedRows(t *testing.T) {
	server := redistest.Start(t)
	s := openRedis(t, "", server)
	defer s.Close()
	rows := []onlinestore.Row{{Key: "p/s:a:1:0"}, {Key: "p/s:a:2:0"}, {Key: "link/s/u/b/0"}}
	if err := s.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	var gone []onlinestore.Replacement
	for _, r := range rows {
		gone = append(gone, onlinestore.Replacement{Seen: r})
	}
	if err := s.Replace(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if left := server.Do("DBSIZE"); left != ":0" {
		t.Errorf("without any row the store still has keys: %s", left)
	}
}

// TestRedisBigBatch is cut into several scripts and pipelines.
func TestRedisBigBatch(t *testing.T) {
	s := openRedis(t, "", redistest.Start(t))
	defer s.Close()
	rows := make([]onlinestore.Row, 9000)
	for i := range rows {
		rows[i] = onlinestore.Row{Key: fmt.Sprintf("p/s:a:%d:0", i), Offset: int64(i), Value: make([]byte, 1000)}
	}
	rows[17].Value = make([]byte, 10<<20) // alone larger than a pipeline
	if err := s.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.Scan(t.Context(), "p/s:", func(r onlinestore.Row) error {
		if want := rows[r.Offset]; r.Key != want.Key || len(r.Value) != len(want.Value) {
			return fmt.Errorf("row %s with %d bytes, want %s with %d", r.Key, len(r.Value), want.Key, len(want.Value))
		}
		n++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(rows) {
		t.Fatalf("%d rows, want %d", n, len(rows))
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, onlinestore.ErrUnavailable) {
		t.Errorf("%s with Redis away: %v, want ErrUnavailable", what, err)
	}
}

// eventually tries until what is asked succeeds: a client notices a server's return within its own pauses.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-timeout:
			t.Fatal(err)
		}
	}
}
