package content

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/millrace/millrace/internal/event"
)

// The fields of an item. Each has buckets of its own, so that a brand is not taken for a word of a title.
const (
	fieldTitle = iota
	fieldCategories
	fieldBrand
	fieldLabels
	fieldOwn
	fieldPrice
	numFields
)

const (
	// bucketBits says how many buckets a field has, 2^18: the words of a catalogue of 100,000 items rarely share one.
	bucketBits = 18
	// numBuckets is how many buckets all fields have together.
	numBuckets = numFields << bucketBits
	// maxTextBytes is how much of one text is read: what a description says later rarely says what the thing is.
	maxTextBytes = 2 << 10
	// wordOfName is what a word of a category, a brand or a label weighs, relative to the whole name.
	wordOfName = 0.5
	// stepsPerDoubling is how many price steps lie between a price and its double.
	stepsPerDoubling = 2
)

// Kinds of terms, hashed with their text so that a piece is not taken for a word.
const (
	kindWord  = 'w'
	kindPair  = 'p'
	kindPiece = 'g'
	kindName  = 'n' // the whole of a category, a brand, a label, or a value of an own field
	kindStep  = 's' // of a price or another number
)

// occurrence is a bucket that comes up in an item, and how often; a pair or a piece of a word does so less than once.
type occurrence struct {
	bucket uint32 // the field in the bits above bucketBits
	times  float32
}

func (o occurrence) field() int { return int(o.bucket >> bucketBits) }

// tokenizer takes items apart. It keeps its memory between items and is not safe for concurrent use.
type tokenizer struct {
	cfg     Config
	field   uint32
	name    []byte // prefix of every term: the name of an own field
	found   []occurrence
	word    []byte // the word at hand, lower-cased
	starts  []int  // where its letters begin
	before  []byte // the word before it
	text    []byte // scratch of a term
	reading bool   // a word is at hand
}

// item returns what an item says, in the order of buckets, each once. The slice is valid until the next call.
func (t *tokenizer) item(it *event.CatalogueItem) []occurrence {
	t.found, t.name = t.found[:0], t.name[:0]
	weights := t.cfg.weights()
	if weights[fieldTitle] > 0 {
		t.field = fieldTitle
		t.words(it.Title, 1)
	}
	if weights[fieldCategories] > 0 {
		t.field = fieldCategories
		t.names(it.Categories)
	}
	if weights[fieldBrand] > 0 {
		t.field = fieldBrand
		t.wholeName(it.Brand)
	}
	if weights[fieldLabels] > 0 {
		t.field = fieldLabels
		t.names(it.Labels)
	}
	if weights[fieldPrice] > 0 && it.Price != nil {
		t.field = fieldPrice
		t.number(*it.Price)
	}
	if weights[fieldOwn] > 0 {
		t.field = fieldOwn
		t.own(it.Fields)
	}
	return t.joined()
}

// joined puts what was found in order and adds up what is of one bucket.
func (t *tokenizer) joined() []occurrence {
	slices.SortFunc(t.found, func(a, b occurrence) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.times, b.times))
	})
	out := t.found[:0]
	for _, o := range t.found {
		if n := len(out); n > 0 && out[n-1].bucket == o.bucket {
			out[n-1].times += o.times
			continue
		}
		out = append(out, o)
	}
	return out
}

func (t *tokenizer) names(names []string) {
	for _, name := range names {
		t.wholeName(name)
	}
}

// wholeName adds a name as one term, and its words as weaker ones: "Trail shoes" is a little like "Shoes".
func (t *tokenizer) wholeName(name string) {
	name = clip(name)
	if name == "" {
		return
	}
	t.text = append(t.text[:0], kindName)
	t.text = append(t.text, t.name...)
	for _, r := range name {
		t.text = utf8.AppendRune(t.text, unicode.ToLower(r))
	}
	t.add(1)
	t.words(name, wordOfName)
}

// own adds the shop's own fields by name: texts and their words, numbers by their size, true and false as they are.
func (t *tokenizer) own(fields map[string]any) {
	if len(fields) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		t.name = append(append(t.name[:0], name...), 0)
		if list, ok := fields[name].([]any); ok {
			for _, value := range list {
				t.ownValue(value)
			}
			continue
		}
		t.ownValue(fields[name])
	}
	t.name = t.name[:0]
}

func (t *tokenizer) ownValue(value any) {
	switch value := value.(type) {
	case string:
		t.wholeName(value)
	case bool:
		t.wholeName(strconv.FormatBool(value))
	case json.Number:
		if number, err := value.Float64(); err == nil {
			t.number(number)
		}
	case float64:
		t.number(value)
	}
}

// number adds the two steps of a logarithmic scale that a number lies between, the nearer one stronger: numbers of a similar size
// share a term wherever the steps lie.
func (t *tokenizer) number(number float64) {
	sign := byte('+')
	if number < 0 {
		sign, number = '-', -number
	}
	at := math.Log2(1+number) * stepsPerDoubling
	if math.IsNaN(at) || math.IsInf(at, 0) {
		return
	}
	low, part := math.Modf(at)
	t.step(sign, int64(low), float32(1-part))
	t.step(sign, int64(low)+1, float32(part))
}

func (t *tokenizer) step(sign byte, step int64, times float32) {
	if times <= 0 {
		return
	}
	t.text = append(append(t.text[:0], kindStep), t.name...)
	t.text = strconv.AppendInt(append(t.text, sign), step, 10)
	t.add(times)
}

// add adds the term whose text is in t.text.
func (t *tokenizer) add(times float32) {
	hash := xxhash.Sum64(t.text)
	t.found = append(t.found, occurrence{bucket: t.field<<bucketBits | uint32(hash>>(64-bucketBits)), times: times})
}

// clip cuts a text to maxTextBytes, between two letters.
func clip(text string) string {
	if len(text) <= maxTextBytes {
		return text
	}
	end := maxTextBytes
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
