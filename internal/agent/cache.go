package agent

import (
	"strings"
	"sync"
)

// maxCached bounds the headers that are remembered, each at most maxAgentBytes: those of a busy shop's visitors repeat.
const maxCached = 4096

// Parser remembers what headers are reduced to: the list of crawlers takes longer than everything else that is done for an event.
// It is safe for concurrent use; the zero value is ready.
type Parser struct {
	mu       sync.RWMutex
	now, old map[string]Agent // guarded by mu; the older half is forgotten when the newer one is full
}

// Parse is the function Parse.
func (p *Parser) Parse(header string) Agent {
	if len(header) > maxAgentBytes {
		header = header[:maxAgentBytes]
	}
	p.mu.RLock()
	a, known := p.now[header]
	if !known {
		a, known = p.old[header]
	}
	p.mu.RUnlock()
	if known {
		return a
	}
	a = Parse(header)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now == nil || len(p.now) >= maxCached/2 {
		p.now, p.old = make(map[string]Agent), p.now
	}
	p.now[strings.Clone(header)] = a // a header is a part of its request's buffer
	return a
}
