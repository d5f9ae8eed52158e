package lake

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// columnShape is what does not change about a column of a file.
type columnShape struct {
	path           []string
	typ            parquet.Type
	maxRep, maxDef byte
	dictionary     bool // strings of which there are few different ones
}

// columnWriter collects the values of one column in pages.
type columnWriter struct {
	columnShape
	draft   *pageDraft // nil until the row group begins
	pages   []*page    // of the row group, encoded or about to be
	rows    int        // of the row group
	present []unsafe.Pointer

	// The dictionary of the row group. Pages that are being encoded share its beginning, so that entries are only appended.
	entries      []string
	places       map[string]int32
	entryBytes   int
	lastEntry    string
	lastPlace    int32
	noDictionary bool // it has grown too large: the rest of the row group is PLAIN
}

// add takes the values that the slots, or pointers there, point at.
func (c *columnWriter) add(slots []slot, offset uintptr, pointer bool) {
	d := c.draft
	rows := len(slots)
	if c.maxRep > 0 {
		rows = 0
		for _, s := range slots {
			if s.rep == 0 {
				rows++
			}
			d.reps = append(d.reps, s.rep)
		}
	}
	c.rows += rows
	d.rows += rows
	d.levels += len(slots)
	c.findPresent(slots, offset, pointer)
	d.values += len(c.present)
	switch c.typ.Kind() {
	case parquet.ByteArray:
		if c.dictionary && !c.noDictionary {
			c.addEntries()
		} else {
			c.addTexts()
		}
	case parquet.Boolean:
		c.addFlags()
	case parquet.Int32:
		to := grow(&d.plain, 4*len(c.present))
		for i, at := range c.present {
			binary.LittleEndian.PutUint32(to[4*i:], *(*uint32)(at))
		}
	default: // INT64 and DOUBLE
		to := grow(&d.plain, 8*len(c.present))
		for i, at := range c.present {
			binary.LittleEndian.PutUint64(to[8*i:], *(*uint64)(at))
		}
	}
}

// grow makes a slice n elements longer and returns these, with whatever stood there.
func grow[E any](s *[]E, n int) []E {
	size := len(*s)
	*s = slices.Grow(*s, n)[:size+n]
	return (*s)[size:]
}

// findPresent notes definition levels, and where the values are that are present.
func (c *columnWriter) findPresent(slots []slot, offset uintptr, pointer bool) {
	c.present = slices.Grow(c.present[:0], len(slots))[:len(slots)]
	if c.maxDef == 0 {
		for i, s := range slots {
			c.present[i] = unsafe.Add(s.at, offset)
		}
		return
	}
	found, defs := 0, grow(&c.draft.defs, len(slots))
	for i, s := range slots {
		at := s.at
		if at != nil {
			at = unsafe.Add(at, offset)
			if pointer {
				if at = *(*unsafe.Pointer)(at); at != nil {
					s.def++
				}
			}
			if at != nil {
				c.present[found] = at
				found++
			}
		}
		defs[i] = s.def
	}
	c.present = c.present[:found]
}

func (c *columnWriter) addTexts() {
	size := plainLengthBytes * len(c.present)
	for _, at := range c.present {
		size += len(*(*string)(at))
	}
	to := grow(&c.draft.plain, size)
	for _, at := range c.present {
		text := *(*string)(at)
		binary.LittleEndian.PutUint32(to, uint32(len(text)))
		copy(to[plainLengthBytes:], text)
		to = to[plainLengthBytes+len(text):]
	}
}

func (c *columnWriter) addEntries() {
	to := grow(&c.draft.indexes, len(c.present))
	for i, at := range c.present {
		text := *(*string)(at)
		if text != c.lastEntry || len(c.entries) == 0 {
			place, ok := c.places[text]
			if !ok {
				text = strings.Clone(text) // the row's memory belongs to somebody else
				place = int32(len(c.entries))
				c.entries = append(c.entries, text)
				c.places[text] = place
				c.entryBytes += len(text) + plainLengthBytes
			}
			c.lastEntry, c.lastPlace = text, place
		}
		to[i] = c.lastPlace
	}
}

// addFlags packs eight to a byte, the first in the lowest bit.
func (c *columnWriter) addFlags() {
	p := c.draft
	for i, at := range c.present {
		bit := (p.values - len(c.present) + i) % 8
		if bit == 0 {
			p.plain = append(p.plain, 0)
		}
		if *(*bool)(at) {
			p.plain[len(p.plain)-1] |= 1 << bit
		}
	}
}

// cut ends the page in the making; the draft is nil where it is empty, and is to be released.
func (c *columnWriter) cut(profile *parquetProfile) (*pageDraft, *page) {
	d := c.draft
	if d.levels == 0 {
		return nil, nil
	}
	d.entries = c.entries
	if c.entryBytes > profile.dictionaryBytes {
		c.noDictionary = true
	}
	out := &page{}
	c.pages, c.draft = append(c.pages, out), newPageDraft()
	return d, out
}

// full says that the page in the making, or the dictionary that it is made with, is large enough.
func (c *columnWriter) full(profile *parquetProfile) bool {
	return c.draft.bytes() >= profile.pageBytes || c.entryBytes > profile.dictionaryBytes && !c.noDictionary
}

// begin begins a row group.
func (c *columnWriter) begin() {
	c.pages, c.rows = c.pages[:0], 0
	c.entries, c.entryBytes, c.noDictionary, c.lastEntry = nil, 0, false, ""
	if c.dictionary {
		c.places = make(map[string]int32)
	}
	if c.draft == nil {
		c.draft = newPageDraft()
	}
}

// bounded says that every page with values has bounds; if not, the column has none, or rows would be missed.
func (c *columnWriter) bounded() bool {
	return !slices.ContainsFunc(c.pages, func(p *page) bool { return p.values > 0 && p.min.IsNull() })
}

// statistics are those of the row group.
func (c *columnWriter) statistics() format.Statistics {
	var least, most parquet.Value
	nulls := 0
	for _, p := range c.pages {
		nulls += p.levels - p.values
		if p.values > 0 && (least.IsNull() || c.typ.Compare(p.min, least) < 0) {
			least = p.min
		}
		if p.values > 0 && (most.IsNull() || c.typ.Compare(p.max, most) > 0) {
			most = p.max
		}
	}
	if !c.bounded() {
		least, most = parquet.Value{}, parquet.Value{}
	}
	return statistics(least, most, nulls)
}

// index tells the bounds of every page; nil where they are not known.
func (c *columnWriter) index() *format.ColumnIndex {
	if !c.bounded() {
		return nil
	}
	index := c.typ.NewColumnIndexer(indexBoundBytes)
	for _, p := range c.pages {
		index.IndexPage(int64(p.levels), int64(p.levels-p.values), p.min, p.max)
	}
	out := index.ColumnIndex()
	return &out
}
