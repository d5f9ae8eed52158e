package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/control"
)

const (
	// MaxAttributes and maxAttributeBytes bound what is kept of one user: segments, not a profile.
	MaxAttributes     = 32
	maxAttributeBytes = 256 // of a name, or of a text
	// MaxUserBytes bounds the body that brings them.
	MaxUserBytes = 32 << 10

	// attributesAge is how old the attributes that a request sees may be, on every node.
	attributesAge = control.CacheAge
	// attributesWait bounds one reading, and attributesPause is the shortest time between two while the control store does not answer:
	// one request finds out, the others are told at once.
	attributesWait  = time.Second
	attributesPause = time.Second
	// attributesKept bounds how many users' attributes are in memory, some 10 MB at most.
	attributesKept = 8_192
)

// attributes reads what shops say of their users, each user's at most once in attributesAge. They are asked for only by
// requests whose filters, rules or segments need them. The control store is their one home, so that an erasure ends them with
// its request.
type attributes struct {
	store Attributes

	mu      sync.Mutex // guards what follows
	known   map[attributesOf]readAttributes
	trouble error     // why the last reading failed; nil where it did not
	triedAt time.Time // where it did
}

type attributesOf struct{ site, user string }

type readAttributes struct {
	values map[string]any
	at     time.Time
}

// of returns a user's attributes: texts, numbers (float64) and booleans by name, which callers only read. It is empty where the
// shop said nothing.
func (a *attributes) of(ctx context.Context, site, user string) (map[string]any, error) {
	if user == "" {
		return nil, nil
	}
	key, now := attributesOf{site, user}, time.Now()
	a.mu.Lock()
	found, ok := a.known[key]
	fresh := ok && now.Sub(found.at) < attributesAge
	away := a.trouble
	if !fresh && away != nil && now.Sub(a.triedAt) >= attributesPause {
		a.triedAt, away = now, nil // this request finds out
	}
	a.mu.Unlock()
	switch {
	case fresh:
		return found.values, nil
	case away != nil:
		return nil, away
	}
	reading, cancel := context.WithTimeout(ctx, attributesWait)
	defer cancel()
	row, ok, err := a.store.UserAttributes(reading, site, user)
	if err == nil || ctx.Err() == nil { // the error of a caller that goes says nothing of the store
		a.saw(err)
	}
	if err != nil {
		return nil, err
	}
	found = readAttributes{at: now}
	if ok {
		if err := json.Unmarshal(row.Attributes, &found.values); err != nil {
			return nil, fmt.Errorf("read attributes of a user: %w", err)
		}
	}
	a.keep(key, found)
	return found.values, nil
}

// saw notes whether the store has answered.
func (a *attributes) saw(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble, a.triedAt = err, time.Now()
}

// keep remembers a reading. Where there are too many, all are forgotten: they live for a second anyway.
func (a *attributes) keep(key attributesOf, found readAttributes) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= attributesKept {
		a.known = make(map[attributesOf]readAttributes)
	}
	a.known[key] = found
}

// forget lets the next request of this node see a change.
func (a *attributes) forget(site, user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, attributesOf{site, user})
}
