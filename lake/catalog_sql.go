package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/sqldb"
)

// sqlCatalog is an Iceberg SQL catalog: the two tables of the Iceberg JDBC catalog specification (schema V1), in SQLite or
// PostgreSQL, so that pyiceberg, Spark and others can open the same database. It is our own because a commit must be durable in the order
// data, manifests, metadata, pointer, which the library's catalog leaves to the file system, and because the pointer
// moves here only from exactly the metadata version that a transaction was built on. The library's catalog checks the
// snapshot only, so two commits that move fences but add no rows could overwrite each other.
type sqlCatalog struct {
	db    *sqldb.DB
	files files
}

const catalogSchema = `
CREATE TABLE IF NOT EXISTS iceberg_tables (
	catalog_name VARCHAR NOT NULL,
	table_namespace VARCHAR NOT NULL,
	table_name VARCHAR NOT NULL,
	iceberg_type VARCHAR,
	metadata_location VARCHAR,
	previous_metadata_location VARCHAR,
	PRIMARY KEY (catalog_name, table_namespace, table_name));
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
	catalog_name VARCHAR NOT NULL,
	namespace VARCHAR NOT NULL,
	property_key VARCHAR NOT NULL,
	property_value VARCHAR,
	PRIMARY KEY (catalog_name, namespace, property_key));`

// openSQLCatalog opens the catalog database, a file or a URL, and creates what is missing in it. Writers of several processes
// meet here.
func openSQLCatalog(ctx context.Context, place string, in files) (*sqlCatalog, error) {
	db, err := sqldb.Open(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	err = db.Alone(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.ExecContext(ctx, catalogSchema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO iceberg_namespace_properties VALUES (?, ?, 'exists', 'true') ON CONFLICT DO NOTHING`, catalogName, Namespace)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create catalog: %w", err), db.Close())
	}
	return &sqlCatalog{db: db, files: in}, nil
}

func (c *sqlCatalog) close() error {
	c.files.close()
	return c.db.Close()
}

// pointer returns the current metadata location of a table, or errNoTable.
func (c *sqlCatalog) pointer(ctx context.Context, ident table.Identifier) (string, error) {
	var at sql.NullString
	err := c.db.QueryRowContext(ctx, `SELECT metadata_location FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?`,
		catalogName, ident[0], ident[1]).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("%s: %w", strings.Join(ident, "."), errNoTable)
	}
	if err != nil {
		return "", fmt.Errorf("read catalog: %w", err)
	}
	return at.String, nil
}

// create registers a new table; it is no error when another process has just done so.
func (c *sqlCatalog) create(ctx context.Context, ident table.Identifier, meta table.Metadata) error {
	at, err := stage(ctx, c.files, meta, 0)
	if err != nil {
		return err
	}
	_, err = c.db.ExecContext(ctx, `INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, iceberg_type, metadata_location)
		VALUES (?, ?, ?, 'TABLE', ?) ON CONFLICT DO NOTHING`, catalogName, ident[0], ident[1], at)
	if err != nil {
		return fmt.Errorf("create table %s: %w", strings.Join(ident, "."), err)
	}
	return nil
}

// maxLoadTries bounds how often a reader starts again because the version it has just looked up was deleted under it.
const maxLoadTries = 5

// load returns the current version of a table. known, if not nil, is returned again when it still is the current one.
func (c *sqlCatalog) load(ctx context.Context, ident table.Identifier, known *table.Table) (*table.Table, error) {
	var lastErr error
	for range maxLoadTries {
		at, err := c.pointer(ctx, ident)
		if err != nil {
			return nil, err
		}
		if known != nil && known.MetadataLocation() == at {
			return known, nil
		}
		t, err := table.NewFromLocation(ctx, ident, at, forIceberg(c.files), c.version(nil, at))
		if errors.Is(err, fs.ErrNotExist) {
			lastErr = fmt.Errorf("read metadata of %s: %w", strings.Join(ident, "."), err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read metadata of %s: %w", strings.Join(ident, "."), err)
		}
		return pin(c, c.files, ident, t.Metadata(), at), nil
	}
	return nil, lastErr
}

// version implements catalog.
func (c *sqlCatalog) version(meta table.Metadata, at string) table.CatalogIO {
	return &sqlVersion{sqlCatalog: c, meta: meta, at: at}
}

// sqlVersion is one version of one table.
type sqlVersion struct {
	*sqlCatalog
	meta table.Metadata
	at   string
}

var _ table.CatalogIO = (*sqlVersion)(nil)

// LoadTable returns the table's current version.
func (v *sqlVersion) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	return v.load(ctx, ident, nil)
}

// CommitTable applies the updates to this version, takes expired snapshots out of the result and moves the pointer.
func (v *sqlVersion) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	for _, r := range reqs {
		if err := r.Validate(v.meta); err != nil {
			return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	next, err := table.UpdateTableMetadata(v.meta, withExpiry(v.meta, updates), v.at)
	if err != nil {
		return nil, "", fmt.Errorf("%w: apply updates: %w", table.ErrCommitFailed, err)
	}
	number, err := metadataNumber(v.at)
	if err != nil {
		return nil, "", err
	}
	at, err := stage(ctx, v.files, next, number+1)
	if err != nil {
		return nil, "", err
	}
	if err := v.move(ctx, ident, v.at, at); err != nil {
		return nil, "", err
	}
	return next, at, nil
}

// move makes another version the current one, if from still is; table.ErrCommitFailed where it is not.
func (c *sqlCatalog) move(ctx context.Context, ident table.Identifier, from, to string) error {
	res, err := c.db.ExecContext(ctx, `UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?`,
		to, from, catalogName, ident[0], ident[1], from)
	if err != nil {
		return fmt.Errorf("move table pointer: %w", err)
	}
	moved, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("move table pointer: %w", err)
	}
	if moved == 0 {
		return fmt.Errorf("%w: %s is no longer at %s", table.ErrCommitFailed, strings.Join(ident, "."), path.Base(from))
	}
	return nil
}

// setBack implements catalog.
func (c *sqlCatalog) setBack(ctx context.Context, ident table.Identifier, from string, to table.Metadata) error {
	number, err := metadataNumber(from)
	if err != nil {
		return err
	}
	at, err := stage(ctx, c.files, to, number+1)
	if err != nil {
		return err
	}
	return c.move(ctx, ident, from, at)
}

// metadataNumber reads the running number that begins the name of a metadata file.
func metadataNumber(at string) (int, error) {
	var n int
	if _, err := fmt.Sscanf(path.Base(at), "%d-", &n); err != nil {
		return 0, fmt.Errorf("metadata file %q has no version number", at)
	}
	return n, nil
}
