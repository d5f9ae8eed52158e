package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
)

// encode makes one batch at a base offset with the product's own builder.
func encode(base int64, records ...Record) []byte {
	var b batchBuilder
	for i := range records {
		b.add(&records[i])
	}
	sealed := b.seal(producerState{id: noProducer, epoch: -1, sequence: -1})[lengthPrefixSize:]
	return at(sealed, base)
}

// at moves a batch to another base offset, which its checksum does not cover.
func at(batch []byte, base int64) []byte {
	out := bytes.Clone(batch)
	binary.BigEndian.PutUint64(out, uint64(base))
	return out
}

// mend recomputes the checksum of a batch that a test changed.
func mend(batch []byte) []byte {
	binary.BigEndian.PutUint32(batch[17:], crc32.Checksum(batch[21:], castagnoli))
	return batch
}

var testDecoder = sync.OnceValues(newDecoder)

func parse(tb testing.TB, from int64, raw ...[]byte) (batchParser, error) {
	return parseCommitted(tb, from, math.MaxInt64, nil, raw...)
}

func parseCommitted(tb testing.TB, from, stable int64, aborted []fetchAbortedTxn, raw ...[]byte) (batchParser, error) {
	decoder, err := testDecoder()
	if err != nil {
		tb.Fatal(err)
	}
	p := batchParser{buffers: &buffers{}, topic: "t", partition: 3, from: from, stable: stable, aborts: newAborts(aborted), zstd: decoder}
	err = p.parse(bytes.Join(raw, nil))
	return p, err
}

func sample(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{
			Topic: "t", Partition: 3, Offset: int64(i), Time: time.UnixMilli(1_700_000_000_123 + int64(i*i)).UTC(),
			Key: fmt.Appendf(nil, "key %d", i), Value: bytes.Repeat([]byte{byte(i)}, i),
			Headers: []Header{{Key: "schema", Value: []byte("event/1")}, {Key: "nil"}}[:i%3],
		}
		if i%5 == 4 {
			records[i].Key = nil
		}
		if i%7 == 6 {
			records[i].Value = nil
		}
		if i%3 == 0 {
			records[i].Headers = nil
		}
	}
	return records
}

func TestBatchRoundTrip(t *testing.T) {
	want := sample(200)
	p, err := parse(t, 0, encode(0, want[:120]...), encode(120, want[120:]...))
	if err != nil {
		t.Fatal(err)
	}
	if p.next != 200 || !reflect.DeepEqual(p.records, want) {
		t.Fatalf("next %d, %d records, or their content differs", p.next, len(p.records))
	}
	if cap(p.records) != 200 {
		t.Errorf("allocated %d records for 200", cap(p.records))
	}
}

// goldenBytes reads hexadecimal digits with comments.
func goldenBytes(tb testing.TB, name string) []byte {
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	golden, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatal(err)
	}
	return golden
}

// The golden batch was written down from the description of the format, not with this package.
func TestBatchGolden(t *testing.T) {
	golden := goldenBytes(t, "batch.hex")
	want := []Record{
		{Topic: "t", Partition: 3, Offset: 7, Time: time.UnixMilli(1_700_000_000_000).UTC(), Key: []byte("a"), Value: []byte("one"), Headers: []Header{{Key: "h", Value: []byte{}}}},
		{Topic: "t", Partition: 3, Offset: 8, Time: time.UnixMilli(1_700_000_000_001).UTC(), Key: []byte{}},
	}
	p, err := parse(t, 7, golden)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p.records, want) || p.next != 9 {
		t.Errorf("parsed %+v, next %d", p.records, p.next)
	}
	if made := encode(7, want...); !bytes.Equal(made, golden) {
		t.Errorf("encoded\n%x\nwant\n%x", made, golden)
	}
}

// The library's own encoder is the oracle, with every compression.
func TestBatchAgainstLibrary(t *testing.T) {
	want := sample(50)
	for _, c := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			p, err := parse(t, 0, libraryBatch(t, want, protocol.Attributes(c)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(p.records, want) {
				t.Fatalf("records differ")
			}
		})
	}
}

