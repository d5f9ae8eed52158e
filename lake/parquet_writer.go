package lake

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
	"golang.org/x/sync/errgroup"
)

// parquetMagic begins and ends a file.
const parquetMagic = "PAR1"

// indexBoundBytes is how much of a bound the column index tells: it only says which pages to look at.
const indexBoundBytes = 16

// parquetProfile is how a file is written.
type parquetProfile struct {
	codec           compress.Codec
	pageBytes       int // of a data page, before it is encoded
	dictionaryBytes int // where a dictionary has failed: what follows is PLAIN
	// parallel pages are encoded on all processors beside the rows that come next. Somebody waits for a landing; what runs in the
	// background leaves the other processors to it.
	parallel bool
}

// parquetWriter writes the columns of a file. Who gives it up after an error waits for the encoders that are at work
// (rowWriter.release).
type parquetWriter struct {
	profile  parquetProfile
	out      *bufio.Writer // its first error is told at the end
	offset   int64
	columns  []*columnWriter
	encoders *errgroup.Group
	failed   error // the first of what was encoded without them
	bytes    int   // of the row group, before it is encoded

	meta    format.FileMetaData
	indexes []columnIndexes // by row group
}

type columnIndexes struct {
	columns []*format.ColumnIndex // nil where there is none
	offsets []format.OffsetIndex
}

func newParquetWriter(w io.Writer, schema *parquet.Schema, columns []*columnWriter, profile parquetProfile) (*parquetWriter, error) {
	meta, err := emptyMetadata(schema)
	if err != nil {
		return nil, fmt.Errorf("describe columns: %w", err)
	}
	p := &parquetWriter{profile: profile, out: bufio.NewWriterSize(w, fileBufferBytes), columns: columns, meta: meta}
	p.write([]byte(parquetMagic))
	p.begin()
	return p, nil
}

// emptyMetadata is the library's footer of a file without rows: the schema as Parquet wants it told.
func emptyMetadata(schema *parquet.Schema) (format.FileMetaData, error) {
	var empty bytes.Buffer
	w := parquet.NewGenericWriter[any](&empty, schema, parquet.CreatedBy("millrace", "1", "lake"))
	if err := w.Close(); err != nil {
		return format.FileMetaData{}, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(empty.Bytes()), int64(empty.Len()))
	if err != nil {
		return format.FileMetaData{}, err
	}
	return *f.Metadata(), nil
}

func (w *parquetWriter) write(b []byte) {
	_, _ = w.out.Write(b)
	w.offset += int64(len(b))
}

// begin begins a row group.
func (w *parquetWriter) begin() {
	w.encoders, w.bytes = &errgroup.Group{}, 0
	w.encoders.SetLimit(runtime.GOMAXPROCS(0))
	for _, c := range w.columns {
		c.begin()
	}
}

// cutFull ends the pages that are large enough.
func (w *parquetWriter) cutFull() {
	for _, c := range w.columns {
		if c.full(&w.profile) {
			w.cut(c)
		}
	}
}

func (w *parquetWriter) cut(c *columnWriter) {
	draft, out := c.cut(&w.profile)
	if draft == nil {
		return
	}
	w.bytes += draft.bytes()
	encode := func() error {
		defer draft.release()
		if err := out.encode(draft, &c.columnShape, w.profile.codec); err != nil {
			return fmt.Errorf("column %v: %w", c.path, err)
		}
		return nil
	}
	if w.profile.parallel {
		w.encoders.Go(encode)
	} else if err := encode(); w.failed == nil {
		w.failed = err
	}
}

// endGroup writes the row group, if it has any rows.
func (w *parquetWriter) endGroup() error {
	for _, c := range w.columns {
		w.cut(c)
	}
	if err := errors.Join(w.encoders.Wait(), w.failed); err != nil {
		return err
	}
	rows := w.columns[0].rows
	if rows == 0 {
		return nil
	}
	group := format.RowGroup{NumRows: int64(rows), FileOffset: w.offset, Ordinal: int16(len(w.meta.RowGroups))}
	var indexes columnIndexes
	for _, c := range w.columns {
		chunk, offsets, err := w.writeChunk(c)
		if err != nil {
			return fmt.Errorf("column %v: %w", c.path, err)
		}
		group.Columns = append(group.Columns, chunk)
		group.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		group.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		indexes.columns, indexes.offsets = append(indexes.columns, c.index()), append(indexes.offsets, offsets)
	}
	w.meta.RowGroups, w.indexes = append(w.meta.RowGroups, group), append(w.indexes, indexes)
	w.meta.NumRows += group.NumRows
	w.begin()
	return nil
}

