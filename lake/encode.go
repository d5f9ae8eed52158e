package lake

import (
	"fmt"
	"io"
	"runtime"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/millrace/millrace/internal/event"
)

// EventRow is one event and the Kafka record it came from.
type EventRow struct {
	Event *event.Event
	At    Position
}

// ExposureRow is one served list and the Kafka record it came from.
type ExposureRow struct {
	Exposure *event.Exposure
	At       Position
}

// ItemRow is one record of the catalogue's history and the Kafka record it came from.
type ItemRow struct {
	Item *event.CatalogueRow
	At   Position
}

// The portable Parquet profile: what DuckDB, Spark, pyarrow and older readers all decode the same way. Data pages v1,
// zstd, dictionaries for columns of few distinct strings, PLAIN otherwise. LZ4 never: the library reads its own LZ4_RAW
// back wrongly, without an error.
const (
	// maxRowGroupRows bounds a row group in rows: large enough to compress well, small enough to decode in a few MB a column.
	// It is a multiple of encodeChunkRows.
	maxRowGroupRows = 960 * encodeChunkRows
	// maxRowGroupBytes bounds a row group in bytes before it is compressed: rows of long strings make shorter groups.
	maxRowGroupBytes = 64 << 20
	// maxDictionaryBytes is where a dictionary of a column that turned out not to be low-cardinality falls back to PLAIN.
	maxDictionaryBytes = 1 << 20
	// pageBytes is the uncompressed size of a data page, the unit in which a scan reads and decompresses.
	pageBytes = 256 << 10
	// encodeChunkRows is how many rows are converted, and taken apart column by column, at a time: few enough to stay in the
	// processor's cache meanwhile.
	encodeChunkRows = 128
)

// How files are written: those of a landing fast, for what reads them most is the compaction that rewrites them; its own files
// smaller. Codecs hold encoders for reuse.
var (
	landedProfile    = parquetProfile{codec: &zstd.Codec{Level: zstd.SpeedFastest}, pageBytes: pageBytes, dictionaryBytes: maxDictionaryBytes, parallel: true}
	compactedProfile = parquetProfile{codec: &zstd.Codec{Level: zstd.SpeedDefault}, pageBytes: pageBytes, dictionaryBytes: maxDictionaryBytes}
)

// EncodeEvents writes rows as one Parquet file of the events schema. It is what Commit writes, without the disk and the
// table; benchmarks use it as the limit of landing.
func EncodeEvents(w io.Writer, rows []EventRow) error {
	return encode(w, rows, all, (*eventRow).fill)
}

// EncodeExposures writes rows as one Parquet file of the exposures schema.
func EncodeExposures(w io.Writer, rows []ExposureRow) error {
	return encode(w, rows, all, (*exposureRow).fill)
}

// EncodeItems writes rows as one Parquet file of the items schema.
func EncodeItems(w io.Writer, rows []ItemRow) error {
	return encode(w, rows, all, (*catalogueRow).fill)
}

func all[In any](In) bool { return true }

// encode converts and writes the rows that are wanted, a chunk at a time.
func encode[In, Row any](w io.Writer, rows []In, wanted func(In) bool, fill func(*Row, In) error) error {
	out, err := newRowWriter[Row](w, landedProfile)
	if err != nil {
		return err
	}
	defer out.release()
	chunk, filled := make([]Row, min(len(rows), encodeChunkRows)), 0
	for _, row := range rows {
		if !wanted(row) {
			continue
		}
		if err := fill(&chunk[filled], row); err != nil {
			return err
		}
		if filled++; filled == len(chunk) {
			if err := out.write(chunk); err != nil {
				return err
			}
			filled = 0
			runtime.Gosched() // answers of the same process wait for no more than a chunk
		}
	}
	if err := out.write(chunk[:filled]); err != nil {
		return err
	}
	return out.close()
}

// rowWriter writes rows as one Parquet file and cuts row groups by rows and by bytes.
type rowWriter[Row any] struct {
	file      *parquetWriter
	rows      *shredder[Row]
	groupRows int
}

func newRowWriter[Row any](w io.Writer, profile parquetProfile) (*rowWriter[Row], error) {
	schema := parquet.SchemaOf(new(Row))
	rows, err := newShredder[Row](schema)
	if err != nil {
		return nil, fmt.Errorf("encode rows: %w", err)
	}
	file, err := newParquetWriter(w, schema, rows.columns, profile)
	if err != nil {
		return nil, fmt.Errorf("encode rows: %w", err)
	}
	return &rowWriter[Row]{file: file, rows: rows}, nil
}

// write takes at most encodeChunkRows rows, and keeps nothing of them.
func (w *rowWriter[Row]) write(rows []Row) error {
	w.rows.write(rows)
	w.file.cutFull()
	w.groupRows += len(rows)
	if w.groupRows < maxRowGroupRows && w.file.bytes < maxRowGroupBytes {
		return nil
	}
	if err := w.file.endGroup(); err != nil {
		return fmt.Errorf("encode row group: %w", err)
	}
	w.groupRows = 0
	return nil
}

// release gives memory back to other files, once the encoders of a writer that was given up have ended; a closed one has none.
func (w *rowWriter[Row]) release() {
	_ = w.file.encoders.Wait() // their error was told, or is of no interest any more
	for _, c := range w.file.columns {
		c.draft.release()
		c.draft = nil
	}
}

// close ends the file; the writer below stays open.
func (w *rowWriter[Row]) close() error {
	if err := w.file.close(); err != nil {
		return fmt.Errorf("finish file: %w", err)
	}
	return nil
}
