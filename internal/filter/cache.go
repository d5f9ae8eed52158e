package filter

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// MaxCached is how many expressions of one kind a Cache keeps, those used last: some 20 KiB each. A shop has as many as its pages and
// rules write; what changes from request to request belongs into context.
const MaxCached = 1_024

// Cache keeps compiled programs, and what was wrong with texts that are none. It is safe for concurrent use. A nil one compiles anew.
type Cache struct {
	filters, conditions, factors *lru.Cache[string, *cached]
}

// cached is one text. Of requests that bring it at the same time one compiles it.
type cached struct {
	once    sync.Once
	program *Program
	err     error
}

// NewCache makes an empty cache.
func NewCache() *Cache {
	kind := func() *lru.Cache[string, *cached] {
		c, _ := lru.New[string, *cached](MaxCached) // fails only for a size below 1
		return c
	}
	return &Cache{filters: kind(), conditions: kind(), factors: kind()}
}

// Filter is Compile.
func (c *Cache) Filter(text string) (*Program, error) {
	if c == nil {
		return Compile(text)
	}
	return get(c.filters, text, Compile)
}

// Condition is CompileCondition.
func (c *Cache) Condition(text string) (*Program, error) {
	if c == nil {
		return CompileCondition(text)
	}
	return get(c.conditions, text, CompileCondition)
}

// Factor is CompileFactor.
func (c *Cache) Factor(text string) (*Program, error) {
	if c == nil {
		return CompileFactor(text)
	}
	return get(c.factors, text, CompileFactor)
}

func get(kind *lru.Cache[string, *cached], text string, compile func(string) (*Program, error)) (*Program, error) {
	if len(text) > MaxBytes {
		return compile(text) // is refused at once, and its text is not kept
	}
	entry, found := kind.Get(text)
	if !found {
		entry = &cached{}
		if before, known, _ := kind.PeekOrAdd(text, entry); known {
			entry = before
		}
	}
	entry.once.Do(func() { entry.program, entry.err = compile(text) })
	return entry.program, entry.err
}
