package trainer

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/trainer/eval"
)

// ReadLog reads the history of a site for an evaluation as a training of the same configuration reads it: the same window,
// weights, sessions and visitors, robots and those who do not want to be known left out.
func ReadLog(ctx context.Context, cfg Config, source EventSource) (*eval.Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	listed := &listing{EventSource: source}
	d, err := readDataset(ctx, cfg, listed, watch{admit: func(int64) error { return nil }, report: func(int64) {}})
	if err != nil {
		return nil, err
	}
	if d.events == 0 {
		return nil, fmt.Errorf("site %s has no event that counts, of %s in the window of %s", cfg.Site, grouped(d.rows), brief(cfg.Window))
	}
	log := d.log
	log.Items = d.itemsOf(log.Vocabulary)
	for _, id := range listed.ids {
		if i, ok := log.Vocabulary.Index(id); ok {
			log.Catalogue = append(log.Catalogue, i)
		}
	}
	return log, nil
}

// listing is a source that notes which items the catalogue holds: those may be recommended before anybody has met them,
// unlike items that only events name.
type listing struct {
	EventSource
	ids []string
}

// Catalogue implements EventSource.
func (l *listing) Catalogue(ctx context.Context, site string, s Snapshot, yield func(*event.CatalogueItem) error) error {
	return l.EventSource.Catalogue(ctx, site, s, func(item *event.CatalogueItem) error {
		l.ids = append(l.ids, item.ItemID)
		return yield(item)
	})
}
