package registry

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
)

// BenchmarkLoad loads a version of a large shop: 36,968 items, a million clicks, and an EASE of 200 neighbours an item. heap is what
// the loaded models take of it, which is what no other process shares and the system cannot drop.
func BenchmarkLoad(b *testing.B) {
	r := open(b)
	m, err := r.Publish(b.Context(), Manifest{Site: site, CreatedAt: start}, largeShop(b))
	if err != nil {
		b.Fatal(err)
	}
	size := int64(0)
	for _, f := range m.Files {
		size += f.Bytes
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var loaded *Bundle
	for b.Loop() {
		if loaded, err = r.Load(b.Context(), site, m.Version); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(loaded)
	b.ReportMetric(float64(size)/1e6, "MB-files")
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/1e6, "MB-heap")
}

// BenchmarkAnswer asks the loaded models: where their arrays are must not cost a query much.
func BenchmarkAnswer(b *testing.B) {
	r := open(b)
	m, err := r.Publish(b.Context(), Manifest{Site: site, CreatedAt: start}, largeShop(b))
	if err != nil {
		b.Fatal(err)
	}
	loaded, err := r.Load(b.Context(), site, m.Version)
	if err != nil {
		b.Fatal(err)
	}
	asked := synthetic.Sessions(synthetic.Clicks{Clicks: 50_000, Items: loaded.Vocabulary.Len(), Seed: 2})
	for _, name := range []string{"transitions", "vstan", "ease"} {
		b.Run(name, func(b *testing.B) {
			var dst []model.Scored
			for i := 0; b.Loop(); i++ {
				items, _ := asked.At(i % asked.Len())
				dst = loaded.Scorers[name].Score(dst[:0], model.Query{Items: items}, 50)
			}
		})
	}
}

func largeShop(b *testing.B) []Artifact {
	b.Helper()
	const items = 36_968
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	vocabulary := model.NewVocabulary()
	for i := range items {
		vocabulary.Add(fmt.Sprintf("item-%d", i))
	}
	sessions := synthetic.Sessions(synthetic.Clicks{Clicks: 1_000_000, Items: items, Seed: 1})
	pop, err := popularity.Fit(popularity.Default(), sessions, items, nil)
	must(err)
	trans, err := transitions.Fit(transitions.Default(), sessions, items)
	must(err)
	knn, err := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), sessions, items)
	must(err)
	cfg := ease.Default()
	cfg.Candidates = 200
	near, err := ease.Fit(b.Context(), cfg, synthetic.Interactions(synthetic.Shape{Rows: 100_000, Items: items, Positives: 1_000_000, Seed: 1}), nil)
	must(err)
	return []Artifact{{"vocabulary", vocabulary}, {"popularity", pop}, {"transitions", trans}, {"vstan", knn}, {"ease", near}}
}
