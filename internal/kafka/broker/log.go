package broker

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
)

// logAdapter passes the broker's own messages on. Its informational ones are about single requests, so they are debug.
type logAdapter struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l logAdapter) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), to) {
		l.log.Log(context.Background(), to, fmt.Sprintf(format, args...), "source", "kfake")
	}
}
