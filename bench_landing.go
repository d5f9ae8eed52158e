package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

const (
	landingRows   = 200_000 // about what a busy shop sends in a minute, and enough to drown one commit's fixed cost
	landingRounds = 5       // the median counts
)

// benchLanding measures rows landed per second: encoded, fsynced and committed under the exactly-once fence. Its limit is
// what encoding the same rows and writing the same bytes to the same disk cost alone, one after the other.
func benchLanding(ctx context.Context, progress io.Writer, emit func(benchResult) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-landing-")
	if err != nil {
		return fmt.Errorf("make bench directory: %w", err)
	}
	defer os.RemoveAll(dir)
	store, err := lake.Open(ctx, lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		return fmt.Errorf("open bench lake: %w", err)
	}
	defer store.Close()

	var landed, encoded, written, commits []float64
	for round := range landingRounds {
		rows := landingSample(round, landingRows)
		fence := lake.Fence{
			Topic: event.TopicEvents, Epoch: 1, Partition: 0,
			From: int64(round * landingRows), Next: int64((round + 1) * landingRows),
		}
		start := time.Now()
		if err := store.Commit(ctx, lake.Landing{Events: rows, Fences: []lake.Fence{fence}}); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		landed = append(landed, landingRows/time.Since(start).Seconds())

		var file bytes.Buffer
		start = time.Now()
		if err := lake.EncodeEvents(&file, rows); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
		encoding := time.Since(start)
		encoded = append(encoded, landingRows/encoding.Seconds())
		writing, err := timeDurableWrite(filepath.Join(dir, "limit"), file.Bytes())
		if err != nil {
			return err
		}
		written = append(written, landingRows/(encoding+writing).Seconds())

		small := lake.Fence{Topic: event.TopicEvents, Epoch: 1, Partition: 1, From: int64(round), Next: int64(round + 1)}
		one := landingSample(landingRounds+round, 1)
		one[0].At.Partition, one[0].At.Offset = 1, int64(round)
		start = time.Now()
		if err := store.Commit(ctx, lake.Landing{Events: one, Fences: []lake.Fence{small}}); err != nil {
			return fmt.Errorf("commit one row: %w", err)
		}
		commits = append(commits, float64(time.Since(start).Microseconds())/1000)
		fmt.Fprintf(progress, "round %d of %d: %.0f rows/s\n", round+1, landingRounds, landed[round])
	}
	limit := median(written)
	rate := benchResult{Bench: "landing", Metric: "rows_per_second", Value: median(landed), Unit: "rows/s"}
	if err := emit(rate.against(limit, "encode, write and fsync of the same rows")); err != nil {
		return err
	}
	alone := benchResult{Bench: "landing", Metric: "encode_rows_per_second", Value: median(encoded), Unit: "rows/s"}
	if err := emit(alone.against(limit, "encode, write and fsync of the same rows")); err != nil {
		return err
	}
	sync, err := timeDurableWrite(filepath.Join(dir, "limit"), []byte{0})
	if err != nil {
		return err
	}
	commit := benchResult{Bench: "landing", Metric: "commit_of_one_row", Value: median(commits), Unit: "ms"}
	return emit(commit.against(float64(sync.Microseconds())/1000, "one fsynced write of a byte"))
}

// timeDurableWrite is the disk's own answer: how long content takes to be safe in a new file.
func timeDurableWrite(path string, content []byte) (time.Duration, error) {
	start := time.Now()
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("create limit file: %w", err)
	}
	defer os.Remove(path)
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return 0, fmt.Errorf("write limit file: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("sync limit file: %w", err)
	}
	return time.Since(start), nil
}

// landingSample makes n events that look like a shop's: skewed items, sessions of a few views, prices, pages.
func landingSample(round, n int) []lake.EventRow {
	rng := rand.New(rand.NewPCG(uint64(round), 1))
	items := rand.NewZipf(rng, 1.2, 10, 20_000)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(round) * time.Minute)
	rows := make([]lake.EventRow, n)
	for i := range rows {
		at = at.Add(time.Duration(rng.IntN(600)) * time.Microsecond)
		item := items.Uint64()
		price := float64(item%9000)/100 + 1
		visitor := rng.IntN(n/6 + 1)
		rows[i] = lake.EventRow{
			Event: &event.Event{
				EventID: event.NewID(at), Site: event.DefaultSite, Type: event.ViewItem,
				OccurredAt: at.Truncate(time.Millisecond), ReceivedAt: at.Truncate(time.Millisecond),
				AnonymousID: fmt.Sprintf("visitor-%08d", visitor), SessionID: fmt.Sprintf("session-%08d", visitor),
				Items:           []event.Item{{ItemID: fmt.Sprintf("sku-%06d", item), Price: &price, ItemCategory: fmt.Sprintf("category-%d", item%40)}},
				Page:            &event.Page{URL: fmt.Sprintf("https://shop.example/item/%d", item)},
				UserAgentFamily: "Chrome", Device: "desktop", NetworkPrefix: "203.0.113.0/24",
			},
			At: lake.Position{Topic: event.TopicEvents, Epoch: 1, Offset: int64(round*n + i)},
		}
	}
	return rows
}
