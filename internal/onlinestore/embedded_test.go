package onlinestore_test

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/onlinestoretest"
)

func TestEmbedded(t *testing.T) {
	dirs := map[onlinestore.Store]string{}
	openDir := func(t *testing.T, dir string) onlinestore.Store {
		s, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: dir, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		dirs[s] = dir
		return s
	}
	onlinestoretest.Run(t,
		func(t *testing.T) onlinestore.Store { return openDir(t, t.TempDir()) },
		func(t *testing.T, s onlinestore.Store) onlinestore.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openDir(t, dirs[s])
		})
}

// BenchmarkEmbeddedGet is the read on the path of every recommendation: a profile of 2 KiB among 20,000.
func BenchmarkEmbeddedGet(b *testing.B) {
	s, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const profiles = 20_000
	keys := make([]string, profiles)
	for i := range keys {
		keys[i] = onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: fmt.Sprintf("b%07d", i)})
		if err := s.Put(b.Context(), []onlinestore.Row{{Key: keys[i], Value: make([]byte, 2048)}}); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		if _, ok, err := s.Get(b.Context(), keys[(i*7919)%profiles]); !ok || err != nil {
			b.Fatal(ok, err)
		}
		i++
	}
}

// BenchmarkEmbeddedPut writes batches of 100 rows of 2 KiB over 20,000 keys; figures are for one batch.
func BenchmarkEmbeddedPut(b *testing.B) {
	s, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	rows := make([]onlinestore.Row, 100)
	i := 0
	for b.Loop() {
		for j := range rows {
			rows[j] = onlinestore.Row{Key: fmt.Sprintf("p/default:a:b%07d:0", (i*100+j)%20_000), Offset: int64(i), Value: make([]byte, 2048)}
		}
		if err := s.Put(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
