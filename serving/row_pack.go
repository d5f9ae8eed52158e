package serving

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// A row is packed into one string, which its texts are slices of:
//
//	item_group_id, title, url, image_url, currency   each a length and the text
//	labels                                           their number and as many texts
//	own fields                                       their number, and for each in the order of names: the name, a text, and the value
//
// Lengths and numbers are unsigned varints. A value is a letter and what it needs: t and f alone, s and n (a number as the shop
// wrote it) a text, l the number of values in a list and as many values.
const (
	packedTrue   = 't'
	packedFalse  = 'f'
	packedString = 's'
	packedNumber = 'n'
	packedList   = 'l'
)

// pack sets what of a row is packed.
func (r *Row) pack(it *Item) {
	b := make([]byte, 0, 512)
	for _, text := range []string{it.ItemGroupID, it.Title, it.URL, it.ImageURL, it.Currency} {
		b = packText(b, text)
	}
	b = binary.AppendUvarint(b, uint64(len(it.Labels)))
	for _, label := range it.Labels {
		b = packText(b, label)
	}
	b = binary.AppendUvarint(b, uint64(len(it.Fields)))
	for _, name := range slices.Sorted(maps.Keys(it.Fields)) {
		b = packValue(packText(b, name), it.Fields[name])
	}
	r.packed = string(b)
}

func packText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// packValue packs a value that fieldValue accepted. What another program wrote into the topic instead is packed as its JSON.
func packValue(b []byte, value any) []byte {
	switch value := value.(type) {
	case bool:
		if value {
			return append(b, packedTrue)
		}
		return append(b, packedFalse)
	case string:
		return packText(append(b, packedString), value)
	case json.Number:
		return packText(append(b, packedNumber), string(value))
	case []any:
		b = binary.AppendUvarint(append(b, packedList), uint64(len(value)))
		for _, entry := range value {
			b = packValue(b, entry)
		}
		return b
	}
	raw, _ := json.Marshal(value) // it came from JSON
	return packText(append(b, packedString), string(raw))
}

// unpacker reads a packed row from its texts on. It allocates nothing but what it returns.
type unpacker struct{ rest string }

func (r *Row) unpack() unpacker { return unpacker{r.packed} }

func (u *unpacker) count() (n int) {
	for shift := 0; ; shift += 7 {
		c := u.rest[0]
		u.rest = u.rest[1:]
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
}

func (u *unpacker) text() string {
	n := u.count()
	text := u.rest[:n]
	u.rest = u.rest[n:]
	return text
}

// skip passes over n texts.
func (u *unpacker) skip(n int) {
	for range n {
		u.text()
	}
}

func (u *unpacker) list() []string {
	n := u.count()
	if n == 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = u.text()
	}
	return list
}

func (u *unpacker) fields() map[string]any {
	n := u.count()
	if n == 0 {
		return nil
	}
	fields := make(map[string]any, n)
	for range n {
		name := u.text()
		fields[name] = u.value().Any()
	}
	return fields
}

// value reads a value; that of a list keeps its entries packed.
func (u *unpacker) value() FieldValue {
	kind := u.rest[0]
	u.rest = u.rest[1:]
	switch kind {
	case packedString, packedNumber:
		return FieldValue{kind: kind, text: u.text()}
	case packedList:
		v := FieldValue{kind: kind, entries: u.count()}
		from := u.rest
		for range v.entries {
			u.value()
		}
		v.text = from[:len(from)-len(u.rest)]
		return v
	}
	return FieldValue{kind: kind}
}

// ItemGroupID is what the variants of a product share, "" where there are none. Like all texts of a row it is read without allocating.
func (r *Row) ItemGroupID() string { return r.textAt(0) }

// Title is the item's title, "" where it has none.
func (r *Row) Title() string { return r.textAt(1) }

// URL is the address of the item's page.
func (r *Row) URL() string { return r.textAt(2) }

// ImageURL is the address of the item's picture.
func (r *Row) ImageURL() string { return r.textAt(3) }

// Currency is that of Price, by ISO 4217.
func (r *Row) Currency() string { return r.textAt(4) }

func (r *Row) textAt(i int) string {
	u := r.unpack()
	u.skip(i)
	return u.text()
}

// numTexts is how many texts come before the labels.
const numTexts = 5

// Labels lists the item's labels in a slice of its own.
func (r *Row) Labels() []string {
	u := r.unpack()
	u.skip(numTexts)
	return u.list()
}

// EachLabel calls f with every label until it returns false.
func (r *Row) EachLabel(f func(label string) bool) {
	u := r.unpack()
	u.skip(numTexts)
	for range u.count() {
		if !f(u.text()) {
			return
		}
	}
}

// HasLabel reports whether the item has a label.
func (r *Row) HasLabel(label string) (has bool) {
	r.EachLabel(func(l string) bool {
		has = l == label
		return !has
	})
	return has
}

// Field is one of the shop's own values; ok is false where the item has none of that name.
func (r *Row) Field(name string) (v FieldValue, ok bool) {
	u := r.unpack()
	u.skip(numTexts)
	u.skip(u.count())
	for range u.count() {
		order := strings.Compare(u.text(), name)
		if v = u.value(); order >= 0 {
			return v, order == 0
		}
	}
	return FieldValue{}, false
}
