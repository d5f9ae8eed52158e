package importer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/history"
)

// MaxDistinctRows bounds the different rows of one file. Counting occurrences costs about 30 bytes a different row, so
// a file at the bound needs 1.5 GB of memory; split a larger one.
const MaxDistinctRows = 50_000_000

// ErrTooManyRows means that a file has more different rows than the importer keeps count of.
var ErrTooManyRows = errors.New("file has too many different rows")

// identity gives every row of one file its event id: a hash of the site, the row as its source wrote it, and how many
// equal rows stood before it. The same row therefore has the same id in every run, from CSV and from JSON lines, in any
// order of columns and under any mapping. That makes an import idempotent for ever: the stream drops what it knows.
//
// Occurrences are counted by the first 64 bits of the row's digest. Should two different rows ever share them, the
// second gets the ordinal 1 instead of 0: its id is still its own, and the same in every run over this file.
type identity struct {
	site  string
	seen  map[uint64]uint32
	limit int
}

func newIdentity(site string) *identity {
	return &identity{site: site, seen: make(map[uint64]uint32), limit: MaxDistinctRows}
}

// next returns the event id of the next row of the file.
func (d *identity) next(row history.Row) (string, error) {
	digest := row.Digest(d.site)
	key := binary.BigEndian.Uint64(digest[:])
	ordinal, known := d.seen[key]
	if !known && len(d.seen) >= d.limit {
		return "", fmt.Errorf("%w: more than %d; split it (equal rows of different files count as the same event)", ErrTooManyRows, d.limit)
	}
	d.seen[key] = ordinal + 1
	if ordinal > 0 {
		digest = sha256.Sum256(binary.BigEndian.AppendUint32(digest[:], ordinal))
	}
	return asUUID(digest), nil
}

// asUUID dresses the first 128 bits of a digest as a UUID of version 8 (RFC 9562, "vendor specific"), the form that
// event ids have everywhere else.
func asUUID(digest [sha256.Size]byte) string {
	var id uuid.UUID
	copy(id[:], digest[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
