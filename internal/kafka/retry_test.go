package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

func TestTransient(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{kafkago.NotLeaderForPartition, true},
		{fmt.Errorf("wrapped: %w", kafkago.RebalanceInProgress), true},
		{kafkago.TopicAuthorizationFailed, false},
		{kafkago.MessageSizeTooLarge, false},
		{kafkago.OffsetOutOfRange, false},
		{io.ErrUnexpectedEOF, true},
		{context.Canceled, false},
		{context.DeadlineExceeded, true},
		{&CorruptError{}, false},
		{&ErrBelowStart{}, false},
		{errors.New("else"), false},
	} {
		if got := Transient(tc.err); got != tc.want {
			t.Errorf("Transient(%v) = %v", tc.err, got)
		}
	}
}

func TestRetry(t *testing.T) {
	t.Run("until it works", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			err := retry(t.Context(), time.Minute, func(context.Context) error {
				if calls++; calls < 5 {
					return io.EOF
				}
				return nil
			})
			if err != nil || calls != 5 {
				t.Fatalf("%d calls, %v", calls, err)
			}
		})
	})
	t.Run("within the budget", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start, calls := time.Now(), 0
			err := retry(t.Context(), time.Minute, func(context.Context) error { calls++; return io.EOF })
			if took := time.Since(start); !errors.Is(err, io.EOF) || took > time.Minute || took < 50*time.Second || calls < 60 || calls > 100 {
				t.Fatalf("%d calls in %v: %v", calls, took, err)
			}
		})
	})
	t.Run("not when it is final", func(t *testing.T) {
		calls := 0
		err := retry(t.Context(), time.Minute, func(context.Context) error { calls++; return kafkago.MessageSizeTooLarge })
		if calls != 1 || !errors.Is(err, kafkago.MessageSizeTooLarge) {
			t.Fatalf("%d calls, %v", calls, err)
		}
	})
	t.Run("not after the caller left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			start := time.Now()
			if err := retry(ctx, time.Minute, func(context.Context) error { return io.EOF }); err == nil || time.Since(start) != 3*time.Second {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		})
	})
}
