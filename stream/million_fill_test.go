package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

const millionCategories = 20

// Visits that the states hold came over the eight days for which ids are kept; the load comes after them.
var (
	millionFillBegins = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	millionLoadBegins = millionFillBegins.Add(state.DedupWindow)
)

func millionVisitor(i int) string { return fmt.Sprintf("b%07d", i) }

// millionVisit is a view of an item.
func millionVisit(r *rand.Rand, visitor string, category int, at time.Time) *event.Event {
	price := float64(r.IntN(90_000)) / 100
	return &event.Event{EventID: event.NewID(at), Site: "default", Type: event.ViewItem, OccurredAt: at, ReceivedAt: at, AnonymousID: visitor,
		Items: []event.Item{{ItemID: fmt.Sprintf("item%05d", r.IntN(5000)), ItemCategory: fmt.Sprintf("category%02d", category), Price: &price}}}
}

// millionProfile is an encoded profile with a full list of interactions.
func millionProfile(tb testing.TB, r *rand.Rand) []byte {
	tb.Helper()
	var p feature.Profile
	at := millionFillBegins
	for i := range feature.MaxInteractions {
		at = at.Add(time.Duration(1+r.IntN(600)) * time.Second)
		p.Apply(millionVisit(r, "b", i%millionCategories, at))
	}
	if len(p.Interactions) != 50 || len(p.Categories) != millionCategories {
		tb.Fatalf("a profile of %d interactions and %d categories", len(p.Interactions), len(p.Categories))
	}
	return p.Encode(nil)
}

// BenchmarkProfileRow encodes the row of a full profile; row-bytes is what it takes in the state, before compression.
func BenchmarkProfileRow(b *testing.B) {
	p, err := feature.DecodeProfile(millionProfile(b, rand.New(rand.NewPCG(5, 5))))
	if err != nil {
		b.Fatal(err)
	}
	var value, row []byte
	b.ReportAllocs()
	for b.Loop() {
		value = p.Encode(value[:0])
		row = onlinestore.AppendRow(row[:0], onlinestore.Row{Version: feature.Version, Epoch: 1, Offset: 1 << 20, Value: value})
	}
	b.ReportMetric(float64(len(row)), "row-bytes")
}

// fillMillion makes topics, and the states as they stand after 50 million events that landed and left the log long ago.
func fillMillion(t *testing.T, dir string) millionSample {
	t.Helper()
	epoch := makeMillionTopics(t, dir)
	owned := make([][]int, broker.Partitions)
	for _, i := range rand.New(rand.NewPCG(3, 3)).Perm(millionProfiles) {
		e := event.Event{Site: "default", AnonymousID: millionVisitor(i)}
		p := kafka.PartitionFor([]byte(e.Key()), broker.Partitions)
		owned[p] = append(owned[p], i)
	}
	// Many different ones, so that blocks do not compress to nothing.
	r, profiles := rand.New(rand.NewPCG(5, 5)), make([][]byte, 500)
	for i := range profiles {
		profiles[i] = millionProfile(t, r)
	}
	sample := make(millionSample)
	for _, visitors := range owned {
		for i, visitor := range visitors {
			sample.fill(t, visitor, profiles[i%len(profiles)])
		}
	}
	cache := state.NewCache(DefaultCacheBytes)
	defer cache.Close()
	var all errgroup.Group
	all.SetLimit(2)
	for p, visitors := range owned {
		all.Go(func() (err error) {
			db, err := state.Open(filepath.Join(dir, "state", strconv.Itoa(p)), state.Options{Cache: cache})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			if err := fillState(db, visitors, profiles, state.Position{Epoch: epoch}); err != nil {
				return err
			}
			return writeBasis(db, basis{Version: feature.Version, Epoch: epoch})
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	return sample
}

func makeMillionTopics(t *testing.T, dir string) (epoch int64) {
	t.Helper()
	b, err := broker.Start(broker.Config{DataDir: filepath.Join(dir, "kafka"), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	client := kafkatest.Client(t, b)
	store, err := control.Open(t.Context(), filepath.Join(dir, "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{event.TopicEvents, event.TopicExposures, event.TopicDead, event.TopicFeatures, event.TopicSessions} {
		kafkatest.Topic(t, client, topic, broker.Partitions)
		made, err := store.EnsureEpoch(t.Context(), topic, broker.Partitions, true)
		if err != nil {
			t.Fatal(err)
		}
		if topic == event.TopicEvents {
			epoch = made.Epoch
		}
	}
	if err := errors.Join(store.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	return epoch
}

// fillState writes profiles and the ids of their events.
func fillState(db *state.DB, visitors []int, profiles [][]byte, at state.Position) error {
	const atOnce = 200
	clock := millionFillBegins.UnixMilli()
	step := float64(state.DedupWindow.Milliseconds()-1) / float64(len(visitors)*feature.MaxInteractions)
	r := rand.New(rand.NewPCG(11, uint64(len(visitors))))
	var row []byte
	for first := 0; first < len(visitors); first += atOnce {
		batch := db.NewBatch()
		for i, visitor := range visitors[first:min(first+atOnce, len(visitors))] {
			key := onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: millionVisitor(visitor)})
			row = onlinestore.AppendRow(row[:0], onlinestore.Row{Version: feature.Version, Epoch: at.Epoch, Offset: at.Offset,
				Value: profiles[(first+i)%len(profiles)]})
			batch.Set(key, row)
			for j := range feature.MaxInteractions {
				clock = millionFillBegins.UnixMilli() + int64(float64((first+i)*feature.MaxInteractions+j)*step)
				batch.Remember(state.Identity{Site: "default", ID: idAt(clock, r)}, clock, at)
			}
		}
		batch.SetMeta(clockNote("default"), strconv.FormatInt(clock, 10))
		if err := db.Commit(batch, at); err != nil {
			return err
		}
	}
	return nil
}

// idAt is an id as a UUID of version 7 has it: the time in front, chance behind.
func idAt(ms int64, r *rand.Rand) (id state.EventID) {
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<16|uint64(r.Uint32()&0xffff))
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id
}
