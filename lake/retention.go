package lake

import (
	"context"
	"time"
)

// Retention says for how many days a table keeps its rows; 0 means for ever. Items are always kept: the newest row of one that
// has not changed for years is what the catalogue says of it.
type Retention struct {
	EventDays    int
	ExposureDays int
}

func (r Retention) days(spec tableSpec) int {
	switch spec.name {
	case TableEvents:
		return r.EventDays
	case TableExposures:
		return r.ExposureDays
	default:
		return 0
	}
}

// dropOldDays takes whole days out of a table that are past its retention, counted back from the newest day that it holds:
// a shop that has been closed for a year loses nothing. A day that has not begun here is no newest one, so that neither
// this clock nor that of a collector can drop anything by standing wrong alone.
func (l *Lake) dropOldDays(ctx context.Context, spec tableSpec, now time.Time) (days int, rows int64, err error) {
	keep := l.retention.days(spec)
	if keep == 0 {
		return 0, 0, nil
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return 0, 0, err
	}
	files, err := liveFiles(ctx, t)
	if err != nil {
		return 0, 0, err
	}
	old := pastRetention(files, keep, now)
	if len(old) == 0 {
		return 0, 0, nil
	}
	if err := l.replaceFiles(ctx, spec, old, nil); err != nil {
		return 0, 0, err
	}
	dropped := make(map[int32]bool)
	for _, f := range old {
		dropped[f.day] = true
	}
	return len(dropped), countRows(old), nil
}

// pastRetention lists the files of all but the newest keep days.
func pastRetention(files []liveFile, keep int, now time.Time) []liveFile {
	today := int32(now.Unix() / int64(24*time.Hour/time.Second))
	begun := make([]liveFile, 0, len(files))
	for _, f := range files {
		if f.day <= today {
			begun = append(begun, f)
		}
	}
	if len(begun) == 0 {
		return nil
	}
	oldest := newestDay(begun) - int32(keep) + 1
	var old []liveFile
	for _, f := range begun {
		if f.day < oldest {
			old = append(old, f)
		}
	}
	return old
}
