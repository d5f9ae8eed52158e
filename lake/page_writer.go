package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"math/bits"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// plainLengthBytes stands before each string in PLAIN.
const plainLengthBytes = 4

// pageDraft is a data page in the making.
type pageDraft struct {
	reps, defs []byte   // levels, where the column has such
	plain      []byte   // values as PLAIN has them,
	indexes    []int32  // or their places in the dictionary
	entries    []string // of the dictionary, when the page is cut
	levels     int      // values and nulls
	values     int
	rows       int

	raw, packed []byte // scratch: the page before and after compression
}

// pageDrafts keeps the memory of drafts between pages and files, as long as the collector lets it.
var pageDrafts = sync.Pool{New: func() any { return new(pageDraft) }}

func newPageDraft() *pageDraft { return pageDrafts.Get().(*pageDraft) }

func (d *pageDraft) release() {
	*d = pageDraft{
		reps: d.reps[:0], defs: d.defs[:0], plain: d.plain[:0], indexes: d.indexes[:0], raw: d.raw[:0], packed: d.packed[:0],
	}
	pageDrafts.Put(d)
}

// bytes is what the page takes when it is decoded.
func (d *pageDraft) bytes() int { return len(d.reps) + len(d.defs) + len(d.plain) + 4*len(d.indexes) }

// page is one page as the file has it.
type page struct {
	content      []byte // header and body
	encoding     format.Encoding
	uncompressed int // size of header and body before compression
	levels       int // values and nulls
	values       int
	rows         int
	min, max     parquet.Value // null where there are no bounds
}

// encode makes a data page v1. Pages of a column may be encoded beside each other.
func (p *page) encode(d *pageDraft, c *columnShape, codec compress.Codec) error {
	p.encoding, p.levels, p.values, p.rows = format.Plain, d.levels, d.values, d.rows
	if err := d.appendLevels(d.reps, c.maxRep); err != nil {
		return err
	}
	if err := d.appendLevels(d.defs, c.maxDef); err != nil {
		return err
	}
	d.raw = append(d.raw, d.plain...)
	if len(d.indexes) > 0 {
		p.encoding = format.RLEDictionary
		var err error
		if d.packed, err = new(rle.DictionaryEncoding).EncodeInt32(d.packed[:0], d.indexes); err != nil {
			return err
		}
		d.raw = append(d.raw, d.packed...)
	}
	p.min, p.max = d.bounds(c.typ.Kind())
	return p.finish(d, codec, format.PageHeader{
		Type: format.DataPage,
		DataPageHeader: thrift.New(format.DataPageHeader{
			NumValues: int32(p.levels), Encoding: p.encoding, DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
			Statistics: statistics(p.min, p.max, p.levels-p.values),
		}),
	})
}

// encodeDictionary makes a dictionary page.
func (p *page) encodeDictionary(d *pageDraft, entries []string, codec compress.Codec) error {
	p.encoding = format.Plain
	for _, entry := range entries {
		d.raw = append(binary.LittleEndian.AppendUint32(d.raw, uint32(len(entry))), entry...)
	}
	return p.finish(d, codec, format.PageHeader{
		Type:                 format.DictionaryPage,
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(len(entries)), Encoding: format.Plain}),
	})
}

// appendLevels writes levels as a data page v1 has them, behind their length.
func (d *pageDraft) appendLevels(levels []byte, highest byte) (err error) {
	if highest == 0 {
		return nil
	}
	encoding := rle.Encoding{BitWidth: bits.Len8(highest)}
	if d.packed, err = encoding.EncodeLevels(d.packed[:0], levels); err != nil {
		return err
	}
	d.raw = append(binary.LittleEndian.AppendUint32(d.raw, uint32(len(d.packed))), d.packed...)
	return nil
}

// finish compresses what stands in raw and puts the header before it.
func (p *page) finish(d *pageDraft, codec compress.Codec, header format.PageHeader) (err error) {
	if len(d.raw) > math.MaxInt32 {
		return fmt.Errorf("a page of %d bytes: the rows are too large", len(d.raw))
	}
	if d.packed, err = codec.Encode(d.packed[:0], d.raw); err != nil {
		return fmt.Errorf("compress page: %w", err)
	}
	header.UncompressedPageSize, header.CompressedPageSize = int32(len(d.raw)), int32(len(d.packed))
	header.CRC = int32(crc32.ChecksumIEEE(d.packed))
	var head bytes.Buffer
	if err := encodeThrift(&head, &header); err != nil {
		return fmt.Errorf("encode page header: %w", err)
	}
	p.uncompressed = head.Len() + len(d.raw)
	p.content = append(append(make([]byte, 0, head.Len()+len(d.packed)), head.Bytes()...), d.packed...)
	return nil
}

// bounds finds the smallest and the largest value; both are null where nobody could prune by them.
func (d *pageDraft) bounds(kind parquet.Kind) (least, most parquet.Value) {
	if d.values == 0 {
		return least, most
	}
	switch kind {
	case parquet.ByteArray:
		least, most := d.textBounds()
		return parquet.ByteArrayValue([]byte(least)), parquet.ByteArrayValue([]byte(most))
	case parquet.Boolean:
		ones := 0
		for _, b := range d.plain {
			ones += bits.OnesCount8(b)
		}
		return parquet.BooleanValue(ones == d.values), parquet.BooleanValue(ones > 0)
	case parquet.Int32:
		least, most := numberBounds(d.plain, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
		return parquet.Int32Value(least), parquet.Int32Value(most)
	case parquet.Int64:
		least, most := numberBounds(d.plain, 8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
		return parquet.Int64Value(least), parquet.Int64Value(most)
	default:
		least, most := numberBounds(d.plain, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
		if math.IsNaN(least) { // of which both are one if any is
			return parquet.Value{}, parquet.Value{}
		}
		return parquet.DoubleValue(least), parquet.DoubleValue(most)
	}
}

func numberBounds[N int32 | int64 | float64](plain []byte, size int, number func([]byte) N) (least, most N) {
	least, most = number(plain), number(plain)
	for ; len(plain) > 0; plain = plain[size:] {
		n := number(plain)
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// textBounds are those of the entries that the page uses, or of its PLAIN values.
func (d *pageDraft) textBounds() (least, most string) {
	if len(d.indexes) > 0 {
		used := make([]bool, len(d.entries))
		for _, i := range d.indexes {
			used[i] = true
		}
		least, most = d.entries[d.indexes[0]], d.entries[d.indexes[0]]
		for i, entry := range d.entries {
			if used[i] {
				least, most = min(least, entry), max(most, entry)
			}
		}
		return least, most
	}
	var low, high []byte
	for plain := d.plain; len(plain) > 0; {
		end := plainLengthBytes + binary.LittleEndian.Uint32(plain)
		text := plain[plainLengthBytes:end]
		switch {
		case low == nil:
			low, high = text, text
		case bytes.Compare(text, low) < 0:
			low = text
		case bytes.Compare(text, high) > 0:
			high = text
		}
		plain = plain[end:]
	}
	return string(low), string(high)
}

func encodeThrift(to *bytes.Buffer, what any) error {
	return thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(to)).Encode(what)
}

// statistics tells bounds and nulls.
func statistics(least, most parquet.Value, nulls int) format.Statistics {
	s := format.Statistics{NullCount: int64(nulls)}
	if !least.IsNull() {
		s.MinValue, s.MaxValue = append([]byte{}, least.Bytes()...), append([]byte{}, most.Bytes()...)
	}
	return s
}
