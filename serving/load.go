package serving

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/onlinestore"
)

// loadStep is how many rows of the base are read before they are decoded and put in force together.
const loadStep = 8_192

// loadRows reads every row of the online store. Decoding takes most of the time, so it goes on beside the reading, on all processors.
func (c *Catalogue) loadRows(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	steps := make(chan []onlinestore.Row)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for step := range steps {
				if err := c.loadStep(step); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(steps)
		return c.scanRows(ctx, steps)
	})
	return group.Wait()
}

// scanRows hands on what the online store has, a step at a time.
func (c *Catalogue) scanRows(ctx context.Context, steps chan<- []onlinestore.Row) error {
	var step []onlinestore.Row
	hand := func() error {
		select {
		case steps <- step:
			step = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := c.online.Scan(ctx, onlinestore.CatalogPrefix("")[:len("c/")], func(stored onlinestore.Row) error {
		if step = append(step, stored); len(step) < loadStep {
			return nil
		}
		return hand()
	})
	if err != nil {
		return fmt.Errorf("read catalogue rows: %w", err)
	}
	return hand()
}

// loadStep puts rows of the online store in force, except where newer ones are.
func (c *Catalogue) loadStep(step []onlinestore.Row) error {
	rows := make([]*Row, len(step))
	for i, stored := range step {
		row, err := decodeKept(stored.Value, c.shared)
		if err != nil {
			return fmt.Errorf("read catalogue row %s: %w", stored.Key, err)
		}
		row.at = place{epoch: stored.Epoch, offset: stored.Offset}
		rows[i] = row
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.forceSome(nil, rows, func(current, row *Row) verdict { // all in one step: nobody waits for the catalogue to answer yet
		if current == nil || current.at.before(row.at) {
			return changed
		}
		return refused
	})
	return nil
}
