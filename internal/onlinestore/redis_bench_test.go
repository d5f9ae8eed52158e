package onlinestore_test

import (
	"fmt"
	"testing"

	"github.com/redis/rueidis"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

const (
	benchBatch = 500 // rows of one put, as the stream publishes again
	benchValue = 2048
	benchKeys  = 20_000
)

// plainClient is the limit that the adapter is measured beside: the same client, with commands that compare nothing.
func plainClient(b *testing.B, server *redistest.Server) rueidis.Client {
	b.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr}, DisableCache: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

func benchKey(i int) string { return fmt.Sprintf("p/default:a:b%07d:0", i%benchKeys) }

// BenchmarkRedisPut writes batches of 500 rows of 2 KiB over 20,000 keys; "plain" is a pipeline of SET of the same bytes.
func BenchmarkRedisPut(b *testing.B) {
	server := redistest.Start(b)
	b.Run("rows", func(b *testing.B) {
		s := openRedis(b, "", server)
		defer s.Close()
		rows := make([]onlinestore.Row, benchBatch)
		b.SetBytes(benchBatch * benchValue)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			for j := range rows {
				rows[j] = onlinestore.Row{Key: benchKey(i*benchBatch + j), Offset: int64(i), Value: make([]byte, benchValue)}
			}
			if err := s.Put(b.Context(), rows); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		c := plainClient(b, server)
		b.SetBytes(benchBatch * benchValue)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			commands := make(rueidis.Commands, benchBatch)
			for j := range commands {
				commands[j] = c.B().Set().Key(benchKey(i*benchBatch + j)).Value(string(make([]byte, benchValue))).Build()
			}
			for _, r := range c.DoMulti(b.Context(), commands...) {
				if err := r.Error(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkRedisGet is the read on the path of every recommendation; "plain" is GET of the same value.
func BenchmarkRedisGet(b *testing.B) {
	server := redistest.Start(b)
	b.Run("rows", func(b *testing.B) {
		s := openRedis(b, "", server)
		defer s.Close()
		if err := s.Put(b.Context(), []onlinestore.Row{{Key: benchKey(0), Value: make([]byte, benchValue)}}); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, ok, err := s.Get(b.Context(), benchKey(0)); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		c := plainClient(b, server)
		if err := c.Do(b.Context(), c.B().Set().Key("k").Value(string(make([]byte, benchValue))).Build()).Error(); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Do(b.Context(), c.B().Get().Key("k").Build()).Error(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
