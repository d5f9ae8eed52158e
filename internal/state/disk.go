package state

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// DefaultMemTableBytes is the size of one memtable. One process may hold many databases, each with up to MemTables
	// of them, so it is small.
	DefaultMemTableBytes = 2 << 20
	// MemTables is how many memtables of one database may exist at once (one written, one being flushed) before
	// writes wait.
	MemTables = 2
	// bloomBitsPerKey costs 10 bits of memory a key and lets 99 % of the lookups of absent keys skip the disk; a
	// de-duplication lookup is nearly always for an absent key.
	bloomBitsPerKey = 10
	// openFilesPerDB bounds the file descriptors of one database: 16 partitions stay far below the usual 1,024.
	openFilesPerDB = 32
	// l0Compaction is how many layers of level 0, doubled, make it as urgent to compact as a level that is full. Rows of
	// visitors lie all over the keys, so each compaction of level 0 rewrites the level below it whole: half as many of them
	// than with Pebble's 4 saved a sixth of all processor time over a million profiles.
	l0Compaction = 8
	// l0StopWrites is how many files may wait in level 0 before writes stall. Small memtables make many small files, so
	// it stands above Pebble's default of 12.
	l0StopWrites = 24
	// l0CatchUp is how many layers level 0 may have while a CatchUp runs before a compaction begins all the same: each
	// costs a read one look at its filter. It stands well below l0StopWrites.
	l0CatchUp = 10

	dirMode, fileMode = 0o700, 0o600 // what visitors did is nobody else's business
)

// Errors that OpenDisk's callers branch on.
var (
	// ErrLocked means that another process, or another part of this one, has the directory open.
	ErrLocked = errors.New("directory is in use by another process")
	// ErrCorrupt means that the files cannot be trusted any more.
	ErrCorrupt = errors.New("database files are corrupt")
)

// Cache is block memory shared by several databases of one process.
type Cache struct{ blocks *pebble.Cache }

// NewCache returns a cache that holds at most the given number of bytes. Close it after the databases that use it.
func NewCache(bytes int64) *Cache { return &Cache{blocks: pebble.NewCache(bytes)} }

// Close gives the memory back.
func (c *Cache) Close() { c.blocks.Unref() }

// DiskOptions say how much memory a database may use and where it logs.
type DiskOptions struct {
	Cache         *Cache       // shared block cache; required
	MemTableBytes uint64       // 0 means DefaultMemTableBytes
	Log           *slog.Logger // nil discards
	FS            vfs.FS       // nil means the operating system's; a simulation of power cuts gives its own over the same files
	CatchUp       *CatchUp     // compactions wait for it; nil lets them begin when they like
}

// OpenDisk opens or creates the Pebble database in dir, with small memtables, bounded shared memory and one log. The keyed
// state of partitions and the embedded online store are its users. The caller closes the result. Its errors are ErrLocked and ErrCorrupt with
// the directory and the way out, or the file system's own.
func OpenDisk(dir string, o DiskOptions) (*pebble.DB, error) {
	if o.Cache == nil {
		return nil, errors.New("open database: no cache given")
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = DefaultMemTableBytes
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("create database directory: %w", err)
	}
	lock, err := pebble.LockDirectory(dir, vfs.Default)
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || isHeldHere(err) {
			return nil, fmt.Errorf("open %s: %w: stop the other millrace process that uses it, or choose another data directory", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	options := pebbleOptions(o)
	options.Lock = lock
	db, err := pebble.Open(dir, options)
	if err != nil {
		return nil, errors.Join(explain(dir, err), lock.Close())
	}
	// Opening took its own reference, so that db.Close lets the lock go.
	if err := lock.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", dir, err), db.Close())
	}
	return db, nil
}

// isHeldHere recognises Pebble's refusal to lock a directory twice within one process, which carries no errno.
func isHeldHere(err error) bool {
	var errno syscall.Errno
	return !errors.As(err, &errno) && !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist)
}

// explain adds the way out to an error of opening.
func explain(dir string, err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("open %s: %w: move the directory away and start again; it is rebuilt from the lake and Kafka: %w", dir, ErrCorrupt, err)
	}
	return fmt.Errorf("open %s: %w", dir, err)
}

func pebbleOptions(o DiskOptions) *pebble.Options {
	options := &pebble.Options{
		Cache:                       o.Cache.blocks,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: MemTables,
		MaxOpenFiles:                openFilesPerDB,
		L0CompactionThreshold:       l0Compaction,
		L0StopWritesThreshold:       l0StopWrites,
		CompactionConcurrencyRange:  o.CatchUp.compactions,
		FormatMajorVersion:          pebble.FormatNewest,
		Logger:                      logger{o.Log},
		FS:                          o.FS,
	}
	options.Experimental.L0CompactionConcurrency = l0CatchUp
	for i := range options.Levels {
		options.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		options.Levels[i].Compression = compressionOf(i)
	}
	return options
}

// keptBatchBytes is the size of a batch whose buffer the next one uses: that of a backlog's batch, some 10 MB.
const keptBatchBytes = 16 << 20

// KeepBuffer lets a batch of a database leave its buffer to a later one.
func KeepBuffer() pebble.BatchOption { return pebble.WithMaxRetainedSizeBytes(keptBatchBytes) }

// compressionOf says how tables of a level are compressed. Those of level 0 are soon rewritten: compressing them would cost
// more than their bytes do.
func compressionOf(level int) func() *sstable.CompressionProfile {
	if level == 0 {
		return func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	return func() *sstable.CompressionProfile { return sstable.FastestCompression }
}

// logger passes Pebble's messages on: its chatter at debug level, its errors as warnings, because the failed operation
// itself returns the error that counts.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }

func (l logger) Errorf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }

// Fatalf must not return: Pebble calls it when a write to its log failed half way, after which going on would lose data
// silently. Everything written is in Kafka, so ending the process is the safe way out.
func (l logger) Fatalf(format string, args ...any) {
	panic("database: " + fmt.Sprintf(format, args...))
}