func libraryBatch(t *testing.T, records []Record, attributes protocol.Attributes) []byte {
	var theirs []protocol.Record
	for _, r := range records {
		their := protocol.Record{Time: r.Time, Key: libraryBytes(r.Key), Value: libraryBytes(r.Value)}
		for _, h := range r.Headers {
			their.Headers = append(their.Headers, protocol.Header(h))
		}
		theirs = append(theirs, their)
	}
	var buf bytes.Buffer
	set := protocol.RecordSet{Version: 2, Attributes: attributes, Records: protocol.NewRecordReader(theirs...)}
	if _, err := set.WriteTo(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()[lengthPrefixSize:]
}

func libraryBytes(b []byte) protocol.Bytes {
	if b == nil {
		return nil
	}
	return protocol.NewBytes(b)
}

func TestBatchSkipsWhatWasReadAndAdvancesOverWhatHoldsNothing(t *testing.T) {
	records := sample(10)
	control := encode(10, Record{Key: []byte{0, 0, 0, 1}})
	control[22] |= attrControl
	compacted := encode(11, records[:3]...)
	binary.BigEndian.PutUint32(compacted[23:], 8) // the batch once reached to offset 19
	emptied := encode(20, records[:1]...)[:batchHeaderSize]
	binary.BigEndian.PutUint32(emptied[8:], batchHeaderSize-batchPrefixSize)
	binary.BigEndian.PutUint32(emptied[23:], 4)
	binary.BigEndian.PutUint32(emptied[57:], 0)

	p, err := parse(t, 6, encode(0, records...), mend(control), mend(compacted), mend(emptied))
	if err != nil {
		t.Fatal(err)
	}
	var offsets []int64
	for _, r := range p.records {
		offsets = append(offsets, r.Offset)
	}
	if want := []int64{6, 7, 8, 9, 11, 12, 13}; !reflect.DeepEqual(offsets, want) {
		t.Errorf("offsets %v, want %v", offsets, want)
	}
	if p.next != 25 {
		t.Errorf("next %d, want 25: past the emptied batch", p.next)
	}
}

func TestBatchLogAppendTime(t *testing.T) {
	b := encode(0, sample(3)...)
	b[22] |= attrLogAppendTime
	binary.BigEndian.PutUint64(b[35:], 1_800_000_000_000)
	p, err := parse(t, 0, mend(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.records {
		if r.Time.UnixMilli() != 1_800_000_000_000 {
			t.Errorf("offset %d has time %v, want the broker's", r.Offset, r.Time)
		}
	}
}

// A broker cuts its answer at a byte count; what is complete counts.
func TestBatchPartialTail(t *testing.T) {
	first, second := encode(0, sample(5)...), encode(5, sample(5)...)
	for cut := range len(second) {
		p, err := parse(t, 0, first, second[:cut])
		if err != nil || len(p.records) != 5 || p.next != 5 {
			t.Fatalf("cut at %d: %d records, next %d, %v", cut, len(p.records), p.next, err)
		}
	}
	if _, err := parse(t, 5, second[:len(second)-1]); err == nil {
		t.Error("a first batch that was cut must be an error, or the reader would ask for it for ever")
	}
}

func TestBatchCorrupt(t *testing.T) {
	good := encode(0, sample(5)...)
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for name, bad := range map[string][]byte{
		"flipped bit":       change(func(b []byte) { b[len(b)-1] ^= 1 }),
		"old format":        change(func(b []byte) { b[16] = 1 }),
		"short length":      change(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 3) }),
		"negative length":   change(func(b []byte) { binary.BigEndian.PutUint32(b[8:], 1<<31) }),
		"too many records":  mend(change(func(b []byte) { binary.BigEndian.PutUint32(b[57:], 1<<30) })),
		"fewer records":     mend(change(func(b []byte) { binary.BigEndian.PutUint32(b[57:], 4) })),
		"offset outside":    mend(change(func(b []byte) { binary.BigEndian.PutUint32(b[23:], 2) })),
		"unknown codec":     mend(change(func(b []byte) { b[22] |= 7 })),
		"not compressed":    mend(change(func(b []byte) { b[22] |= 4 })),
		"long record":       mend(change(func(b []byte) { b[batchHeaderSize] = 0x7e })),
		"odd marker":        mend(change(func(b []byte) { b[22] |= attrControl; b[batchHeaderSize+4] = 1 })),
		"negative delta":    mend(change(func(b []byte) { binary.BigEndian.PutUint32(b[23:], 1<<31) })),
		"offsets wrap over": mend(change(func(b []byte) { binary.BigEndian.PutUint64(b, 1<<63-3) })),
	} {
		t.Run(name, func(t *testing.T) {
			var corrupt *CorruptError
			if _, err := parse(t, 0, bad); !errors.As(err, &corrupt) {
				t.Fatalf("error %v, want *CorruptError", err)
			}
			p, err := parse(t, 0, good, at(bad, 5))
			if name == "offsets wrap over" {
				return // moved to 5 it is in order
			}
			if err != nil || len(p.records) != 5 || p.next != 5 {
				t.Errorf("after a good batch: %d records, next %d, %v; want the good one and no error yet", len(p.records), p.next, err)
			}
		})
	}
}

// A batch of our own that is large enough is compressed, and one that does not shrink is not.
func TestCompress(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	records := sample(100)
	noise := make([]byte, 4000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, tc := range map[string]struct {
		records []Record
		codec   uint16
	}{
		"large":   {records, attrZstd},
		"small":   {records[:3], 0},
		"no gain": {[]Record{{Topic: "t", Partition: 3, Time: time.UnixMilli(5).UTC(), Value: noise}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var b batchBuilder
			for i := range tc.records {
				b.add(&tc.records[i])
			}
			plain := b.size()
			b.compress(encoder)
			raw := b.seal(producerState{id: noProducer})[lengthPrefixSize:]
			if got := binary.BigEndian.Uint16(raw[21:]); got != tc.codec || tc.codec != 0 && b.size() >= plain {
				t.Errorf("codec %d, %d bytes of %d", got, b.size(), plain)
			}
			p, err := parse(t, 0, raw)
			if err != nil || !reflect.DeepEqual(p.records, tc.records) {
				t.Errorf("records differ, %v", err)
			}
		})
	}
}

// Small batches that inflate to much are not all inflated at once.
func TestParsedBytesAreBounded(t *testing.T) {
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b batchBuilder
	b.add(&Record{Value: make([]byte, 1<<20)})
	b.compress(encoder)
	batch := b.seal(producerState{id: noProducer})[lengthPrefixSize:]
	var raw []byte
	for i := range 10 {
		raw = append(raw, at(batch, int64(i))...)
	}
	for from := int64(0); from < 10; {
		p, err := parse(t, from, raw[from*int64(len(batch)):])
		if err != nil || len(p.records) == 0 || len(p.records) > 4 || p.next != from+int64(len(p.records)) {
			t.Fatalf("from %d: %d records, next %d, %v", from, len(p.records), p.next, err)
		}
		from = p.next
	}
}

// A fetch of many small batches makes room some times for all of them, not for each.
func TestManySmallBatchesShareTheirMemory(t *testing.T) {
	const batches = 1000
	encoder, err := newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	var b batchBuilder
	b.add(&Record{Value: bytes.Repeat([]byte("value "), 500)})
	b.compress(encoder)
	batch := b.seal(producerState{id: noProducer})[lengthPrefixSize:]
	var raw []byte
	for i := range batches {
		raw = append(raw, at(batch, int64(i))...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := parse(t, 0, raw)
	runtime.ReadMemStats(&after)
	if err != nil || len(p.records) != batches {
		t.Fatalf("%d records, %v", len(p.records), err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 10*uint64(p.parsed) {
		t.Errorf("%d bytes were allocated for %d", took, p.parsed)
	}
}

func TestInflateIsBounded(t *testing.T) {
	for _, c := range []compress.Compression{compress.Gzip, compress.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			var bomb bytes.Buffer
			w := c.Codec().NewWriter(&bomb)
			if _, err := w.Write(make([]byte, maxInflatedBytes+1)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			decoder, err := newDecoder()
			if err != nil {
				t.Fatal(err)
			}
			p := batchParser{buffers: &buffers{}, zstd: decoder}
			if _, err := p.inflate(c, bomb.Bytes()); err == nil {
				t.Fatalf("%d bytes inflated beyond the limit", bomb.Len())
			}
		})
	}
}

// Into memory that was used before, a thousand records are parsed without memory for each.
func TestParseAllocatesNothingPerRecord(t *testing.T) {
	decoder, err := testDecoder()
	if err != nil {
		t.Fatal(err)
	}
	raw := compressed(t, benchRecords(1000)...)
	b := &buffers{}
	allocs := testing.AllocsPerRun(20, func() {
		p := batchParser{buffers: b, topic: "t", stable: math.MaxInt64, zstd: decoder}
		if err := p.parse(raw); err != nil {
			t.Error(err)
		}
		b.inflated, b.records, b.headers = b.inflated[:0], b.records[:0], b.headers[:0]
	})
	const perAnswer = 10 // of whatever size: the parser itself and the first header's key
	if allocs > perAnswer {
		t.Errorf("%v allocations for 1000 records, want at most %d", allocs, perAnswer)
	}
}
