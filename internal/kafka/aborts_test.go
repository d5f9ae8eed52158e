package kafka

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
)

// The golden batches were written down from the description of the format, not with this package.
func TestCommittedGolden(t *testing.T) {
	raw := goldenBytes(t, "transactions.hex")
	aborted := []fetchAbortedTxn{{ProducerID: 11, FirstOffset: 40}}
	for _, tt := range []struct {
		name   string
		from   int64
		stable int64
		want   string
		next   int64
	}{
		{"all", 40, 46, "[kept anew]", 46},
		{"from inside the aborted transaction", 41, 46, "[kept anew]", 46},
		{"from the abort marker", 42, 46, "[anew]", 46},
		{"below an open transaction", 40, 43, "[kept]", 43},
		{"nothing is stable yet", 40, 40, "[]", 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parseCommitted(t, tt.from, tt.stable, aborted, raw)
			if err != nil {
				t.Fatal(err)
			}
			var values []string
			for _, r := range p.records {
				values = append(values, string(r.Value))
			}
			if got := fmt.Sprint(values); got != tt.want || p.next != tt.next {
				t.Errorf("values %s, next %d; want %s, %d", got, p.next, tt.want, tt.next)
			}
		})
	}
}

// A producer aborts twice with a commit in between, and the broker lists its transactions out of order. What it wrote
// outside of transactions stays.
func TestCommittedTwiceAborted(t *testing.T) {
	write := func(base int64, value string) []byte {
		b := encode(base, Record{Value: []byte(value)})
		inTransaction(b, 7)
		return b
	}
	p, err := parseCommitted(t, 0, math.MaxInt64, []fetchAbortedTxn{{7, 5}, {7, 0}},
		write(0, "aborted"), markerBatch(1, 7, markerAbort), write(2, "committed"), markerBatch(3, 7, 1),
		encode(4, Record{Value: []byte("plain")}), write(5, "aborted"), write(6, "aborted"), markerBatch(7, 7, markerAbort), write(8, "last"))
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, r := range p.records {
		values = append(values, string(r.Value))
	}
	if want := []string{"committed", "plain", "last"}; !slices.Equal(values, want) || p.next != 9 {
		t.Errorf("values %v, next %d; want %v, 9", values, p.next, want)
	}
}

// inTransaction makes a batch part of a producer's transaction.
func inTransaction(batch []byte, producer int64) {
	binary.BigEndian.PutUint64(batch[43:], uint64(producer))
	batch[22] |= attrTransactional
	mend(batch)
}

// markerBatch is the control batch that ends a producer's transaction.
func markerBatch(base, producer int64, kind byte) []byte {
	b := encode(base, Record{Key: []byte{0, 0, 0, kind}, Value: []byte{0, 0, 0, 0, 0, 0}})
	b[22] |= attrControl
	inTransaction(b, producer)
	return b
}
