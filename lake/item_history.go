package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/event"
)

// LandedItems returns the offset in a partition of the items topic from which on records have not landed; 0 where none has.
func (l *Lake) LandedItems(ctx context.Context, epoch int64, partition int32) (next int64, err error) {
	fences, err := l.Next(ctx, TableItems)
	if err != nil {
		return 0, err
	}
	return fences[FenceKey{Topic: event.TopicItems, Epoch: epoch, Partition: partition}].Next, nil
}

// ItemHistory returns rows of an item, the newest first: of its revisions below a number (0 is all), the largest limit, each as it was
// in force. Of a compacted file it reads the pages that have the item, of one that landed lately the column of ids besides.
func (l *Lake) ItemHistory(ctx context.Context, site, id string, below int64, limit int) ([]*event.CatalogueRow, error) {
	p, err := l.plan(ctx, ScanRequest{Table: TableItems, Site: site}, iceberg.EqualTo(iceberg.Reference("item_id"), id))
	if err != nil {
		return nil, err
	}
	ids, err := resolveColumn(p.schema, "item_id")
	if err != nil {
		return nil, err
	}
	found := revisions{below: below, limit: limit, rows: map[int64]ItemRow{}}
	for _, f := range p.files {
		err := l.findItem(ctx, f, ids, id, func(row ItemRow) {
			if row.Item.Site == site && row.Item.ItemID == id {
				found.add(row)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("find item %s: %w", id, err)
		}
	}
	return found.newest(), nil
}

// revisions gathers rows of an item, at most twice as many as are wanted.
type revisions struct {
	below int64
	limit int
	rows  map[int64]ItemRow // by revision
}

// add takes a row. Of one revision that with the smallest place in the log was in force.
func (r *revisions) add(row ItemRow) {
	n := row.Item.Revision
	if r.below > 0 && n >= r.below {
		return
	}
	if had, ok := r.rows[n]; ok && cmp.Or(cmp.Compare(had.At.Epoch, row.At.Epoch), cmp.Compare(had.At.Offset, row.At.Offset)) <= 0 {
		return
	}
	r.rows[n] = row
	if len(r.rows) > 2*r.limit {
		kept := r.numbers()
		for _, old := range kept[r.limit:] {
			delete(r.rows, old)
		}
	}
}

// numbers are the revisions, the newest first.
func (r *revisions) numbers() []int64 {
	all := make([]int64, 0, len(r.rows))
	for n := range r.rows {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b int64) int { return cmp.Compare(b, a) })
	return all
}

func (r *revisions) newest() []*event.CatalogueRow {
	all := r.numbers()
	rows := make([]*event.CatalogueRow, 0, min(len(all), r.limit))
	for _, n := range all[:min(len(all), r.limit)] {
		rows = append(rows, r.rows[n].Item)
	}
	return rows
}

// findItem yields the rows of a file that have an item's id.
func (l *Lake) findItem(ctx context.Context, planned plannedFile, ids column, id string, yield func(ItemRow)) (err error) {
	f, err := l.files.open(ctx, planned.location, planned.bytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := openParquet(f, planned.bytes, l.files.readAhead(planned.bytes))
	if err != nil {
		return fmt.Errorf("open data file %s: %w", planned.location, err)
	}
	found, ok, err := ids.findLeaf(data)
	if err != nil || !ok {
		return errors.Join(err, fmt.Errorf("data file %s has no column %s", planned.location, ids.path))
	}
	var rows []int64
	first := int64(0)
	for _, group := range data.RowGroups() {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := group.ColumnChunks()[found.index]
		if rows, err = findText(rows, chunk, first, parquet.ByteArrayValue([]byte(id))); err != nil {
			return fmt.Errorf("read data file %s: %w", planned.location, err)
		}
		first += group.NumRows()
	}
	return decodeAt(data, planned.location, rows, yield)
}

// findText appends the numbers of the rows of a chunk that have a text, by the bounds of its pages first.
func findText(rows []int64, chunk parquet.ColumnChunk, first int64, text parquet.Value) ([]int64, error) {
	bounds, err := chunk.ColumnIndex()
	if err != nil {
		return rows, err
	}
	places, err := chunk.OffsetIndex()
	if err != nil {
		return rows, err
	}
	pages := chunk.Pages()
	defer pages.Close()
	compare := chunk.Type().Compare
	for i := range bounds.NumPages() {
		if compare(text, bounds.MinValue(i)) < 0 || compare(text, bounds.MaxValue(i)) > 0 {
			continue
		}
		at := places.FirstRowIndex(i)
		if err := pages.SeekToRow(at); err != nil {
			return rows, err
		}
		if rows, err = findInPage(rows, pages, first+at, text); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

func findInPage(rows []int64, pages parquet.Pages, first int64, text parquet.Value) ([]int64, error) {
	page, err := pages.ReadPage()
	if err != nil {
		return rows, err
	}
	defer parquet.Release(page)
	values := make([]parquet.Value, page.NumValues())
	n, err := page.Values().ReadValues(values)
	if n < len(values) {
		return rows, errors.Join(errShortColumn, err)
	}
	for i := range values {
		if parquet.Equal(values[i], text) {
			rows = append(rows, first+int64(i))
		}
	}
	return rows, nil
}

// decodeAt yields rows by their numbers, which rise.
func decodeAt(data *parquet.File, name string, rows []int64, yield func(ItemRow)) (err error) {
	if len(rows) == 0 {
		return nil
	}
	r := parquet.NewGenericReader[catalogueRow](data)
	defer func() { err = errors.Join(err, r.Close()) }()
	next := int64(0)
	for _, n := range rows {
		if n != next {
			if err := r.SeekToRow(n); err != nil {
				return fmt.Errorf("read row %d of data file %s: %w", n, name, err)
			}
		}
		next = n + 1
		one := make([]catalogueRow, 1)
		if got, err := r.Read(one); got < 1 {
			return fmt.Errorf("read row %d of data file %s: %w", n, name, err)
		}
		row, err := one[0].value()
		if err != nil {
			return fmt.Errorf("read data file %s: %w", name, err)
		}
		yield(row)
	}
	return nil
}
