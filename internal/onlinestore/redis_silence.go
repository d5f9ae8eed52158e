package onlinestore

import (
	"errors"
	"sync/atomic"
	"time"
)

const (
	// redisParts is how many parts of a cluster are known to be silent apart: the groups of one part mostly lie on one
	// master.
	redisParts = 8
	// redisRetry is how long nobody asks a part that did not answer in time.
	redisRetry = time.Second
)

var errSilent = errors.New("it did not answer in time a moment ago")

// silence remembers that a part of a store hangs, so that not every visitor waits for the time-out: of those who come
// after it, one a redisRetry asks and the others are told at once. The zero value is a part that answers.
type silence struct {
	until atomic.Int64 // nanoseconds since began; 0 while the part answers
}

// began is where silences count from, by a clock that nobody sets back.
var began = time.Now()

// admit reports whether a read may be sent.
func (s *silence) admit() bool {
	until := s.until.Load()
	if until == 0 {
		return true
	}
	now := int64(time.Since(began))
	return now >= until && s.until.CompareAndSwap(until, now+int64(redisReadTimeout+redisRetry))
}

// answered ends the silence.
func (s *silence) answered() {
	if s.until.Load() != 0 {
		s.until.Store(0)
	}
}

// timedOut begins or prolongs it.
func (s *silence) timedOut() { s.until.Store(int64(time.Since(began) + redisRetry)) }
