package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// catalogName is the catalog's name inside the database; engines that open it ask for it.
const catalogName = "millrace"

// errNoTable reports that the catalog does not know a table.
var errNoTable = errors.New("no such table in the catalog")

// catalog knows which version of each table is the current one.
type catalog interface {
	// pointer returns the current metadata location of a table, or errNoTable.
	pointer(ctx context.Context, ident table.Identifier) (string, error)
	// create registers a new table; it is no error when another process has just done so.
	create(ctx context.Context, ident table.Identifier, meta table.Metadata) error
	// load returns the current version of a table. known, if not nil, is returned again when it still is the current one.
	load(ctx context.Context, ident table.Identifier, known *table.Table) (*table.Table, error)
	// version is one version of a table as a catalog for the library's transactions: a commit through it succeeds only if
	// the table still is at this version, and whatever else it did, was not done. An error that is not table.ErrCommitFailed
	// leaves open whether the commit happened.
	version(meta table.Metadata, at string) table.CatalogIO
	// setBack puts a version that was not built on the current one in its place, whose metadata is at from; table.ErrCommitFailed
	// where that is not the current one any more.
	setBack(ctx context.Context, ident table.Identifier, from string, to table.Metadata) error
	close() error
}

// openCatalog opens a catalog of the lake's files: by its REST API, or in a database.
func openCatalog(ctx context.Context, cfg Config, in files) (catalog, error) {
	switch {
	case IsRESTCatalog(cfg.Catalog):
		return openRESTCatalog(ctx, cfg, in)
	case cfg.Catalog == "":
		return openSQLCatalog(ctx, filepath.Join(cfg.Dir, "catalog.db"), in)
	}
	return openSQLCatalog(ctx, cfg.Catalog, in)
}

// pin binds a table to the version it was read at.
func pin(c catalog, in files, ident table.Identifier, meta table.Metadata, at string) *table.Table {
	return table.New(ident, meta, at, forIceberg(in), c.version(meta, at))
}

// withExpiry adds to a commit that expired snapshots go out of the result. The list of snapshots is written anew by every
// commit, so it is kept short here, where it costs no version of its own.
func withExpiry(meta table.Metadata, updates []table.Update) []table.Update {
	// The table's own clock, so that a table that was left alone for a while does not forget what is read right now.
	now := time.UnixMilli(meta.LastUpdatedMillis())
	expired := expiredSnapshots(meta.Snapshots(), pinnedSnapshots(meta), now)
	if len(expired) == 0 {
		return updates
	}
	return append(slices.Clone(updates), table.NewRemoveSnapshotsUpdate(expired, false))
}

// snapshotLike is the next snapshot of a table with the files of another one, nil for none yet. Its summary has the totals of those.
func snapshotLike(meta table.Metadata, files *table.Snapshot, schema int, operation table.Operation) *table.Snapshot {
	next := &table.Snapshot{
		SnapshotID: rand.Int64N(1<<62) + 1, SequenceNumber: meta.LastSequenceNumber() + 1, ParentSnapshotID: snapshotID(meta), SchemaID: &schema,
		TimestampMs: max(time.Now().UnixMilli(), meta.LastUpdatedMillis()),
		Summary:     &table.Summary{Operation: operation, Properties: iceberg.Properties{}},
	}
	if files == nil {
		return next
	}
	next.ManifestList = files.ManifestList
	if files.Summary != nil {
		maps.Copy(next.Summary.Properties, files.Summary.Properties)
		maps.DeleteFunc(next.Summary.Properties, func(key, _ string) bool { return !strings.HasPrefix(key, "total-") })
	}
	return next
}

// stage writes a version of the metadata durably under a fresh name and returns its location.
func stage(ctx context.Context, in files, meta table.Metadata, number int) (string, error) {
	at := fmt.Sprintf("%s/metadata/%05d-%s.metadata.json", meta.Location(), number, uuid.New())
	var text []byte
	var err error
	if m, ok := meta.(json.Marshaler); ok { // json.Marshal would parse and copy the result once more
		text, err = m.MarshalJSON()
	} else {
		text, err = json.Marshal(meta)
	}
	if err != nil {
		return "", fmt.Errorf("encode metadata: %w", err)
	}
	if err := writeFile(ctx, in, at, text); err != nil {
		return "", fmt.Errorf("write metadata: %w", err)
	}
	return at, nil
}
