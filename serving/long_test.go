package serving

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
)

// bigCatalogue is how many items the long tests have, and bigLimit what a process with all of them may take.
const (
	bigCatalogue = 1_000_000
	bigLimit     = 1536 << 20
)

// usualItem is an article as shops have them: a title of seven words, two addresses, a path of three categories, one of thousands of
// brands, and two fields of the shop's own.
func usualItem(rng *rand.Rand, zipf *rand.Zipf, i int) Item {
	words := make([]string, 7)
	for w := range words {
		words[w] = spoken(zipf.Uint64())
	}
	top, middle := rng.IntN(20), rng.IntN(12)
	title := strings.Join(words, " ")
	return Item{
		ItemID: fmt.Sprintf("sku-%07d", i), Title: title, Brand: fmt.Sprintf("Brand %d", rng.IntN(3_000)), Available: rng.IntN(20) > 0,
		Categories: []string{fmt.Sprintf("Top %d", top), fmt.Sprintf("Middle %d.%d", top, middle), fmt.Sprintf("Leaf %d.%d.%d", top, middle, rng.IntN(8))},
		Price:      new(float64(rng.IntN(20_000)) / 100), Currency: "EUR", URL: "https://shop.example/p/" + strings.ReplaceAll(title, " ", "-"),
		ImageURL: fmt.Sprintf("https://images.shop.example/articles/%07d/large.jpg", i), PublishedAt: noon.Add(-time.Duration(rng.IntN(1e6)) * time.Second),
		Fields: map[string]any{"colour": fmt.Sprintf("colour%d", rng.IntN(12)), "material": fmt.Sprintf("material %d", rng.IntN(30))},
	}
}

// spoken is a word of two to four syllables, always the same of one number.
func spoken(n uint64) (word string) {
	rng := rand.New(rand.NewPCG(n, 3))
	for range 2 + rng.IntN(3) {
		word += []string{"b", "br", "d", "f", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "w"}[rng.IntN(16)] +
			[]string{"a", "e", "i", "o", "u", "ai", "ea", "or", "an", "in"}[rng.IntN(10)]
	}
	return word
}

// heap is what lives in memory, in MiB; resident is what the process takes, at the most so far.
func heap() (live, resident float64) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb float64
			_, _ = fmt.Sscan(rest, &kb)
			resident = kb / 1024
		}
	}
	return float64(m.HeapAlloc) / (1 << 20), resident
}

// TestLongMillionItems loads a million items of usual texts as a node does that starts, and prints what each part takes.
func TestLongMillionItems(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_LONG") != "1" {
		t.Skip("set MILLRACE_TEST_LONG=1")
	}
	debug.SetMemoryLimit(bigLimit)
	h := newHouse(t)
	stockStore(h)
	base, _ := heap()
	h.open()
	began := time.Now()
	h.must(h.serving.catalogue.loadBase(t.Context(), h.marker()))
	took := time.Since(began)
	rows, resident := heap()
	t.Logf("rows and index: %.0f MiB, %.0f bytes an item, read in %v; resident %.0f MiB", rows-base, (rows-base)*(1<<20)/bigCatalogue, took.Round(time.Millisecond), resident)
	began = time.Now()
	h.must(h.serving.similar.fill(t.Context()))
	took = time.Since(began)
	alike, resident := heap()
	t.Logf("similar items: %.0f MiB, in %v; resident %.0f MiB", alike-rows, took.Round(time.Millisecond), resident)
	if n := h.serving.catalogue.size(testSite); n != bigCatalogue {
		t.Errorf("%d items", n)
	}
	runtime.KeepAlive(h)
}

// stockStore puts a million rows into the online store.
func stockStore(h *house) {
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.05, 4, 200_000)
	var step []onlinestore.Row
	for i := range bigCatalogue {
		row := keptRow{CatalogueRow: event.CatalogueRow{Site: testSite, CatalogueItem: usualItem(rng, zipf, i), Revision: 1, UpdatedAt: noon}, CreatedAt: noon}
		value, err := encodeRow(row)
		h.must(err)
		step = append(step, onlinestore.Row{Key: onlinestore.CatalogKey(testSite, row.ItemID), Version: itemRowVersion, Epoch: 1, Offset: int64(i), Value: value})
		if len(step) == 10_000 {
			h.must(h.online.Put(h.tb.Context(), step))
			step = step[:0]
		}
	}
}
