package model

import "fmt"

// NoUser is the user of a session whose visitor is not known.
const NoUser int32 = -1

// Sessions are training or test sessions in flat arrays: session i has the events Offsets[i] to Offsets[i+1], oldest
// first. Items are indices of a vocabulary, Times are Unix milliseconds and Weights say what an event counts for; they have
// one entry an event. Users number the visitors, so that sessions of one can be told to be of one, and Segments say which
// segment each belongs to; they have one entry a session. The zero value holds no session and is ready for Append.
type Sessions struct {
	Items    []int32
	Times    []int64
	Weights  []float32 // nil where every event counts 1
	Offsets  []int
	Users    []int32  // nil where no visitor is known
	Segments []string // nil where no segment is known
}

// Session is one of Sessions. Its slices share memory with it.
type Session struct {
	Items   []int32
	Times   []int64
	Weights []float32 // nil where every event counts 1
	User    int32     // NoUser where the visitor is not known
	Segment string
}

// Len returns the number of sessions.
func (s *Sessions) Len() int { return max(len(s.Offsets)-1, 0) }

// Events returns the number of events of all sessions.
func (s *Sessions) Events() int { return len(s.Items) }

// Append adds one session of which nothing else is known. items and times have the same length; they are copied.
func (s *Sessions) Append(items []int32, times []int64) {
	s.Add(Session{Items: items, Times: times, User: NoUser})
}

// Add adds one session. Items, Times and, where they are not nil, Weights have the same length; they are copied.
func (s *Sessions) Add(one Session) {
	if len(s.Offsets) == 0 {
		s.Offsets = append(s.Offsets, 0)
	}
	before, sessions := len(s.Items), s.Len()
	s.Items = append(s.Items, one.Items...)
	s.Times = append(s.Times, one.Times...)
	s.Offsets = append(s.Offsets, len(s.Items))
	if one.Weights != nil || s.Weights != nil {
		s.Weights = padded(s.Weights, before, 1)
		s.Weights = padded(append(s.Weights, one.Weights...), len(s.Items), 1)
	}
	if one.User != NoUser || s.Users != nil {
		s.Users = append(padded(s.Users, sessions, NoUser), one.User)
	}
	if one.Segment != "" || s.Segments != nil {
		s.Segments = append(padded(s.Segments, sessions, ""), one.Segment)
	}
}

// padded returns a list of at least n entries.
func padded[T any](list []T, n int, with T) []T {
	for len(list) < n {
		list = append(list, with)
	}
	return list
}

// Session returns session i whole.
func (s *Sessions) Session(i int) Session {
	out := Session{User: NoUser}
	out.Items, out.Times = s.At(i)
	if s.Weights != nil {
		out.Weights = s.Weights[s.Offsets[i]:s.Offsets[i+1]:s.Offsets[i+1]]
	}
	if s.Users != nil {
		out.User = s.Users[i]
	}
	if s.Segments != nil {
		out.Segment = s.Segments[i]
	}
	return out
}

// Weight returns what event e counts for.
func (s *Sessions) Weight(e int) float32 {
	if s.Weights == nil {
		return 1
	}
	return s.Weights[e]
}

// At returns the items and times of session i; they share memory with s.
func (s *Sessions) At(i int) (items []int32, times []int64) {
	lo, hi := s.Offsets[i], s.Offsets[i+1]
	return s.Items[lo:hi:hi], s.Times[lo:hi:hi]
}

// Slice returns the sessions lo to hi-1; events share memory with s.
func (s *Sessions) Slice(lo, hi int) *Sessions {
	out := &Sessions{}
	if lo >= hi {
		return out
	}
	from, to := s.Offsets[lo], s.Offsets[hi]
	out.Items, out.Times = s.Items[from:to:to], s.Times[from:to:to]
	if s.Weights != nil {
		out.Weights = s.Weights[from:to:to]
	}
	if s.Users != nil {
		out.Users = s.Users[lo:hi:hi]
	}
	if s.Segments != nil {
		out.Segments = s.Segments[lo:hi:hi]
	}
	out.Offsets = make([]int, hi-lo+1)
	for i := range out.Offsets {
		out.Offsets[i] = s.Offsets[lo+i] - from
	}
	return out
}

// Newest returns the newest time of any event in Unix milliseconds, 0 when there is none.
func (s *Sessions) Newest() int64 {
	newest := int64(0)
	for i, t := range s.Times {
		if i == 0 || t > newest {
			newest = t
		}
	}
	return newest
}

// Check reports the first broken invariant: lengths that do not agree, offsets that do not rise, an item outside the
// vocabulary of numItems. Fits call it, so that a wrong caller gets an error and not a wrong model.
func (s *Sessions) Check(numItems int) error {
	if len(s.Times) != len(s.Items) {
		return fmt.Errorf("sessions have %d items but %d times", len(s.Items), len(s.Times))
	}
	if s.Weights != nil && len(s.Weights) != len(s.Items) {
		return fmt.Errorf("sessions have %d items but %d weights", len(s.Items), len(s.Weights))
	}
	for _, labels := range []int{len(s.Users), len(s.Segments)} {
		if labels != 0 && labels != s.Len() {
			return fmt.Errorf("%d sessions have %d users or segments", s.Len(), labels)
		}
	}
	for e, weight := range s.Weights {
		if !(weight > 0) {
			return fmt.Errorf("event %d has the weight %g, which is not positive", e, weight)
		}
	}
	last := 0
	for i, offset := range s.Offsets {
		if offset < last || i == 0 && offset != 0 {
			return fmt.Errorf("session offset %d is %d, after %d", i, offset, last)
		}
		last = offset
	}
	if last != len(s.Items) {
		return fmt.Errorf("session offsets end at %d of %d events", last, len(s.Items))
	}
	for i, item := range s.Items {
		if item < 0 || int(item) >= numItems {
			return fmt.Errorf("event %d has item index %d outside a vocabulary of %d", i, item, numItems)
		}
	}
	return nil
}
