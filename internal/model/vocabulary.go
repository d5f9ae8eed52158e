package model

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/idtable"
	"github.com/millrace/millrace/internal/model/artifact"
)

// VocabularyKind names the codec of a vocabulary.
const VocabularyKind = "vocabulary"

// vocabularyVersion is a layout of one section: ids, strings, the item ids by index.
const vocabularyVersion = 1

// Vocabulary maps item ids to dense indices and back, in the order in which ids were added. Reading is safe for
// concurrent use once nothing is added any more.
type Vocabulary struct {
	base    *Vocabulary // whose ids come first; nil for none
	ids     []string
	indices idtable.Table // in ids
}

// NewVocabulary returns a vocabulary of the given ids; a repeated id keeps its first index.
func NewVocabulary(ids ...string) *Vocabulary {
	v := &Vocabulary{}
	v.indices = v.indices.Reserve(len(ids))
	for _, id := range ids {
		v.Add(id)
	}
	return v
}

// Over returns a vocabulary that has the ids of v and takes more, which v does not get. Nothing may be added to v any more.
func (v *Vocabulary) Over() *Vocabulary { return &Vocabulary{base: v} }

// Add returns the index of an id, giving it the next one when it is new.
func (v *Vocabulary) Add(id string) int32 {
	if i, ok := v.Index(id); ok {
		return i
	}
	v.indices.Put(idtable.Hash(id), int32(len(v.ids)))
	v.ids = append(v.ids, id)
	return int32(v.Len()) - 1
}

// Index returns the index of an id.
func (v *Vocabulary) Index(id string) (int32, bool) {
	return v.index(id, idtable.Hash(id))
}

func (v *Vocabulary) index(id string, hash uint32) (i int32, ok bool) {
	before := int32(0)
	if v.base != nil {
		if i, ok = v.base.index(id, hash); ok {
			return i, true
		}
		before = int32(v.base.Len())
	}
	for p := v.indices.Probe(hash); ; {
		if i = p.Next(); i < 0 {
			return 0, false
		}
		if v.ids[i] == id {
			return before + i, true
		}
	}
}

// Indices appends the indices of the known ids to dst, in order, and leaves the others out: the items of a Query.
func (v *Vocabulary) Indices(dst []int32, ids []string) []int32 {
	for _, id := range ids {
		if i, ok := v.Index(id); ok {
			dst = append(dst, i)
		}
	}
	return dst
}

// ID returns the id at an index below Len.
func (v *Vocabulary) ID(i int32) string {
	if v.base != nil {
		n := int32(v.base.Len())
		if i < n {
			return v.base.ID(i)
		}
		i -= n
	}
	return v.ids[i]
}

// Len returns the number of ids.
func (v *Vocabulary) Len() int {
	if v.base != nil {
		return v.base.Len() + len(v.ids)
	}
	return len(v.ids)
}

// Kind implements Artifact.
func (v *Vocabulary) Kind() string { return VocabularyKind }

// Encode implements Artifact.
func (v *Vocabulary) Encode(w io.Writer) error {
	if v.base != nil {
		return fmt.Errorf("encode vocabulary: it lies over another one; only a whole one is stored")
	}
	out := artifact.NewWriter(w, VocabularyKind, vocabularyVersion)
	out.Strings("ids", v.ids)
	return out.Close()
}

// DecodeVocabulary reads what Encode wrote; its errors wrap artifact.ErrCorrupt.
func DecodeVocabulary(f artifact.File) (*Vocabulary, error) {
	in := artifact.NewReader(f, VocabularyKind, vocabularyVersion)
	ids := in.Strings("ids")
	if err := in.Close(); err != nil {
		return nil, err
	}
	v := NewVocabulary(ids...)
	if v.Len() != len(ids) {
		return nil, fmt.Errorf("%w: vocabulary repeats an item id", artifact.ErrCorrupt)
	}
	return v, nil
}
