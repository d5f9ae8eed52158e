package kafka

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// BenchmarkParse parses answers of 1,000 records into memory that was used before.
func BenchmarkParse(b *testing.B) {
	records := benchRecords(1000)
	decoder, err := newDecoder()
	if err != nil {
		b.Fatal(err)
	}
	for name, raw := range map[string][]byte{"plain": encode(0, records...), "zstd": compressed(b, records...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				p := batchParser{buffers: newBuffers(), topic: "t", stable: math.MaxInt64, zstd: decoder}
				if err := p.parse(raw); err != nil {
					b.Fatal(err)
				}
				p.release()
			}
			b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkDecode is all that a fetch does with the bytes of an answer: the library's decoding, into memory that was used
// before, and the parser. It makes no garbage but for some hundred bytes an answer.
func BenchmarkDecode(b *testing.B) {
	records := benchRecords(3000)
	decoder, err := newDecoder()
	if err != nil {
		b.Fatal(err)
	}
	for name, raw := range map[string][]byte{"plain": encode(0, records...), "zstd": compressed(b, records...)} {
		b.Run(name, func(b *testing.B) {
			const version = 11
			var wire bytes.Buffer
			answer := &fetchResponse{Topics: []fetchResponseTopic{{Topic: "t", Partitions: []fetchResponsePartition{{RecordSet: raw}}}}}
			registerMessages()
			if err := protocol.WriteResponse(&wire, version, 1, answer); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			reader := bytes.NewReader(nil)
			n := 0
			for n < b.N {
				reader.Reset(wire.Bytes())
				_, message, err := protocol.ReadResponse(reader, protocol.Fetch, version)
				if err != nil {
					b.Fatal(err)
				}
				p := batchParser{buffers: newBuffers(), topic: "t", stable: math.MaxInt64, zstd: decoder}
				p.raw = message.(*fetchResponse).Topics[0].Partitions[0].RecordSet
				if err := p.parse(p.raw); err != nil {
					b.Fatal(err)
				}
				n += len(p.records)
				p.release()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func benchRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{Time: time.UnixMilli(int64(i)), Key: []byte("default:a:1234567890"), Value: bytes.Repeat([]byte("x"), 300), Headers: []Header{{Key: "millrace-schema", Value: []byte("event/1")}}}
	}
	return records
}

func compressed(tb testing.TB, records ...Record) []byte {
	encoder, err := newEncoder()
	if err != nil {
		tb.Fatal(err)
	}
	var b batchBuilder
	for i := range records {
		b.add(&records[i])
	}
	b.add(&Record{Time: time.UnixMilli(1), Value: make([]byte, minCompressBytes)})
	b.compress(encoder)
	return bytes.Clone(b.seal(producerState{id: noProducer})[lengthPrefixSize:])
}

func BenchmarkEncode(b *testing.B) {
	r := Record{Time: time.UnixMilli(1), Key: []byte("default:a:1234567890"), Value: bytes.Repeat([]byte("x"), 250), Headers: []Header{{Key: "millrace-schema", Value: []byte("event/1")}}}
	var builder batchBuilder
	b.ReportAllocs()
	for b.Loop() {
		builder.records = 0
		for range 1000 {
			builder.add(&r)
		}
		builder.seal(producerState{})
	}
	b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "records/s")
}
