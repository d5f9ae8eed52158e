package serving

import (
	"maps"
	"sync"
)

// outcome says of one staged write, by its index, whether its record came into force.
type outcome struct {
	index   int
	applied bool
}

// waiters are the writes of this node whose records have not come back yet, by write id.
type waiters struct {
	mu      sync.Mutex // guards pending
	pending map[string]waiter
}

type waiter struct {
	index int
	done  chan<- outcome
}

// add registers write ids; their outcomes come on the channel, which holds all of them.
func (w *waiters) add(ids []string) <-chan outcome {
	done := make(chan outcome, len(ids))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending == nil {
		w.pending = map[string]waiter{}
	}
	for i, id := range ids {
		w.pending[id] = waiter{index: i, done: done}
	}
	return done
}

func (w *waiters) remove(ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.pending, id)
	}
}

// settle tells the waiters of a fetched batch what became of their records.
func (w *waiters) settle(applied map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range maps.Keys(applied) {
		if waiting, ok := w.pending[id]; ok {
			delete(w.pending, id)
			waiting.done <- outcome{index: waiting.index, applied: applied[id]} // never blocks: the channel holds all
		}
	}
}
