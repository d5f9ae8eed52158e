package lake

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/iceberg-go/table"
)

// Config says where a lake is.
type Config struct {
	// Dir holds catalog.db and a folder per table. It is created when missing. Iceberg metadata records absolute paths, so
	// a lake stays where it was made.
	Dir string
	// Allocator gives the memory of Arrow record batches; nil means the Go heap.
	Allocator memory.Allocator
}

// Lake is an open lake. It is safe for concurrent use; commits of one process run one after the other. Several processes
// may have the same lake open.
type Lake struct {
	dir       string
	catalog   *catalog
	allocator memory.Allocator

	// committing serialises the commits and the maintenance of this process: they would only conflict.
	committing sync.Mutex

	mu    sync.Mutex
	known map[string]*table.Table // newest version seen of each table, by name

	// hook, set by tests only, is called at each named step of a commit; its error is returned as if the step had failed.
	hook func(step string) error
}

// ErrNoFence means that a table holds rows but no landed positions, so that nobody can tell which records of Kafka it
// already has.
var ErrNoFence = errors.New("the table holds rows but no landed positions")

// Open opens the lake in cfg.Dir and creates its tables where they do not exist.
func Open(ctx context.Context, cfg Config) (*Lake, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	if err := mkdirDurable(dir); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	cat, err := openCatalog(ctx, filepath.Join(dir, "catalog.db"))
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	l := &Lake{dir: dir, catalog: cat, allocator: cfg.Allocator, known: make(map[string]*table.Table)}
	if l.allocator == nil {
		l.allocator = memory.DefaultAllocator
	}
	for _, spec := range tables() {
		if err := l.openTable(ctx, spec); err != nil {
			return nil, errors.Join(fmt.Errorf("open lake table %s: %w", spec.name, err), cat.close())
		}
	}
	return l, nil
}

// Close releases the catalog. No other method may be running.
func (l *Lake) Close() error {
	if err := l.catalog.close(); err != nil {
		return fmt.Errorf("close lake: %w", err)
	}
	return nil
}

// openTable creates the table if need be and refuses one whose rows have no fence.
func (l *Lake) openTable(ctx context.Context, spec tableSpec) error {
	_, err := l.catalog.pointer(ctx, spec.ident())
	if errors.Is(err, errNoTable) {
		meta, err := spec.metadata(location(l.tableDir(spec)))
		if err != nil {
			return err
		}
		if err := l.catalog.create(ctx, spec.ident(), meta); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
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
	return nil
}

func (l *Lake) tableDir(spec tableSpec) string { return filepath.Join(l.dir, Namespace, spec.name) }

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

// Next returns how far a table (TableEvents or TableExposures) has landed, partition by partition. From is not set. The
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
