// Package model holds what every recommendation method shares: the query, the scored answer, the Scorer that serving
// and evaluation both call, the vocabulary of items, the training sessions and the repeat policy. Methods live in one
// package each below this one. Nothing here or there reads a clock, a file or global randomness.
package model

import (
	"io"
	"time"
)

// Query is what a list is asked for.
type Query struct {
	// Items are the items of the running session, oldest first, as indices of the model's vocabulary. Items that the
	// model does not know are left out by the caller; an index outside the vocabulary is ignored.
	Items []int32
	// Set says that Items are an unordered set, such as a cart or the one item of a product page: every item weighs
	// the same and none of them is recommended, whatever the repeat policy.
	Set bool
	// Now is the time of the request.
	Now time.Time
}

// Excluded returns the query's items that must not be recommended under a policy, as a part of q.Items.
func (q Query) Excluded(p RepeatPolicy) []int32 {
	switch {
	case q.Set || p == RepeatsNone:
		return q.Items
	case p == RepeatsNotCurrent && len(q.Items) > 0:
		return q.Items[len(q.Items)-1:]
	default:
		return nil
	}
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

// RepeatPolicy says which items of the running session may be recommended again. Which one is right differs between
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
)

// RepeatPolicies lists the policies, in the order in which ties between them are settled.
func RepeatPolicies() []RepeatPolicy {
	return []RepeatPolicy{RepeatsAllowed, RepeatsNotCurrent, RepeatsNone}
}

// Valid reports whether p is one of RepeatPolicies.
func (p RepeatPolicy) Valid() bool {
	return p == RepeatsAllowed || p == RepeatsNotCurrent || p == RepeatsNone
}
