package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/objstore"
)

// Config says where a lake is.
type Config struct {
	// Dir holds a folder per table. It is created when missing. Iceberg metadata records absolute paths, so a lake stays
	// where it was made; Dir may name that place through symbolic links.
	Dir string
	// S3 holds the tables instead, where it is not nil. Dir then only takes what is too much for memory while it is
	// sorted or uploaded; it may be another one each time, and empty is the system's for temporary files.
	S3 *objstore.S3Config
	// Catalog is where the catalog is: the URL of a database in PostgreSQL, the path of one in SQLite, or the http:// or
	// https:// URL of an Iceberg REST catalog. Empty means catalog.db below Dir, which a lake in S3 cannot have.
	Catalog string
	// REST is what a REST catalog wants to know beside its address.
	REST RESTCatalog
	// Retention says how long Maintain and Expire keep rows.
	Retention Retention
	// Erased reads the ledger of erased people, as of the call. Landing filters by it what a table asks to be filtered, and scans
	// what is not erased yet. nil means that nobody was.
	Erased func(ctx context.Context) (*erasure.Ledger, error)
	// SetBack is told of each table that Open has set back to an older version, because the newest one was torn by a power cut or
	// a faulty disk. Who lands sets it; where it is nil Open refuses such a table with ErrTorn, and looks less closely.
	SetBack func(SetBack)
	// Allocator gives the memory of Arrow record batches; nil means the Go heap.
	Allocator memory.Allocator
}

// Lake is an open lake. It is safe for concurrent use; commits of one process run one after the other. Several processes
// may have the same lake open.
type Lake struct {
	files     files
	scratch   string // a local directory
	catalog   catalog
	retention Retention
	erased    func(ctx context.Context) (*erasure.Ledger, error) // nil: nobody was
	allocator memory.Allocator

	// committing serialises the commits and the maintenance of this process: they would only conflict.
	committing sync.Mutex

	mu    sync.Mutex
	known map[string]*table.Table // newest version seen of each table, by name
	// dropped are the snapshots that this process took out of a table and whose files it has not deleted yet.
	dropped map[string][]table.Snapshot
	// sweepDue says from when on a table is to be swept again.
	sweepDue map[string]time.Time

	// hook, set by tests only, is called at each named step of a commit; its error is returned as if the step had failed.
	hook func(step string) error
}

// ErrNoFence means that a table holds rows but no landed positions, so that nobody can tell which records of Kafka it
// already has.
var ErrNoFence = errors.New("the table holds rows but no landed positions")

// ErrMoved means that a lake was opened in another place than the one its metadata records: it was moved, or it is a
// copy whose metadata still names the files of the original.
var ErrMoved = errors.New("the lake is not where it was made")

// Open opens the lake in cfg.Dir, creates its tables where they do not exist, and adds the columns that a table of an older
// version lacks.
func Open(ctx context.Context, cfg Config) (*Lake, error) { return open(ctx, cfg, tables()) }

func open(ctx context.Context, cfg Config, specs []tableSpec) (*Lake, error) {
	in, err := openFiles(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	cat, err := openCatalog(ctx, cfg, in)
	if err != nil {
		in.close()
		return nil, fmt.Errorf("open lake: %w", err)
	}
	l := &Lake{
		files: in, scratch: cfg.Dir, catalog: cat, retention: cfg.Retention, erased: cfg.Erased, allocator: cfg.Allocator, known: make(map[string]*table.Table),
		dropped: make(map[string][]table.Snapshot), sweepDue: make(map[string]time.Time),
	}
	if l.allocator == nil {
		l.allocator = memory.DefaultAllocator
	}
	for _, spec := range specs {
		if err := l.openTable(ctx, spec, cfg.SetBack); err != nil {
			return nil, errors.Join(fmt.Errorf("open lake table %s: %w", spec.name, err), cat.close())
		}
	}
	return l, nil
}

// openFiles opens the place of a lake's files.
func openFiles(ctx context.Context, cfg Config) (files, error) {
	if cfg.S3 == nil {
		return openLocalFiles(cfg.Dir)
	}
	if cfg.Catalog == "" {
		return nil, errors.New("a lake in S3 needs a catalog in a database that all who open it share")
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
			return nil, err
		}
	}
	bucket, err := objstore.OpenS3(ctx, *cfg.S3)
	if err != nil {
		return nil, err
	}
	return bucketFiles{bucket: bucket, root: cfg.S3.Location(), scratch: cfg.Dir}, nil
}

// Close releases the catalog. No other method may be running.
func (l *Lake) Close() error {
	if err := l.catalog.close(); err != nil {
		return fmt.Errorf("close lake: %w", err)
	}
	return nil
}

// openTable creates the table if need be, sets it back where it is torn and somebody wants to be told, refuses one that lies
// elsewhere, whose rows have no fence or whose columns are not ours, and adds columns that it lacks.
func (l *Lake) openTable(ctx context.Context, spec tableSpec, setBack func(SetBack)) error {
	at, err := l.catalog.pointer(ctx, spec.ident())
	if errors.Is(err, errNoTable) {
		meta, err := spec.metadata(l.tableLocation(spec))
		if err != nil {
			return err
		}
		if err := l.catalog.create(ctx, spec.ident(), meta); err != nil {
			return err
		}
	} else if err != nil {
		return err
	} else if err := l.files.checkPlace(tableOf(at), l.tableLocation(spec)); err != nil { // before the metadata is looked for there
		return err
	}
	if setBack != nil && l.files.tears() {
		if err := l.ensureWhole(ctx, spec, setBack); err != nil {
			return err
		}
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		if broken(ctx, err) && l.files.tears() && !l.wholeText(ctx, at) {
			err = fmt.Errorf("%w: %w. Start the stream role, or `up`: it sets the table back to the newest version that is whole", ErrTorn, err)
		}
		return err
	}
	if err := l.files.checkPlace(t.Location(), l.tableLocation(spec)); err != nil {
		return err
	}
	fences, err := readFences(t.Properties())
	if err != nil {
		return err
	}
	if rows := tableRows(t.CurrentSnapshot()); rows != 0 && len(fences) == 0 {
		return fmt.Errorf("%w: %d rows and no property %s<epoch>.<topic>.<partition>; landing would not know where to continue. "+
			"Restore the table's properties from a backup, or roll the table back to a version that has them", ErrNoFence, rows, fencePrefix)
	}
	return l.evolve(ctx, spec)
}

func (l *Lake) tableLocation(spec tableSpec) string { return l.files.location(Namespace, spec.name) }

// tableOf is the location of the table that a metadata file belongs to, two names up.
func tableOf(metadata string) string {
	for range 2 {
		metadata = metadata[:max(0, strings.LastIndexByte(metadata, '/'))]
	}
	return metadata
}

// current returns the newest version of a table.
func (l *Lake) current(ctx context.Context, spec tableSpec) (*table.Table, error) {
	l.mu.Lock()
	known := l.known[spec.name]
	l.mu.Unlock()
	t, err := l.catalog.load(ctx, spec.ident(), known)
	if err != nil {
		return nil, err
	}
	l.remember(spec, t)
	return t, nil
}

func (l *Lake) remember(spec tableSpec, t *table.Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[spec.name] = t
}

// Next returns how far a table has landed, partition by partition. From is not set. The
// map is empty before the first landing.
func (l *Lake) Next(ctx context.Context, tableName string) (map[FenceKey]Fence, error) {
	spec, err := specByName(tableName)
	if err != nil {
		return nil, err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("read landed positions of %s: %w", tableName, err)
	}
	return readFences(t.Properties())
}
