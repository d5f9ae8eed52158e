package state

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Of every event the state keeps where it stood first. A record is a duplicate if that place lies before its own. The
// comparison, instead of a mere "seen", lets landing read records again that the state has applied already: the first
// record of an id stays the first.
//
// Live ids are kept in buckets of the site's clock, so that the old ones go by the bucket, at the price of one tombstone.
// Ids of imports are kept for ever: a file imported again next year must add nothing.
const (
	// DedupWindow is how long the id of a live event is kept at least, by the clock of its site. The beacon sends
	// again for 7 days.
	DedupWindow = 8 * 24 * time.Hour
	// dedupBucket is the span of one bucket; a lookup asks windowBuckets of them.
	dedupBucket   = 4 * 24 * time.Hour
	windowBuckets = int64(DedupWindow/dedupBucket) + 1
	// keptBuckets is one more than lookups of new records ask: a record that is read again after the clock has moved
	// must get the answer that it got the first time.
	keptBuckets = windowBuckets + 1
)

// EventID is an event's id in 128 bits.
type EventID [16]byte

// NewEventID makes an id of an event's event_id: the bits of a UUID as they are, so that ids of one time lie together on
// disk; of any other text, a cryptographic hash, so that nobody can make two that meet.
func NewEventID(id string) EventID {
	if e, ok := parseUUID(id); ok {
		return e
	}
	sum := sha256.Sum256([]byte(id))
	return EventID(sum[:16])
}

// parseUUID reads the canonical form of a UUID, lower case only: two texts never share an id.
func parseUUID(s string) (id EventID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	var digits [32]byte
	n := copy(digits[0:], s[0:8])
	n += copy(digits[n:], s[9:13])
	n += copy(digits[n:], s[14:18])
	n += copy(digits[n:], s[19:23])
	copy(digits[n:], s[24:36])
	for _, c := range digits {
		if c >= 'A' && c <= 'F' {
			return id, false
		}
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil
}

// Identity is what de-duplication compares: an id on a site. Ids of imports live apart from live ones.
type Identity struct {
	Site   string
	ID     EventID
	Import bool
}

// First returns where the event stood first, if that is known, for a record that is applied now. clock is the site's clock
// in Unix milliseconds.
func (r reader) First(who Identity, clock int64) (at Position, ok bool, err error) {
	return r.first(who, clock, windowBuckets)
}

// FirstAgain is First for a record that was applied before and is read again.
func (r reader) FirstAgain(who Identity, clock int64) (at Position, ok bool, err error) {
	return r.first(who, clock, keptBuckets)
}

// first asks the newest bucket first: of an id that came again after the window, the later life counts.
func (r reader) first(who Identity, clock int64, buckets int64) (at Position, ok bool, err error) {
	newest := bucketOf(clock)
	if who.Import {
		newest, buckets = importBucket, 1
	}
	for b := newest; b > newest-buckets && b >= 0 && !ok && err == nil; b-- {
		ok, err = r.get(seenKey(who, b), func(v []byte) (err error) {
			at, err = parseSeen(v)
			return err
		})
	}
	if err != nil {
		return Position{}, false, fmt.Errorf("look up event id: %w", err)
	}
	return at, ok, nil
}

func parseSeen(v []byte) (at Position, err error) {
	var n, m int
	at.Epoch, n = binary.Varint(v)
	if n > 0 {
		at.Offset, m = binary.Varint(v[n:])
	}
	if n <= 0 || m <= 0 {
		return Position{}, errDamaged
	}
	return at, nil
}

// Remember keeps where an event stood first. The caller has asked First before.
func (b *Batch) Remember(who Identity, clock int64, at Position) {
	bucket := bucketOf(clock)
	if who.Import {
		bucket = importBucket
	}
	value := binary.AppendVarint(make([]byte, 0, 2*binary.MaxVarintLen64), at.Epoch)
	b.set(seenKey(who, bucket), binary.AppendVarint(value, at.Offset))
}

// Expire drops the ids of a site that no lookup asks for any more, when its clock moves from one time to another. It is
// cheap enough to be called at every move: nearly always there is nothing to do.
func (b *Batch) Expire(site string, from, to int64) {
	if bucketOf(from) == bucketOf(to) {
		return
	}
	oldest := bucketOf(to) - keptBuckets + 1
	if oldest <= 0 {
		return
	}
	b.keep(b.batch.DeleteRange(seenBucket(site, false, 0), seenBucket(site, false, oldest), &pebble.WriteOptions{}))
}

// importBucket holds the ids of imports.
const importBucket = 0

func bucketOf(clock int64) int64 { return max(0, clock/dedupBucket.Milliseconds()) }

// seenBucket is the prefix of a bucket: kind, site, 0, door, bucket (big endian, so that buckets lie in order of time).
func seenBucket(site string, imported bool, bucket int64) []byte {
	key := make([]byte, 0, 1+len(site)+2+8+len(EventID{}))
	key = append(key, kindSeen)
	key = append(key, site...)
	door := byte('l')
	if imported {
		door = 'i'
	}
	key = append(key, 0, door)
	return binary.BigEndian.AppendUint64(key, uint64(bucket))
}

func seenKey(who Identity, bucket int64) []byte {
	return append(seenBucket(who.Site, who.Import, bucket), who.ID[:]...)
}
