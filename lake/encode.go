package lake

import (
	"fmt"
	"io"

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
	maxRowGroupRows = 120 * encodeChunkRows
	// maxRowGroupBytes bounds a row group in bytes as far as it is encoded: rows of long strings make shorter groups.
	maxRowGroupBytes = 64 << 20
	// maxDictionaryBytes is where a dictionary of a column that turned out not to be low-cardinality falls back to PLAIN.
	maxDictionaryBytes = 1 << 20
	// pageBytes is the uncompressed size of a data page, the unit in which a scan reads and decompresses.
	pageBytes = 256 << 10
	// encodeChunkRows is how many rows are converted at a time.
	encodeChunkRows = 1024
)

func writerOptions(schema *parquet.Schema) []parquet.WriterOption {
	return []parquet.WriterOption{
		schema,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1}),
		parquet.DataPageVersion(1),
		parquet.DefaultEncoding(&parquet.Plain), // the library would choose DELTA_LENGTH_BYTE_ARRAY for strings
		parquet.MaxRowsPerRowGroup(maxRowGroupRows),
		parquet.DictionaryMaxBytes(maxDictionaryBytes),
		parquet.PageBufferSize(pageBytes),
		parquet.CreatedBy("millrace", "1", "lake"),
	}
}

// EncodeEvents writes rows as one Parquet file of the events schema. It is what Commit writes, without the disk and the
// table; benchmarks use it as the limit of landing.
func EncodeEvents(w io.Writer, rows []EventRow) error {
	return encode(w, rows, (*eventRow).fill)
}

// EncodeExposures writes rows as one Parquet file of the exposures schema.
func EncodeExposures(w io.Writer, rows []ExposureRow) error {
	return encode(w, rows, (*exposureRow).fill)
}

// EncodeItems writes rows as one Parquet file of the items schema.
func EncodeItems(w io.Writer, rows []ItemRow) error {
	return encode(w, rows, (*catalogueRow).fill)
}

// encode converts and writes rows a chunk at a time.
func encode[In, Row any](w io.Writer, rows []In, fill func(*Row, In) error) error {
	out := newRowWriter[Row](w)
	chunk := make([]Row, 0, min(len(rows), encodeChunkRows))
	for len(rows) > 0 {
		n := min(len(rows), encodeChunkRows)
		chunk = chunk[:n]
		for i := range chunk {
			if err := fill(&chunk[i], rows[i]); err != nil {
				return err
			}
		}
		rows = rows[n:]
		if err := out.write(chunk); err != nil {
			return err
		}
	}
	return out.close()
}

// rowWriter writes rows as one Parquet file and cuts row groups by rows and by bytes.
type rowWriter[Row any] struct {
	file                  *parquet.GenericWriter[Row]
	groupRows, groupStart int64
}

func newRowWriter[Row any](w io.Writer, options ...parquet.WriterOption) *rowWriter[Row] {
	return &rowWriter[Row]{file: parquet.NewGenericWriter[Row](w, append(writerOptions(parquet.SchemaOf(new(Row))), options...)...)}
}

// write takes at most encodeChunkRows rows.
func (w *rowWriter[Row]) write(rows []Row) error {
	if _, err := w.file.Write(rows); err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	w.groupRows += int64(len(rows))
	if w.groupRows < maxRowGroupRows && w.file.Size()-w.groupStart < maxRowGroupBytes {
		return nil
	}
	if err := w.file.Flush(); err != nil {
		return fmt.Errorf("flush row group: %w", err)
	}
	w.groupRows, w.groupStart = 0, w.file.Size()
	return nil
}

// close ends the file; the writer below stays open.
func (w *rowWriter[Row]) close() error {
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("finish file: %w", err)
	}
	return nil
}
