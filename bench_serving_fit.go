package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/registry"
)

// largeIterations of iALS give factors of the usual sizes, which is what the time of a query depends on.
const largeIterations = 4

// fitLarge fits the families that a large shop is served from, and puts a blend over them that weighs as those of real shops do.
func fitLarge(ctx context.Context, sessions *model.Sessions) ([]registry.Artifact, error) {
	vocabulary := model.NewVocabulary()
	categories, items := make([][]string, largeItems), make([]*event.CatalogueItem, largeItems)
	for i := range items {
		items[i] = largeCatalogueItem(int32(i))
		vocabulary.Add(items[i].ItemID)
		categories[i] = items[i].Categories
	}
	said, err := content.Fit(ctx, content.Default(), items)
	if err != nil {
		return nil, fmt.Errorf("fit content: %w", err)
	}
	wanted, err := popularity.Fit(popularity.Default(), sessions, largeItems, categories)
	if err != nil {
		return nil, fmt.Errorf("fit popularity: %w", err)
	}
	next, err := transitions.Fit(transitions.Default(), sessions, largeItems)
	if err != nil {
		return nil, fmt.Errorf("fit transitions: %w", err)
	}
	alike, err := vmisknn.Fit(vmisknn.Default(vmisknn.VSTAN), sessions, largeItems)
	if err != nil {
		return nil, fmt.Errorf("fit session kNN: %w", err)
	}
	met, err := model.NewInteractions(sessions, largeItems)
	if err != nil {
		return nil, err
	}
	cfg := ials.Default(largeItems)
	cfg.Dimensions, cfg.Iterations = 64, largeIterations
	factors, err := ials.Fit(ctx, cfg, met)
	if err != nil {
		return nil, fmt.Errorf("fit iALS: %w", err)
	}
	members := map[string]model.Scorer{alike.Name(): alike, next.Name(): next, factors.Name(): factors, wanted.Name(): wanted}
	joined, err := blend.New(blend.Config{
		Members: []string{alike.Name(), next.Name(), factors.Name(), wanted.Name()}, Depth: 100, Scale: blend.ScaleTop,
		Contexts: []blend.Context{{Weights: []float32{1, 0.5, 0.6, 0.1}}},
	}, members)
	if err != nil {
		return nil, fmt.Errorf("blend: %w", err)
	}
	return []registry.Artifact{
		{Name: "vocabulary", Model: vocabulary}, {Name: popularity.Name, Model: wanted}, {Name: transitions.Name, Model: next},
		{Name: alike.Name(), Model: alike}, {Name: ials.Name, Model: factors}, {Name: blend.Name, Model: joined},
		{Name: content.Name, Model: said},
	}, nil
}
