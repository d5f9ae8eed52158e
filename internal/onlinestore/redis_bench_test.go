package onlinestore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

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

// BenchmarkRedisPut writes batches of 500 rows over 20,000 keys, in turn through the store and as a pipeline of SET of the
// same bytes, which compares nothing and is the limit. The ratio of the rates is the median over the rounds.
func BenchmarkRedisPut(b *testing.B) {
	const rounds, turn = 5, 40                          // puts of each way before the other has its turn
	for _, size := range []int{512, benchValue, 4800} { // the last is a profile of 50 interactions and 20 categories
		b.Run(fmt.Sprintf("value=%d", size), func(b *testing.B) {
			server := redistest.Start(b)
			ways := [2]func(i int) error{rowsWay(b, server, size), plainWay(b, server, size)}
			var rates [2][]float64
			var ratios []float64
			for round := range rounds + 1 {
				for w, put := range ways {
					begun := time.Now()
					for i := range turn {
						if err := put(round*turn + i); err != nil {
							b.Fatal(err)
						}
					}
					rates[w] = append(rates[w], turn*benchBatch/time.Since(begun).Seconds())
				}
				ratios = append(ratios, rates[0][round]/rates[1][round])
			}
			median := func(values []float64) float64 { // but for the first round, which makes the keys
				return slices.Sorted(slices.Values(values[1:]))[rounds/2]
			}
			b.ReportMetric(median(rates[0]), "rows/s")
			b.ReportMetric(median(rates[1]), "plain-rows/s")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func rowsWay(b *testing.B, server *redistest.Server, size int) func(i int) error {
	s := openRedis(b, "", server)
	b.Cleanup(func() { _ = s.Close() })
	rows := make([]onlinestore.Row, benchBatch)
	return func(i int) error {
		for j := range rows {
			rows[j] = onlinestore.Row{Key: benchKey(i*benchBatch + j), Offset: int64(i), Value: make([]byte, size)}
		}
		return s.Put(b.Context(), rows)
	}
}

func plainWay(b *testing.B, server *redistest.Server, size int) func(i int) error {
	c := plainClient(b, server)
	return func(i int) error {
		commands := make(rueidis.Commands, benchBatch)
		for j := range commands {
			commands[j] = c.B().Set().Key(benchKey(i*benchBatch + j)).Value(string(make([]byte, size))).Build()
		}
		for _, r := range c.DoMulti(b.Context(), commands...) {
			if err := r.Error(); err != nil {
				return err
			}
		}
		return nil
	}
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
