// Package topk keeps the best few of many scored ids: the last step of every list that is recommended and the step that
// chooses neighbours. Order is total, so the same scores always give the same list.
package topk

// Entry is one id with its score.
type Entry struct {
	ID    int32
	Score float32
}

// Heap keeps the k best entries pushed since Reset: higher score first, ties to the lower id. The zero Heap keeps
// nothing until Reset. A Heap keeps its memory between uses and is not safe for concurrent use.
type Heap struct {
	entries []Entry // a binary heap with the worst kept entry at the root
	k       int
}

// Reset forgets all entries and sets how many to keep; k <= 0 keeps none.
func (h *Heap) Reset(k int) {
	h.entries = h.entries[:0]
	h.k = max(k, 0)
}

// Len returns how many entries are kept now.
func (h *Heap) Len() int { return len(h.entries) }

// Push offers one entry. A score that is not a number has no place in an order and is ignored.
func (h *Heap) Push(id int32, score float32) {
	if score != score { // NaN
		return
	}
	e := Entry{ID: id, Score: score}
	if len(h.entries) < h.k {
		h.entries = append(h.entries, e)
		h.up(len(h.entries) - 1)
		return
	}
	if h.k == 0 || !worse(h.entries[0], e) {
		return
	}
	h.entries[0] = e
	h.down(0, len(h.entries))
}

// Full reports whether k entries are kept; then lowest is the least of their scores, and an entry with a lower one need not be
// pushed.
func (h *Heap) Full() (lowest float32, full bool) {
	if len(h.entries) < h.k || h.k == 0 {
		return 0, false
	}
	return h.entries[0].Score, true
}

// Sorted orders the kept entries, best first, and returns them. The slice is the heap's own memory: it is valid until
// the next Reset, which must come before the next Push.
func (h *Heap) Sorted() []Entry {
	for n := len(h.entries) - 1; n > 0; n-- {
		h.entries[0], h.entries[n] = h.entries[n], h.entries[0]
		h.down(0, n)
	}
	return h.entries
}

// Unsorted returns the kept entries in no useful order, which still follows from what was pushed alone. The slice is the
// heap's own memory: it is valid until the next Reset or Push.
func (h *Heap) Unsorted() []Entry { return h.entries }

func worse(a, b Entry) bool {
	if a.Score != b.Score {
		return a.Score < b.Score
	}
	return a.ID > b.ID
}

func (h *Heap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !worse(h.entries[i], h.entries[parent]) {
			return
		}
		h.entries[i], h.entries[parent] = h.entries[parent], h.entries[i]
		i = parent
	}
}

func (h *Heap) down(i, n int) {
	for {
		child := 2*i + 1
		if child >= n {
			return
		}
		if right := child + 1; right < n && worse(h.entries[right], h.entries[child]) {
			child = right
		}
		if !worse(h.entries[child], h.entries[i]) {
			return
		}
		h.entries[i], h.entries[child] = h.entries[child], h.entries[i]
		i = child
	}
}
