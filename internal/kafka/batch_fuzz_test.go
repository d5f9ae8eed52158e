package kafka

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// The parser meets arbitrary bytes, positions and lists of aborted transactions: it neither panics nor goes back, and
// what is aborted is only left out.
func FuzzBatchParser(f *testing.F) {
	records := sample(8)
	transaction, marker := encode(8, records...), markerBatch(16, 7, markerAbort)
	inTransaction(transaction, 7)
	f.Add(int64(0), int64(1<<40), int64(0), int64(0), encode(0, records...))
	f.Add(int64(3), int64(1<<40), int64(0), int64(0), encode(0, records...)[:80])
	f.Add(int64(9), int64(1<<40), int64(0), int64(0), append(encode(0, records...), encode(8, records...)...))
	f.Add(int64(0), int64(17), int64(7), int64(8), slices.Concat(encode(0, records...), transaction, marker))
	f.Add(int64(0), int64(8), int64(7), int64(8), slices.Concat(encode(0, records...), transaction))
	f.Add(int64(0), int64(1<<40), int64(0), int64(0), compressed(f, records...))
	f.Fuzz(func(t *testing.T, from, stable, producer, first int64, raw []byte) {
		from &= 1<<62 - 1
		raw = mendAll(raw) // let the fuzzer past the checksums
		all, err := parseCommitted(t, from, stable, nil, raw)
		for _, r := range all.records {
			if r.Offset < from || r.Offset >= all.next {
				t.Fatalf("offset %d outside [%d, %d)", r.Offset, from, all.next)
			}
		}
		if all.next < from {
			t.Fatalf("next %d went back behind %d", all.next, from)
		}
		if err != nil && len(all.records) > 0 {
			t.Fatalf("records beside an error: %v", err)
		}
		committed, err := parseCommitted(t, from, stable, []fetchAbortedTxn{{ProducerID: producer, FirstOffset: first}}, raw)
		if err != nil {
			return
		}
		for _, r := range committed.records {
			if r.Offset >= all.next { // an aborted batch that does not decode ends a run only where it is read
				break
			}
			if !slices.ContainsFunc(all.records, func(o Record) bool { return o.Offset == r.Offset && bytes.Equal(o.Value, r.Value) }) {
				t.Fatalf("offset %d appeared with the abort of another transaction", r.Offset)
			}
		}
	})
}

// mendAll corrects the checksums of all whole batches.
func mendAll(raw []byte) []byte {
	raw = bytes.Clone(raw)
	for rest := raw; len(rest) >= batchHeaderSize; {
		size := batchPrefixSize + int64(int32(binary.BigEndian.Uint32(rest[8:])))
		if size < batchHeaderSize || size > int64(len(rest)) {
			break
		}
		mend(rest[:size])
		rest = rest[size:]
	}
	return raw
}
