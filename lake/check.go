package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/parquet-go/parquet-go"
)

// manifestEntries calls visit with every data file of a snapshot and the snapshot that brought it, manifest by manifest.
func manifestEntries(ctx context.Context, in files, s *table.Snapshot, visit func(f iceberg.DataFile, broughtBy int64) error) error {
	at := icebergFiles{ctx, in}
	manifests, err := s.Manifests(at)
	if err != nil {
		return fmt.Errorf("read manifest list %s: %w", s.ManifestList, err)
	}
	// Zeros from some places on end a list, or a manifest, like any other.
	if files := summaryCount(s, "total-data-files"); files > 0 && len(manifests) == 0 {
		return fmt.Errorf("read manifest list %s: it has no manifests, and its snapshot %d files", s.ManifestList, files)
	}
	for _, m := range manifests {
		files := int32(0)
		for entry, err := range m.Entries(at, true) {
			if err != nil {
				return fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			if err := visit(entry.DataFile(), entry.SnapshotID()); err != nil {
				return err
			}
			files++
		}
		if added, existing := m.AddedDataFiles(), m.ExistingDataFiles(); added >= 0 && existing >= 0 && files != added+existing {
			return fmt.Errorf("read manifest %s: it has %d files, and the list of manifests says %d", m.FilePath(), files, added+existing)
		}
	}
	return nil
}

// checkData reads a data file from its first byte to its last: whether it has the size and the rows that the table says, and
// whether every page of every column is what its checksum says.
func checkData(ctx context.Context, in files, location string, bytes, rows int64) (err error) {
	f, err := openSized(ctx, in, location, bytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := openParquet(f, bytes, in.readAhead(bytes))
	if err != nil {
		return err
	}
	if data.NumRows() != rows {
		return fmt.Errorf("it has %d rows, and the table says %d", data.NumRows(), rows)
	}
	for _, group := range data.RowGroups() {
		for i, chunk := range group.ColumnChunks() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := checkChunk(chunk, group.NumRows()); err != nil {
				return fmt.Errorf("column %d: %w", i, err)
			}
		}
	}
	return nil
}

// checkSize is the part of checkData that costs nothing.
func checkSize(ctx context.Context, in files, location string, bytes int64) error {
	f, err := openSized(ctx, in, location, bytes)
	if err != nil {
		return err
	}
	return f.Close()
}

func openSized(ctx context.Context, in files, location string, bytes int64) (openFile, error) {
	f, err := in.open(ctx, location, -1)
	if err != nil {
		return nil, err
	}
	if f.bytes() != bytes {
		return nil, errors.Join(fmt.Errorf("it has %d bytes, and the table says %d", f.bytes(), bytes), f.Close())
	}
	return f, nil
}

func checkChunk(chunk parquet.ColumnChunk, rows int64) (err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	for left := rows; ; {
		page, err := pages.ReadPage()
		switch {
		case errors.Is(err, io.EOF) && left == 0:
			return nil
		case errors.Is(err, io.EOF):
			return errShortColumn
		case err != nil:
			return fmt.Errorf("read page: %w", err)
		}
		left -= page.NumRows()
		parquet.Release(page)
	}
}

// errUnsupported says that a file is whole, and of a kind that is not read here.
var errUnsupported = errors.New("it is of a kind that this version of Millrace does not read")

// broken reports whether an error of a local file says that the file is not what it should be, as opposed to one that cannot be
// read now.
func broken(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var system *fs.PathError
	return errors.Is(err, fs.ErrNotExist) || !errors.As(err, &system) && !errors.Is(err, errUnsupported)
}