// writeChunk writes the pages of a column.
func (w *parquetWriter) writeChunk(c *columnWriter) (format.ColumnChunk, format.OffsetIndex, error) {
	meta := format.ColumnMetaData{
		Type: format.Type(c.typ.Kind()), PathInSchema: c.path, Codec: w.profile.codec.CompressionCodec(), Statistics: c.statistics(),
	}
	var offsets format.OffsetIndex
	add := func(p *page, kind format.PageType) {
		w.write(p.content)
		meta.TotalUncompressedSize += int64(p.uncompressed)
		meta.TotalCompressedSize += int64(len(p.content))
		noteEncoding(&meta, kind, p.encoding)
	}
	if len(c.entries) > 0 {
		meta.DictionaryPageOffset = w.offset
		draft := newPageDraft()
		defer draft.release()
		var dictionary page
		if err := dictionary.encodeDictionary(draft, c.entries, w.profile.codec); err != nil {
			return format.ColumnChunk{}, offsets, err
		}
		add(&dictionary, format.DictionaryPage)
	}
	meta.DataPageOffset = w.offset
	rows := 0
	for _, p := range c.pages {
		offsets.PageLocations = append(offsets.PageLocations, format.PageLocation{
			Offset: w.offset, CompressedPageSize: int32(len(p.content)), FirstRowIndex: int64(rows),
		})
		add(p, format.DataPage)
		meta.NumValues += int64(p.levels)
		rows += p.rows
	}
	if rows != c.rows || rows != w.columns[0].rows {
		return format.ColumnChunk{}, offsets, fmt.Errorf("%d rows in its pages of %d, and %d in the first column", rows, c.rows, w.columns[0].rows)
	}
	return format.ColumnChunk{MetaData: meta}, offsets, nil
}

// noteEncoding counts a page, and lists the encodings of a column.
func noteEncoding(meta *format.ColumnMetaData, kind format.PageType, encoding format.Encoding) {
	for i := range meta.EncodingStats {
		if s := &meta.EncodingStats[i]; s.PageType == kind && s.Encoding == encoding {
			s.Count++
			return
		}
	}
	meta.EncodingStats = append(meta.EncodingStats, format.PageEncodingStats{PageType: kind, Encoding: encoding, Count: 1})
	if meta.Encoding == nil {
		meta.Encoding = append(meta.Encoding, format.RLE) // of levels
	}
	for _, known := range meta.Encoding {
		if known == encoding {
			return
		}
	}
	meta.Encoding = append(meta.Encoding, encoding)
}

// close ends the file; the writer below stays open.
func (w *parquetWriter) close() error {
	if err := w.endGroup(); err != nil {
		return err
	}
	for i, indexes := range w.indexes {
		for j := range indexes.columns {
			if indexes.columns[j] == nil {
				continue
			}
			chunk := &w.meta.RowGroups[i].Columns[j]
			chunk.ColumnIndexOffset = w.offset
			if err := w.encode(indexes.columns[j]); err != nil {
				return err
			}
			chunk.ColumnIndexLength = int32(w.offset - chunk.ColumnIndexOffset)
		}
	}
	for i, indexes := range w.indexes {
		for j := range indexes.offsets {
			chunk := &w.meta.RowGroups[i].Columns[j]
			chunk.OffsetIndexOffset = w.offset
			if err := w.encode(&indexes.offsets[j]); err != nil {
				return err
			}
			chunk.OffsetIndexLength = int32(w.offset - chunk.OffsetIndexOffset)
		}
	}
	start := w.offset
	if err := w.encode(&w.meta); err != nil {
		return err
	}
	w.write(binary.LittleEndian.AppendUint32(nil, uint32(w.offset-start)))
	w.write([]byte(parquetMagic))
	return w.out.Flush()
}

func (w *parquetWriter) encode(what any) error {
	var out bytes.Buffer
	if err := encodeThrift(&out, what); err != nil {
		return err
	}
	w.write(out.Bytes())
	return nil
}
