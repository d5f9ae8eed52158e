package control

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// tagged is a row of operators, which is changed on condition of how it stands.
type tagged interface{ ETag() string }

// changeRow runs a change in one transaction with the reading of what stands before it, nil for none, and is ErrChanged where that is
// not what ifMatch says: an ETag, NoETag for none, or empty for whatever stands.
func changeRow[T tagged](ctx context.Context, db *sqldb.DB, ifMatch string, read func(*sqldb.Tx) (*T, error), change func(tx *sqldb.Tx, before *T) error) error {
	return db.InTx(ctx, func(tx *sqldb.Tx) error {
		before, err := read(tx)
		if err != nil {
			return err
		}
		tag := NoETag
		if before != nil {
			tag = (*before).ETag()
		}
		if ifMatch != "" && ifMatch != tag {
			return ErrChanged
		}
		return change(tx, before)
	})
}

// documents is a table whose rows are JSON documents of operators, by site and id, each with a revision that counts its changes.
type documents[T any] struct {
	table, column    string
	most             int // of a site
	tooMany, tooLong error
	// restore gives a document what stands in columns beside it.
	restore func(v *T, site, id string, revision int64)
}

// read returns the documents that match, by site, in no order.
func (d *documents[T]) read(ctx context.Context, from rowsOf, where string, args ...any) (map[string][]T, error) {
	rows, err := from.QueryContext(ctx, `SELECT site, id, `+d.column+`, revision FROM `+d.table+` `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.table, err)
	}
	defer rows.Close()
	all := map[string][]T{}
	for rows.Next() {
		var site, id, text string
		var revision int64
		if err := rows.Scan(&site, &id, &text, &revision); err != nil {
			return nil, fmt.Errorf("read %s: %w", d.table, err)
		}
		var v T
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("read %s of site %s, %s: %w", d.table, site, id, err)
		}
		d.restore(&v, site, id, revision)
		all[site] = append(all[site], v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", d.table, err)
	}
	return all, nil
}

// find returns one document, nil where there is none.
func (d *documents[T]) find(ctx context.Context, from rowsOf, site, id string) (*T, error) {
	found, err := d.read(ctx, from, `WHERE site = ? AND id = ?`, site, id)
	if err != nil || len(found[site]) == 0 {
		return nil, err
	}
	return &found[site][0], nil
}

// put writes a document in place of the one with its id.
func (d *documents[T]) put(ctx context.Context, tx *sqldb.Tx, v T, site, id string, revision int64, at time.Time) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > maxDocumentBytes {
		return d.tooLong
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+d.table+` (site, id, `+d.column+`, revision, updated_at) VALUES (?,?,?,?,?)
		 ON CONFLICT (site, id) DO UPDATE SET `+d.column+` = excluded.`+d.column+`, revision = excluded.revision, updated_at = excluded.updated_at`,
		site, id, string(text), revision, millis(at)); err != nil {
		return err
	}
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+d.table+` WHERE site = ?`, site).Scan(&count); err != nil {
		return err
	}
	if count > d.most {
		return d.tooMany
	}
	return nil
}

// remove removes a document.
func (d *documents[T]) remove(ctx context.Context, tx *sqldb.Tx, site, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM `+d.table+` WHERE site = ? AND id = ?`, site, id)
	return err
}

// orNil is a value as the audit log takes it, nil for none.
func orNil[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}
