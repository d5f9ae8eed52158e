// Package telemetry is how a running Millrace is watched: one structured logger, one registry of metrics and the
// handler of the admin listener. Nothing here is global: each program, and each test, makes its own.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// Log formats.
const (
	FormatText = "text" // for people: key=value, times without a date's noise
	FormatJSON = "json" // for log collectors
)

// componentKey names the part of the program that speaks; its values are the folders of the data flow.
const componentKey = "component"

// textTime keeps a line short; the day is known to whoever reads a terminal.
const textTime = "15:04:05.000"

// NewLogger returns a logger that writes to w. The level is debug, info, warn or error (any case), the format text or
// json; an empty one means info and text. Times are UTC.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var lv slog.Level
	if level != "" {
		if err := lv.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
		}
	}
	switch strings.ToLower(format) {
	case "", FormatText:
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: lv, ReplaceAttr: shortTime})), nil
	case FormatJSON:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: lv, ReplaceAttr: utcTime})), nil
	}
	return nil, fmt.Errorf("log format %q: want text or json", format)
}

// Component returns a logger whose lines say which part of the program wrote them.
func Component(log *slog.Logger, name string) *slog.Logger {
	return log.With(slog.String(componentKey, name))
}

func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(slog.TimeKey, a.Value.Time().UTC().Format(textTime))
	}
	return a
}

func utcTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.String(slog.TimeKey, a.Value.Time().UTC().Format(time.RFC3339Nano))
	}
	return a
}
