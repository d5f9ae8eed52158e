package lake

import (
	"context"
	"fmt"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// manifestsWorthMerging is how many manifests below half of their target a compaction leaves alone. A commit of landing
// merges them only when manifestMergeCount have piled up, and those of removed files not at all.
const manifestsWorthMerging = 8

// sortOrder returns the id of the sort order of compacted files, which the table gets if it has none yet, after checking
// that this version knows all columns of the table.
func (c *compactor) sortOrder(ctx context.Context) (int, error) {
	t, err := c.lake.current(ctx, c.spec)
	if err != nil {
		return 0, err
	}
	if err := c.spec.knowsColumns(t.Schema()); err != nil {
		return 0, err
	}
	fields := make([]table.SortField, len(c.spec.sorted))
	for i, name := range c.spec.sorted {
		column, ok := t.Schema().FindFieldByName(name)
		if !ok {
			return 0, fmt.Errorf("no column %s to sort by", name)
		}
		fields[i] = table.SortField{SourceIDs: []int{column.ID}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsLast}
	}
	order, err := table.NewSortOrder(1, fields)
	if err != nil {
		return 0, fmt.Errorf("describe sort order: %w", err)
	}
	if id, ok := findOrder(t, order); ok {
		return id, nil
	}
	err = c.lake.commitChange(ctx, c.spec, change{
		stage: func(_ context.Context, _ *table.Table, tx *table.Transaction) error {
			return tx.ReplaceSortOrder(order)
		},
		settled: func(_ context.Context, t *table.Table) (bool, error) { _, ok := findOrder(t, order); return ok, nil },
	})
	if err != nil {
		return 0, fmt.Errorf("set sort order: %w", err)
	}
	if t, err = c.lake.current(ctx, c.spec); err != nil {
		return 0, err
	}
	id, ok := findOrder(t, order)
	if !ok {
		return 0, fmt.Errorf("the table has lost its sort order")
	}
	return id, nil
}

// findOrder looks for an order of the same fields.
func findOrder(t *table.Table, want table.SortOrder) (id int, ok bool) {
	for _, have := range t.Metadata().SortOrders() {
		same := have.Len() == want.Len()
		for i := 0; same && i < have.Len(); i++ {
			same = have.Field(i).Equals(want.Field(i))
		}
		if same {
			return have.OrderID(), true
		}
	}
	return 0, false
}

// mergeManifests merges the small manifests of a table when there are more than a few, and returns how many there are then.
// Planning a scan and each commit of maintenance read all of them.
func (l *Lake) mergeManifests(ctx context.Context, spec tableSpec) (int, error) {
	target, err := strconv.ParseInt(manifestTargetBytes, 10, 64)
	if err != nil {
		return 0, err
	}
	isSmall := func(m iceberg.ManifestFile) bool { return m.Length() < target/2 }
	all, small, err := l.countManifests(ctx, spec, isSmall)
	if err != nil || small <= manifestsWorthMerging {
		return all, err
	}
	err = l.commitChange(ctx, spec, change{
		stage: func(ctx context.Context, _ *table.Table, tx *table.Transaction) error {
			_, err := tx.RewriteManifests(ctx, table.WithRewriteManifestPredicate(isSmall))
			return err
		},
		settled: func(context.Context, *table.Table) (bool, error) { return false, nil }, // nothing depends on it: the next compaction tries again
	})
	if err != nil {
		return 0, fmt.Errorf("merge manifests: %w", err)
	}
	all, _, err = l.countManifests(ctx, spec, isSmall)
	return all, err
}

func (l *Lake) countManifests(ctx context.Context, spec tableSpec, isSmall func(iceberg.ManifestFile) bool) (all, small int, err error) {
	t, err := l.current(ctx, spec)
	if err != nil {
		return 0, 0, err
	}
	manifests, err := currentManifests(ctx, t)
	for _, m := range manifests {
		if isSmall(m) {
			small++
		}
	}
	return len(manifests), small, err
}

// currentManifests are those of the current version of a table, none while it is empty.
func currentManifests(ctx context.Context, t *table.Table) ([]iceberg.ManifestFile, error) {
	current := t.CurrentSnapshot()
	if current == nil {
		return nil, nil
	}
	in, err := t.FS(ctx)
	if err != nil {
		return nil, err
	}
	manifests, err := current.Manifests(in)
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w", err)
	}
	return manifests, nil
}
