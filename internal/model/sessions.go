package model

import "fmt"

// Sessions are training or test sessions in flat arrays: session i has the events Offsets[i] to Offsets[i+1], oldest
// first. Items are indices of a vocabulary and Times are Unix milliseconds; both have one entry an event. The zero
// value holds no session and is ready for Append.
type Sessions struct {
	Items   []int32
	Times   []int64
	Offsets []int
}

// Len returns the number of sessions.
func (s *Sessions) Len() int { return max(len(s.Offsets)-1, 0) }

// Events returns the number of events of all sessions.
func (s *Sessions) Events() int { return len(s.Items) }

// Append adds one session. items and times have the same length; they are copied.
func (s *Sessions) Append(items []int32, times []int64) {
	if len(s.Offsets) == 0 {
		s.Offsets = append(s.Offsets, 0)
	}
	s.Items = append(s.Items, items...)
	s.Times = append(s.Times, times...)
	s.Offsets = append(s.Offsets, len(s.Items))
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
