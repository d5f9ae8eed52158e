package control

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A control store that is away, however it is, costs the last uses of keys and nothing else; what is wrong with it otherwise is told.
func TestUseOfKeysOutlivesAnOutage(t *testing.T) {
	broken := errors.New("no such table")
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, c := range map[string]struct {
		during, atEnd func(context.Context) error
		want          error
	}{
		"refuses":       {func(context.Context) error { return driver.ErrBadConn }, func(context.Context) error { return driver.ErrBadConn }, nil},
		"hangs":         {func(context.Context) error { return nil }, hang, nil},
		"stopped in it": {hang, hang, nil},
		"broken":        {func(context.Context) error { return nil }, func(context.Context) error { return broken }, broken},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				writes := 0
				done := make(chan error, 1)
				go func() {
					done <- keepUse(ctx, func(ctx context.Context) error {
						if writes++; writes == 1 {
							return c.during(ctx)
						}
						return c.atEnd(ctx)
					})
				}()
				<-time.After(useWritten + time.Second)
				stop()
				stopped := time.Now()
				if err := <-done; !errors.Is(err, c.want) || c.want == nil && err != nil || writes != 2 || time.Since(stopped) > time.Second {
					t.Errorf("%v after %d writes and %v", err, writes, time.Since(stopped))
				}
			})
		})
	}
}
