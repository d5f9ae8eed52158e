package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	faultsRate     = 2000 // events a second
	faultsVisitors = 5000
	// againAfter is when a request that was not acknowledged is sent again.
	againAfter = 500 * time.Millisecond
	// idleConnections is above the requests that wait at once while a broker is away, so that none opens a new connection.
	idleConnections = 1000
)

// steadyLoad offers events at faultsRate whatever happens: each request is sent when it is due, whether the ones before are
// answered or not. A batch that was not acknowledged is sent again with the same ids, as browsers do, until it is.
type steadyLoad struct {
	*load
	began   time.Time
	offered int           // events, once stopped
	took    time.Duration // of offering, once stopped
	late    timings       // how long after it was due a request was sent: what the generator itself could not reach
	acks    timings       // from when a request was due to its acknowledgement
	stop    func()        // ends the offering and returns when all of it is acknowledged, or will never be
}

func startLoad(t *testing.T, tracker *program, key string) *steadyLoad {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport)
	before := transport.MaxIdleConnsPerHost
	transport.MaxIdleConnsPerHost = idleConnections
	l := &steadyLoad{load: &load{acked: map[string]bool{}}, began: time.Now()}
	offering, stop := context.WithCancel(t.Context())
	sending, giveUp := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.offer(offering, sending, tracker, key)
	}()
	l.stop = func() {
		stop()
		defer time.AfterFunc(recoverLimit, giveUp).Stop()
		<-ended
	}
	t.Cleanup(func() {
		l.stop()
		transport.MaxIdleConnsPerHost = before
	})
	return l
}

// offer sends batches at their times until offering ends, and returns when all of them are acknowledged or sending has ended.
func (l *steadyLoad) offer(offering, sending context.Context, tracker *program, key string) {
	const interval = time.Second * crashBatch / faultsRate
	var unanswered sync.WaitGroup
	defer unanswered.Wait()
	for n := 0; ; n++ {
		due := l.began.Add(time.Duration(n) * interval)
		select {
		case <-time.After(time.Until(due)):
		case <-offering.Done():
			l.offered, l.took = n*crashBatch, time.Since(l.began)
			return
		}
		b := newBatch("f", n, faultsVisitors)
		l.late.add(time.Since(due))
		unanswered.Go(func() {
			if l.insist(sending, tracker, key, b) {
				l.acks.add(time.Since(due))
			}
		})
	}
}

// insist sends a batch until it is acknowledged. It reports false when ctx ended first.
func (l *steadyLoad) insist(ctx context.Context, tracker *program, key string, b batch) bool {
	for !l.post(ctx, tracker, key, b) {
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// timings are durations and when each of them was over.
type timings struct {
	mu  sync.Mutex
	all []timing
}

type timing struct {
	end  time.Time
	took time.Duration
}

func (t *timings) add(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, timing{time.Now(), took})
}

// since describes what ended after a moment.
func (t *timings) since(began time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var took []float64
	for _, one := range t.all {
		if one.end.After(began) {
			took = append(took, float64(one.took.Microseconds())/1000)
		}
	}
	if len(took) == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %.1f p99 %.1f longest %.0f ms", percentile(took, 50), percentile(took, 99), slices.Max(took))
}
