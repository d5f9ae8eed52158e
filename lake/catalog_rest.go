package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	icebergcatalog "github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/rest"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// restAnswerLimit is how long a REST catalog may take for an answer. What it has done by then shows when the table is loaded again.
const restAnswerLimit = 30 * time.Second

// restCatalog is a catalog behind the Iceberg REST API. Its server writes the metadata and moves the table; the files of the
// lake stay ours. The API has no way to ask for an exact version of the metadata, but for the snapshot that a branch is
// at: so every commit, also of properties alone, makes a snapshot, and is built on one. Then nothing came between.
type restCatalog struct {
	server *rest.Catalog
	files  files
	idle   func()
}

// RESTCatalog is what a REST catalog wants to know beside its address.
type RESTCatalog struct {
	Token     string `json:"token,omitempty"`     // sent as a bearer token; empty: none
	Warehouse string `json:"warehouse,omitempty"` // which of its catalogs the server is to use; empty: its only one
}

// IsRESTCatalog reports whether a catalog is behind a REST API, as opposed to a database.
func IsRESTCatalog(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

// openRESTCatalog opens a catalog by its URL, the part before /v1, and creates the namespace where it is missing.
func openRESTCatalog(ctx context.Context, cfg Config, in files) (*restCatalog, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = restAnswerLimit
	options := []rest.Option{rest.WithCustomTransport(transport)}
	if cfg.REST.Token != "" {
		options = append(options, rest.WithOAuthToken(cfg.REST.Token))
	}
	if cfg.REST.Warehouse != "" {
		options = append(options, rest.WithWarehouseLocation(cfg.REST.Warehouse))
	}
	c := &restCatalog{files: in, idle: transport.CloseIdleConnections}
	err := c.try(ctx, func() (err error) {
		c.server, err = rest.NewCatalog(ctx, catalogName, cfg.Catalog, options...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open catalog at %s: %w", cfg.Catalog, err)
	}
	err = c.try(ctx, func() error { return c.server.CreateNamespace(ctx, table.Identifier{Namespace}, nil) })
	if err != nil && !errors.Is(err, icebergcatalog.ErrNamespaceAlreadyExists) {
		return nil, errors.Join(fmt.Errorf("create namespace %s in the catalog at %s: %w", Namespace, cfg.Catalog, err), c.close())
	}
	return c, nil
}

func (c *restCatalog) close() error {
	var err error
	if c.server != nil {
		err = c.server.Close()
	}
	c.idle()
	c.files.close()
	return err
}

const (
	// restTries is how often the catalog is asked when no answer comes, or the server says that it has none.
	restTries     = 6
	restFirstWait = 50 * time.Millisecond
)

// try repeats what does nothing more when it is done twice.
func (c *restCatalog) try(ctx context.Context, ask func() error) error {
	wait := restFirstWait
	for n := 1; ; n++ {
		err := ask()
		if err == nil || n == restTries || ctx.Err() != nil || definite(err) {
			return err
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		wait *= 2
	}
}

// definite reports whether an error is an answer.
func definite(err error) bool {
	for _, answer := range []error{
		icebergcatalog.ErrNoSuchTable, icebergcatalog.ErrNoSuchNamespace, icebergcatalog.ErrTableAlreadyExists, icebergcatalog.ErrNamespaceAlreadyExists,
		rest.ErrBadRequest, rest.ErrUnauthorized, rest.ErrForbidden, rest.ErrAuthorizationExpired, rest.ErrEndpointNotSupported,
		table.ErrCommitFailed, iceberg.ErrNotImplemented,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

func (c *restCatalog) loadTable(ctx context.Context, ident table.Identifier) (t *table.Table, err error) {
	err = c.try(ctx, func() error {
		t, err = c.server.LoadTable(ctx, ident)
		return err
	})
	if errors.Is(err, icebergcatalog.ErrNoSuchTable) {
		return nil, fmt.Errorf("%s: %w", strings.Join(ident, "."), errNoTable)
	}
	if err != nil {
		return nil, fmt.Errorf("ask catalog for %s: %w", strings.Join(ident, "."), err)
	}
	return t, nil
}

func (c *restCatalog) pointer(ctx context.Context, ident table.Identifier) (string, error) {
	t, err := c.loadTable(ctx, ident)
	if err != nil {
		return "", err
	}
	return t.MetadataLocation(), nil
}

// create writes the first version itself: a server that makes a table by its schema gives the columns ids of its own.
func (c *restCatalog) create(ctx context.Context, ident table.Identifier, meta table.Metadata) error {
	at, err := stage(ctx, c.files, meta, 0)
	if err != nil {
		return err
	}
	err = c.try(ctx, func() error {
		_, err := c.server.RegisterTable(ctx, ident, at)
		return err
	})
	if err != nil && !errors.Is(err, icebergcatalog.ErrTableAlreadyExists) {
		return fmt.Errorf("register table %s: %w", strings.Join(ident, "."), err)
	}
	return nil
}

func (c *restCatalog) load(ctx context.Context, ident table.Identifier, known *table.Table) (*table.Table, error) {
	t, err := c.loadTable(ctx, ident)
	if err != nil {
		return nil, err
	}
	if known != nil && known.MetadataLocation() == t.MetadataLocation() {
		return known, nil
	}
	return pin(c, c.files, ident, t.Metadata(), t.MetadataLocation()), nil
}

func (c *restCatalog) version(meta table.Metadata, at string) table.CatalogIO {
	return &restVersion{restCatalog: c, meta: meta, at: at}
}

// setBack implements catalog. The API builds every version on the current one.
func (c *restCatalog) setBack(_ context.Context, ident table.Identifier, from string, _ table.Metadata) error {
	return fmt.Errorf("only the catalog's server can set %s back from %s: register the table there with the metadata of an older version", strings.Join(ident, "."), path.Base(from))
}

// restVersion is one version of one table.
type restVersion struct {
	*restCatalog
	meta table.Metadata
	at   string
}

var _ table.CatalogIO = (*restVersion)(nil)

// LoadTable returns the table's current version.
func (v *restVersion) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	return v.load(ctx, ident, nil)
}

// CommitTable asks the server to apply the updates to the table, if its main branch still is at this version's snapshot.
func (v *restVersion) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	for _, r := range reqs {
		if err := r.Validate(v.meta); err != nil {
			return nil, "", fmt.Errorf("%w: %w", table.ErrCommitFailed, err)
		}
	}
	updates, err := v.withSnapshot(ctx, withExpiry(v.meta, updates))
	if err != nil {
		return nil, "", err
	}
	next, err := table.UpdateTableMetadata(v.meta, updates, v.at)
	if err != nil {
		return nil, "", fmt.Errorf("%w: apply updates: %w", table.ErrCommitFailed, err)
	}
	reqs = append(slices.Clone(reqs), table.AssertTableUUID(v.meta.TableUUID()), table.AssertRefSnapshotID(table.MainBranch, snapshotID(v.meta)))
	c := &restCommit{restVersion: v, ident: ident, reqs: reqs, updates: updates, snapshot: next.CurrentSnapshot().SnapshotID}
	if err := v.try(ctx, func() error { return c.once(ctx) }); err != nil {
		return nil, "", err
	}
	return c.meta, c.at, nil
}

// snapshotID is that of the main branch; nil while there is none.
func snapshotID(meta table.Metadata) *int64 {
	if s := meta.CurrentSnapshot(); s != nil {
		return &s.SnapshotID
	}
	return nil
}

// restCommit is one commit, which may have to be sent more than once.
type restCommit struct {
	*restVersion
	ident    table.Identifier
	reqs     []table.Requirement
	updates  []table.Update
	snapshot int64 // that the commit makes, by which it is known again

	meta table.Metadata // after the commit
	at   string
}

// once sends the commit, and after any error looks whether the table has it. While the table is where it was, the commit may be
// sent again: it can be applied only once, because of the snapshot that it requires.
func (c *restCommit) once(ctx context.Context) (err error) {
	if c.meta, c.at, err = c.server.CommitTable(ctx, c.ident, c.reqs, c.updates); err == nil {
		return nil
	}
	t, loadErr := c.loadTable(ctx, c.ident)
	switch {
	case loadErr != nil:
		return errors.Join(err, loadErr)
	case t.SnapshotByID(c.snapshot) != nil:
		c.meta, c.at = t.Metadata(), t.MetadataLocation()
		return nil
	case !sameSnapshot(snapshotID(t.Metadata()), snapshotID(c.restVersion.meta)):
		return fmt.Errorf("%w: %s is no longer at %s: %w", table.ErrCommitFailed, strings.Join(c.ident, "."), path.Base(c.restVersion.at), err)
	}
	return err
}

func sameSnapshot(a, b *int64) bool { return a == b || a != nil && b != nil && *a == *b }

// withSnapshot adds a snapshot of the same files to a commit that makes none.
func (v *restVersion) withSnapshot(ctx context.Context, updates []table.Update) ([]table.Update, error) {
	if slices.ContainsFunc(updates, func(u table.Update) bool { return u.Action() == table.UpdateAddSnapshot }) {
		return updates, nil
	}
	after, err := table.UpdateTableMetadata(v.meta, updates, v.at)
	if err != nil {
		return nil, fmt.Errorf("%w: apply updates: %w", table.ErrCommitFailed, err)
	}
	// The commit may change the schema.
	next := snapshotLike(v.meta, v.meta.CurrentSnapshot(), after.CurrentSchema().ID, table.OpReplace)
	if next.ManifestList == "" {
		var list bytes.Buffer
		if err := iceberg.WriteManifestList(v.meta.Version(), &list, next.SnapshotID, nil, &next.SequenceNumber, 0, nil); err != nil {
			return nil, fmt.Errorf("write empty manifest list: %w", err)
		}
		next.ManifestList = fmt.Sprintf("%s/metadata/snap-%d-0-%s.avro", v.meta.Location(), next.SnapshotID, uuid.New())
		if err := writeFile(ctx, v.files, next.ManifestList, list.Bytes()); err != nil {
			return nil, fmt.Errorf("write empty manifest list: %w", err)
		}
	}
	return append(slices.Clone(updates), table.NewAddSnapshotUpdate(next),
		table.NewSetSnapshotRefUpdate(table.MainBranch, next.SnapshotID, table.BranchRef, 0, 0, 0)), nil
}
