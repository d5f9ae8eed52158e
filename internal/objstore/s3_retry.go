package objstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

const (
	// s3Tries is how often a request is tried. With the waits between, a store that restarts or sheds load for some ten
	// seconds is waited for; whoever waits longer has a reason of its own to try again.
	s3Tries = 10
	// firstWait and longestWait bound the waits, which double and are shortened at random, so that those who were refused
	// together do not come back together. The client waits up to 200 ms itself after each failure, whoever repeats it.
	firstWait, longestWait = 10 * time.Millisecond, 4 * time.Second
)

// retry calls try until it succeeds, fails for good, or has been tried often enough. The errors that callers branch on come
// out of it as such.
func (b *S3) retry(ctx context.Context, try func(ctx context.Context) error) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := known(try(ctx))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if !passes(err) {
			return err
		}
		if n == s3Tries {
			return fmt.Errorf("after %d tries: %w", n, err)
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		wait = min(2*wait, longestWait)
	}
}

// passes reports whether a request may succeed when it is tried again.
func passes(err error) bool {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrExists) || errors.Is(err, errChanged) {
		return false
	}
	switch code(err) {
	case "SlowDown", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException", "OperationAborted", "ConditionalRequestConflict":
		return true // some stores say so with a status of the 400s; the last is another conditional put under way
	}
	switch at := status(err); {
	case at == http.StatusRequestTimeout || at == http.StatusTooManyRequests || at == http.StatusConflict:
		return true
	case at == http.StatusNotImplemented:
		return false
	case at != 0:
		return at >= http.StatusInternalServerError
	}
	// No answer. What the other side is, does not pass: it is no S3, or nobody that is trusted.
	text := err.Error()
	return !strings.Contains(text, "x509:") && !strings.Contains(text, "server gave HTTP response to HTTPS client")
}
