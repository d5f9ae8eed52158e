package trainer

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/array"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// inForce is the record that brought an item's row into force.
type inForce struct {
	revision, epoch, offset int64
	deleted                 bool
}

// over reports whether r takes the place of o: a later revision does, and of one revision the record that came first, because
// the others were overtaken (lake/FORMAT.md).
func (r inForce) over(o inForce) bool {
	switch {
	case r.revision != o.revision:
		return r.revision > o.revision
	case r.epoch != o.epoch:
		return r.epoch < o.epoch
	}
	return r.offset < o.offset
}

// Catalogue implements EventSource. The history of the catalogue is read twice: first the columns that say which rows are in
// force, then those rows, so that memory holds an id and three numbers an item and one row.
func (s LakeSource) Catalogue(ctx context.Context, site string, at Snapshot, yield func(*event.CatalogueItem) error) error {
	if at.Items == 0 {
		return nil
	}
	rows, err := s.rowsInForce(ctx, site, at)
	if err != nil {
		return fmt.Errorf("find the catalogue's rows: %w", err)
	}
	return s.Lake.ScanItems(ctx, lake.ScanRequest{Site: site, SnapshotID: at.Items}, func(row lake.ItemRow) error {
		this := inForce{revision: row.Item.Revision, epoch: row.At.Epoch, offset: row.At.Offset, deleted: row.Item.Deleted}
		if wanted, ok := rows[row.Item.ItemID]; !ok || wanted != this {
			return nil
		}
		delete(rows, row.Item.ItemID)
		if this.deleted {
			return nil
		}
		return yield(&row.Item.CatalogueItem)
	})
}

// rowsInForce finds the row of each item, of those that were deleted as well.
func (s LakeSource) rowsInForce(ctx context.Context, site string, at Snapshot) (map[string]inForce, error) {
	req := lake.ScanRequest{
		Table: lake.TableItems, Site: site, SnapshotID: at.Items,
		Columns: []string{"item_id", "revision", "deleted", "kafka_epoch", "kafka_offset"},
	}
	rows := map[string]inForce{}
	for batch, err := range s.Lake.Scan(ctx, req) {
		if err != nil {
			return nil, err
		}
		t := taker{batch: batch}
		ids, revision, deleted := take[*array.String](&t), take[*array.Int64](&t), take[*array.Boolean](&t)
		epoch, offset := take[*array.Int64](&t), take[*array.Int64](&t)
		if t.err != nil {
			return nil, t.err
		}
		for i := range int(batch.NumRows()) {
			this := inForce{revision: revision.Value(i), epoch: epoch.Value(i), offset: offset.Value(i), deleted: deleted.Value(i)}
			id := ids.Value(i) // of the batch's memory
			best, known := rows[id]
			if known && !this.over(best) {
				continue
			}
			if !known {
				id = strings.Clone(id)
			}
			rows[id] = this
		}
	}
	return rows, nil
}
