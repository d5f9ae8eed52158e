package kafka

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// Reading committed records. A broker leaves the records of aborted transactions in the log and says in each answer which
// transactions those are: the producer, and the first offset. Such a transaction ends at the producer's next abort
// marker, a control record whose key is its version and its type, both int16.
const (
	markerAbort    = 0
	markerKeyBytes = 4
)

// aborts follows the aborted transactions of one answer.
type aborts struct {
	coming []fetchAbortedTxn // by first offset
	open   []int64           // producers whose transaction covers the batch at hand; there are seldom any
}

func newAborts(list []fetchAbortedTxn) aborts {
	slices.SortFunc(list, func(a, b fetchAbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return aborts{coming: list}
}

// upTo opens the transactions that begin before an offset.
func (a *aborts) upTo(end int64) {
	for len(a.coming) > 0 && a.coming[0].FirstOffset < end {
		a.open = append(a.open, a.coming[0].ProducerID)
		a.coming = a.coming[1:]
	}
}

// of says whether what a producer wrote in a transaction here was aborted.
func (a *aborts) of(producer int64) bool { return slices.Contains(a.open, producer) }

// marker reads a control batch and ends the producer's transaction if it is an abort marker. It answers what is wrong
// with the batch, or "".
func (a *aborts) marker(producer int64, body []byte) (reason string) {
	d := recordDecoder{b: body}
	d.varint() // length
	d.bytes(1) // attributes
	d.varint() // time
	d.varint() // offset
	key := d.nullable()
	if d.bad || len(key) < markerKeyBytes {
		return fmt.Sprintf("control record of %d bytes does not decode", len(body))
	}
	if binary.BigEndian.Uint16(key[2:]) != markerAbort {
		return ""
	}
	if i := slices.Index(a.open, producer); i >= 0 {
		a.open = slices.Delete(a.open, i, i+1)
	}
	return ""
}
