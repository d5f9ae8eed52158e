package kafka

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
	"golang.org/x/sync/semaphore"
)

// Budget bounds the bytes that the fetches of a process hold in memory together: what brokers answered, what it inflates to
// and the records made of it, from before it is inflated until FetchResult.Release. Without it a process that has fallen
// behind in all of its partitions holds the largest answer of each.
//
// Whoever holds a part never waits for another, and waiters are served in the order in which they came, so every partition
// gets on while holders release. What would not fit even alone gets the whole budget, and is then the only one. An answer
// that waits for its part is held as the broker sent it, at most FetchRequest.MaxBytes, and is not counted.
type Budget struct {
	bytes int64
	free  *semaphore.Weighted
}

// NewBudget makes a budget of so many bytes. All fetches with it must be released.
func NewBudget(bytes int64) *Budget {
	return &Budget{bytes: bytes, free: semaphore.NewWeighted(bytes)}
}

// grant is a part of a budget; the zero value is none.
type grant struct {
	from  *Budget
	bytes int64
}

// take waits for a part of the budget.
func (b *Budget) take(ctx context.Context, bytes int64) (grant, error) {
	bytes = min(bytes, b.bytes)
	if err := b.free.Acquire(ctx, bytes); err != nil {
		return grant{}, errors.Join(errors.New("wait for memory of other fetches"), err)
	}
	return grant{b, bytes}, nil
}

// giveBack ends the grant.
func (g *grant) giveBack() {
	if g.from != nil {
		g.from.free.Release(g.bytes)
		*g = grant{}
	}
}

// recordBytes is what a record takes beside its bytes: the struct and one header.
const recordBytes = 128 + 40

// demand is how many bytes parse will hold for a record set. It believes no header beyond what the bytes could hold, and
// counts a compressed batch that does not say its size as the largest allowed.
func demand(raw []byte) int64 {
	total, parsed := int64(len(raw)), int64(0)
	for len(raw) >= batchHeaderSize && parsed < maxParsedBytes {
		size := batchPrefixSize + int64(int32(binary.BigEndian.Uint32(raw[8:])))
		if size < batchHeaderSize || size > int64(len(raw)) {
			break
		}
		plain := size - batchHeaderSize
		if codec := binary.BigEndian.Uint16(raw[21:]) & attrCompression; codec != 0 {
			plain = inflatedBytes(compress.Compression(codec), raw[batchHeaderSize:size])
			total += plain
		}
		n := int64(int32(binary.BigEndian.Uint32(raw[57:])))
		total += max(0, min(n, plain/minRecordSize)) * recordBytes
		parsed += plain
		raw = raw[size:]
	}
	return total
}

// inflatedBytes is what a compressed body says that it inflates to.
func inflatedBytes(c compress.Compression, body []byte) int64 {
	var h zstd.Header
	if c == compress.Zstd && h.Decode(body) == nil && h.HasFCS && h.FrameContentSize <= maxInflatedBytes {
		return int64(h.FrameContentSize)
	}
	return maxInflatedBytes
}
