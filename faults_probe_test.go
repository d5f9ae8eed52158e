package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// probeInterval is the time between two clicks that are watched, too few to be a load.
	probeInterval = 100 * time.Millisecond
	// A click is looked for after shortestLook, and then after a lookShare of the time that it has been missing: while a
	// partition is owned by nobody hundreds of clicks wait, and looking must not become the load.
	shortestLook = 2 * time.Millisecond
	lookShare    = 0.05
)

// probe is visitors who come once, click and look at their profile. It times each from the click's acknowledgement until
// serving shows it, and begins each when it is due, whether those before are shown or not.
type probe struct {
	f       *faults
	key     string
	clicked int     // once stopped
	shown   timings // from acknowledged to published
	stop    func()  // ends the clicking and returns when all of them are shown, or will never be
}

func startProbe(t *testing.T, f *faults, key string) *probe {
	p := &probe{f: f, key: key}
	clicking, stop := context.WithCancel(t.Context())
	watching, giveUp := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.run(clicking, watching)
	}()
	p.stop = func() {
		stop()
		defer time.AfterFunc(recoverLimit, giveUp).Stop()
		<-ended
	}
	t.Cleanup(p.stop)
	return p
}

func (p *probe) run(clicking, watching context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	var unseen sync.WaitGroup
	defer unseen.Wait()
	for ; ; p.clicked++ {
		select {
		case <-tick.C:
		case <-clicking.Done():
			return
		}
		visitor := fmt.Sprintf("probe-%d", p.clicked)
		unseen.Go(func() { p.watch(watching, visitor) })
	}
}

func (p *probe) watch(ctx context.Context, visitor string) {
	click := map[string]any{"event_id": visitor, "type": event.ViewItem, "anonymous_id": visitor, "item_id": "item-1",
		"occurred_at": time.Now().UTC().Format(time.RFC3339Nano)}
	if !p.f.load.insist(ctx, p.f.tracker, p.key, batch{[]string{visitor}, []map[string]any{click}}) {
		return
	}
	acked := time.Now()
	for !p.shows(ctx, visitor) {
		select {
		case <-time.After(max(shortestLook, time.Duration(lookShare*float64(time.Since(acked))))):
		case <-ctx.Done():
			return
		}
	}
	p.shown.add(time.Since(acked))
}

func (p *probe) shows(ctx context.Context, visitor string) bool {
	var view struct{ Interactions []json.RawMessage }
	status, _, err := p.f.serving.call(ctx, "GET", "/v1/users/anonymous:"+visitor+"/features", p.f.secretKey, nil, &view)
	return err == nil && status == 200 && len(view.Interactions) > 0
}
