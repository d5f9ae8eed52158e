package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
)

const (
	largeItems    = 100_000
	largeVisitors = 200_000
	// largeClicks is what they did: eight clicks a visitor, in two sessions.
	largeClicks = 1_600_000
	// largeDays is how long ago the first of it was.
	largeDays = 30
	// largeRows is how many online rows are written at once, largeBulk how many rows of the catalogue.
	largeRows, largeBulk = 2_000, 5_000
	largeCategories      = 240
	largeBrands          = 400
)

// fillLarge makes a large shop: a catalogue by the API, profiles and item aggregates as the stream writes them, and a version of the
// session model, transitions, iALS and the blend of them that is fitted here. Its data says nothing, only its size and shape do.
func fillLarge(ctx context.Context, b *servingBench) error {
	if err := b.putCatalogue(ctx); err != nil {
		return err
	}
	b.say("catalogue of %d items", largeItems)
	sessions := synthetic.Sessions(synthetic.Clicks{Clicks: largeClicks, Items: largeItems, Seed: 1})
	start := daysBefore(time.Now(), largeDays)
	span := sessions.Times[len(sessions.Times)-1] + 1
	for i, at := range sessions.Times { // spread over the days
		sessions.Times[i] = start.UnixMilli() + int64(float64(at)/float64(span)*largeDays*86_400_000)
	}
	sessions.Users = make([]int32, sessions.Len())
	for i := range sessions.Users {
		sessions.Users[i] = int32(i % largeVisitors)
	}
	if err := b.putProfiles(ctx, sessions); err != nil {
		return err
	}
	b.say("%d profiles; fitting", largeVisitors)
	version, err := b.publishLarge(ctx, sessions)
	if err != nil {
		return err
	}
	if err := b.system.registry.Promote(ctx, event.DefaultSite, version); err != nil {
		return err
	}
	if err := (adminClient{b.system.info}).call(ctx, adminModels, nil, nil); err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for range askedFor {
		b.visitors = append(b.visitors, largeVisitor(int32(rng.IntN(largeVisitors))))
		b.items = append(b.items, largeItem(sessions.Items[rng.IntN(len(sessions.Items))]))
	}
	return nil
}

func largeItem(i int32) string    { return fmt.Sprintf("item-%d", i) }
func largeVisitor(i int32) string { return fmt.Sprintf("visitor-%d", i) }

// largeCategory is of the taste that synthetic data gives to the item.
func largeCategory(i int32) string { return fmt.Sprintf("Category %d", i%largeCategories) }
func largeBrand(i int32) string    { return fmt.Sprintf("Brand %d", i/7%largeBrands) }
func largePrice(i int32) float64   { return float64(i%19_900)/100 + 1 }

// largeCatalogueItem is an item as the shop describes it.
func largeCatalogueItem(i int32) *event.CatalogueItem {
	words := [...]string{"trail", "road", "city", "light", "warm", "classic", "wide", "slim", "blue", "red", "green", "cotton", "wool",
		"leather", "shoe", "jacket", "shirt", "bag", "cap", "sock", "belt", "glove", "scarf", "boot"}
	word := func(i int32) string { return words[int(i)%len(words)] }
	price := largePrice(i)
	return &event.CatalogueItem{
		ItemID: largeItem(i), Title: fmt.Sprintf("%s %s %s %d", word(i/1000), word(i/24), word(i), i%997), Categories: []string{largeCategory(i)},
		Brand: largeBrand(i), Price: &price, Currency: "EUR", Available: true,
		URL: "https://shop.example/p/" + largeItem(i), ImageURL: "https://shop.example/i/" + largeItem(i) + ".jpg",
	}
}

// putCatalogue writes the items by the API.
func (b *servingBench) putCatalogue(ctx context.Context) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for i := range int32(largeItems) {
		if err := encoder.Encode(largeCatalogueItem(i)); err != nil {
			return fmt.Errorf("encode catalogue: %w", err)
		}
		if (i+1)%largeBulk > 0 {
			continue
		}
		if _, err := b.post(ctx, "/v1/items:bulk", body.Bytes()); err != nil {
			return err
		}
		body.Reset()
	}
	return nil
}

// putProfiles writes what the stream would have written after the sessions.
func (b *servingBench) putProfiles(ctx context.Context, sessions *model.Sessions) error {
	profiles := make([]feature.Profile, largeVisitors)
	items := make([]feature.ItemAggregate, largeItems)
	for s := range sessions.Len() {
		visitor := sessions.Users[s]
		clicked, times := sessions.At(s)
		for n, item := range clicked {
			price, at := largePrice(item), time.UnixMilli(times[n]).UTC()
			e := &event.Event{
				EventID: event.NewID(at), Type: event.ViewItem, Site: event.DefaultSite, AnonymousID: largeVisitor(visitor),
				SessionID: fmt.Sprint(s), OccurredAt: at, ReceivedAt: at,
				Items: []event.Item{{ItemID: largeItem(item), ItemCategory: largeCategory(item), ItemBrand: largeBrand(item), Price: &price}},
			}
			profiles[visitor].Apply(e)
			items[item].Apply(e, &e.Items[0])
		}
	}
	put := onlineRows{store: b.system.online}
	for i := range profiles {
		key := onlinestore.ProfileKey(onlinestore.Partial{Site: event.DefaultSite, Kind: onlinestore.KindBrowser, ID: largeVisitor(int32(i))})
		if err := put.add(ctx, key, profiles[i].Encode(nil)); err != nil {
			return err
		}
	}
	for i := range items {
		key := onlinestore.ItemKey(onlinestore.ItemShare{Site: event.DefaultSite, Item: largeItem(int32(i))})
		if err := put.add(ctx, key, items[i].Encode(nil)); err != nil {
			return err
		}
	}
	return put.flush(ctx)
}

// onlineRows writes rows of features together.
type onlineRows struct {
	store onlinestore.Store
	rows  []onlinestore.Row
}

func (o *onlineRows) add(ctx context.Context, key string, value []byte) error {
	o.rows = append(o.rows, onlinestore.Row{Key: key, Version: feature.Version, Epoch: 1, Offset: 1, Value: value})
	if len(o.rows) < largeRows {
		return nil
	}
	return o.flush(ctx)
}

func (o *onlineRows) flush(ctx context.Context) error {
	err := o.store.Put(ctx, o.rows)
	o.rows = o.rows[:0]
	return err
}

// publishLarge fits and stores a version that knows all items, and the same again for another one to change to.
func (b *servingBench) publishLarge(ctx context.Context, sessions *model.Sessions) (string, error) {
	artifacts, err := fitLarge(ctx, sessions)
	if err != nil {
		return "", err
	}
	versions := make([]string, 2)
	for i := range versions {
		manifest, err := b.system.registry.Publish(ctx, registry.Manifest{Site: event.DefaultSite, CreatedAt: time.Now()}, artifacts)
		if err != nil {
			return "", err
		}
		versions[i] = manifest.Version
	}
	b.other = versions[0]
	return versions[1], nil
}
