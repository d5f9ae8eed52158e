// Package model holds what every recommendation method shares: the query, the scored answer, the Scorer that serving
// and evaluation both call, the vocabulary of items, the training sessions and the repeat policy. Methods live in one
// package each below this one. Nothing here or there reads a clock, a file or global randomness.
package model

import (
	"io"
	"slices"
	"time"
)

// Query is what a list is asked for.
type Query struct {
	// Items are the items of the running session, oldest first, as indices of the model's vocabulary. Items that the
	// model does not know are left out by the caller; an index outside the vocabulary is ignored.
	Items []int32
	// History is what the visitor met before the running session, oldest first, in the same indices; an item may come up
	// more than once. It is empty for somebody of whom nothing is known.
	History []int32
	// Segment is the segment of the visitor, such as the kind of device; empty where it is not known.
	Segment string
	// Set says that Items are an unordered set, such as a cart or the one item of a product page: every item weighs
	// the same and none of them is recommended, whatever the repeat policy.
	Set bool
	// Only are the items that may be recommended; nil for all.
	Only *Mask
	// Now is the time of the request.
	Now time.Time
}

// Excluded are items that must not be recommended: a part of the running session, and a part of the history before it.
type Excluded [2][]int32

// Len returns how many entries there are; an item that came up twice counts twice.
func (x Excluded) Len() int { return len(x[0]) + len(x[1]) }

// Has reports whether an item is excluded. Sessions are short, so looking through them beats a set.
func (x Excluded) Has(item int32) bool {
	return slices.Contains(x[0], item) || slices.Contains(x[1], item)
}

// Excluded returns the query's items that must not be recommended under a policy; they share memory with the query.
func (q Query) Excluded(p RepeatPolicy) (x Excluded) {
	switch {
	case q.Set || p == RepeatsNone || p == RepeatsUnseen:
		x[0] = q.Items
	case p == RepeatsNotCurrent && len(q.Items) > 0:
		x[0] = q.Items[len(q.Items)-1:]
	}
	if p == RepeatsUnseen {
		x[1] = q.History
	}
	return x
}

// Scored is one recommended item.
type Scored struct {
	Item  int32   // index in the vocabulary
	Score float32 // comparable within one answer of one scorer only
	// Because is the query item that contributed most, as an index in the vocabulary; -1 when the answer does not
	// depend on the query.
	Because int32
}

// NoCause is the value of Scored.Because of an item that no query item brought.
const NoCause int32 = -1

// Scorer answers queries. Score appends at most k items to dst and returns it, best first, ties to the lower index, no
// item twice. Fewer items, or none, mean that the method has nothing more to say. Score is safe for concurrent use.
type Scorer interface {
	Name() string
	Score(dst []Scored, q Query, k int) []Scored
}

// Artifact is a fitted model that can be stored. Kind names the codec that reads it back; the same model always encodes
// to the same bytes.
type Artifact interface {
	Kind() string
	Encode(w io.Writer) error
}

// RepeatPolicy says which items that the visitor has met may be recommended again. Which one is right differs between
// shops and moves session MRR by a factor of two, so it is tuned, stored with the model and reported.
type RepeatPolicy string

// The repeat policies.
const (
	// RepeatsAllowed recommends any item.
	RepeatsAllowed RepeatPolicy = "allow"
	// RepeatsNotCurrent recommends any item but the newest of the session, which the visitor is looking at.
	RepeatsNotCurrent RepeatPolicy = "not_current"
	// RepeatsNone recommends no item of the session.
	RepeatsNone RepeatPolicy = "none"
	// RepeatsUnseen recommends no item that the visitor has met, in the session or before it.
	RepeatsUnseen RepeatPolicy = "unseen"
)

// RepeatPolicies lists the policies, in the order in which ties between them are settled.
func RepeatPolicies() []RepeatPolicy {
	return []RepeatPolicy{RepeatsAllowed, RepeatsNotCurrent, RepeatsNone, RepeatsUnseen}
}

// Valid reports whether p is one of RepeatPolicies.
func (p RepeatPolicy) Valid() bool {
	return slices.Contains(RepeatPolicies(), p)
}
