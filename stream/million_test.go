package stream

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// residentBytes is what the process holds in memory now.
func residentBytes(t *testing.T) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skipf("memory is measured on Linux: %v", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kib int64
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS in /proc/self/status")
	return 0
}

// TestLongMillionProfiles keeps a million profiles of 50 interactions and 20 categories, lets each visitor of a sample come
// back, and bounds the memory of the process: profiles are rows on disk.
func TestLongMillionProfiles(t *testing.T) {
	kafkatest.Long(t)
	const profiles, limit = 1_000_000, int64(1536) << 20
	cache := state.NewCache(256 << 20)
	defer cache.Close()
	db, err := state.Open(filepath.Join(t.TempDir(), "0"), state.Options{Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	visit := func(browser string, n int) *event.Event {
		price := 10 + float64(n%50)
		when := at.Add(time.Duration(n) * 7 * time.Minute)
		return &event.Event{EventID: fmt.Sprintf("%s-%d", browser, n), Site: "default", Type: event.ViewItem, OccurredAt: when, ReceivedAt: when, AnonymousID: browser,
			Items: []event.Item{{ItemID: fmt.Sprintf("item-%05d", n*n%5000), ItemCategory: fmt.Sprintf("category-%d", n%20), Price: &price}}}
	}
	var p feature.Profile
	for n := range 50 {
		p.Apply(visit("somebody", n))
	}
	value := p.Encode(nil)
	t.Logf("a profile takes %d bytes", len(value))
	browser := func(i int) string { return fmt.Sprintf("b%07d", i) }
	var peak int64
	for i := 0; i < profiles; i += 10_000 {
		batch := db.NewBatch()
		for j := i; j < i+10_000; j++ {
			// Ids of applied events are the last bytes and as good as random: no two rows are alike.
			binary.LittleEndian.PutUint64(value[len(value)-8:], uint64(j)*0x9E3779B97F4A7C15)
			key := onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: browser(j)})
			batch.Set(key, onlinestore.AppendRow(nil, onlinestore.Row{Key: key, Version: feature.Version, Value: value}))
		}
		if err := db.Commit(batch, state.Position{Epoch: 1, Offset: int64(i)}); err != nil {
			t.Fatal(err)
		}
		batch.Discard()
		peak = max(peak, residentBytes(t))
	}
	a, err := newApplier(db, 0, allRows)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50_000 {
		e := visit(browser(i*19%profiles), 60)
		if _, err := a.apply(e, state.Position{Epoch: 1, Offset: int64(profiles + i)}); err != nil {
			t.Fatal(err)
		}
		if i%batchRecords == 0 {
			if _, err := a.commit(1); err != nil {
				t.Fatal(err)
			}
			peak = max(peak, residentBytes(t))
		}
	}
	t.Logf("%d profiles: at most %d MiB resident", profiles, peak>>20)
	if peak > limit {
		t.Errorf("the process held %d MiB, want at most %d MiB", peak>>20, limit>>20)
	}
}
