package serving

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// warnEvery is how often one kind of trouble on the request path is logged; its metric counts every case.
const warnEvery = 10 * time.Second

// rarely logs a kind of trouble at most once in warnEvery: thousands of requests a second that meet the same outage make
// one line. The zero value is ready.
type rarely struct {
	last atomic.Int64 // Unix nanoseconds
}

func (r *rarely) warn(ctx context.Context, log *slog.Logger, message string, err error) {
	now := time.Now().UnixNano()
	last := r.last.Load()
	if now-last < int64(warnEvery) || !r.last.CompareAndSwap(last, now) {
		return
	}
	log.WarnContext(ctx, message, "error", err)
}
