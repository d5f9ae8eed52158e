package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/lake/historyfile"
)

// logicalStep is the distance of two rows of a file without times, as on import.
const logicalStep = time.Second

// Log is the sessions of a data set before any split, ordered by their last event.
type Log struct {
	Vocabulary *model.Vocabulary
	Sessions   *model.Sessions
	Splits     []string // what the split column says of each session; nil without one
	Logical    bool     // times only number the rows
	Rows       int      // rows that were used
	BadRows    int      // rows that were not
	FirstBad   error    // why the first of them was not
}

// First returns the time of the oldest event; the zero time when there is none.
func (l *Log) First() time.Time {
	if len(l.Sessions.Times) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(slices.Min(l.Sessions.Times)).UTC()
}

// Last returns the time of the newest event; the zero time when there is none.
func (l *Log) Last() time.Time {
	if len(l.Sessions.Times) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.Sessions.Newest()).UTC()
}

// Load reads the file of a configuration.
func Load(ctx context.Context, c Config) (*Log, error) {
	switch c.Data {
	case "":
		return nil, usagef("no data: give the path of a CSV, JSONL or Parquet file with --data")
	case "lake":
		return nil, usagef("--data lake is not available yet: give the path of a CSV, JSONL or Parquet file")
	}
	format, err := history.DetectFormat(c.Data)
	if err != nil {
		return nil, &UsageError{Message: err.Error()}
	}
	r, err := historyfile.Open(c.Data, format)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // reading only: nothing can be lost
	log, err := read(ctx, r, c)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Data, err)
	}
	return log, nil
}

// loader collects rows by session.
type loader struct {
	cfg      Config
	mapping  history.Mapping
	split    string // split column, "" for none
	log      *Log
	sessions map[string]int
	splits   []string
	events   []loaded
}

type loaded struct {
	session, item int32
	time          int64
}

func read(ctx context.Context, r *history.Reader, c Config) (*Log, error) {
	l := &loader{cfg: c, log: &Log{Vocabulary: model.NewVocabulary(), Sessions: &model.Sessions{}}, sessions: map[string]int{}}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *history.RowError
		if errors.As(err, &bad) {
			l.reject(bad)
			continue
		}
		if err != nil {
			return nil, err
		}
		if l.mapping == nil {
			if err := l.start(row.Columns()); err != nil {
				return nil, err
			}
		}
		if err := l.add(row); err != nil {
			l.reject(&history.RowError{Line: row.Line, Err: err})
		}
		if row.Index%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if l.log.Rows == 0 {
		return nil, errors.Join(fmt.Errorf("no row could be used, of %d", l.log.BadRows), l.log.FirstBad)
	}
	l.finish()
	return l.log, nil
}

// start settles the columns by those of the first row.
func (l *loader) start(columns []string) error {
	if err := l.cfg.Mapping.Check(columns); err != nil {
		return &UsageError{Message: err.Error()}
	}
	l.mapping = l.cfg.Mapping.Detect(columns)
	for _, field := range []string{history.FieldSessionID, history.FieldItemID} {
		if l.mapping[field] == "" {
			return usagef("no column for %s; the file has: %s. Name one of them with --map %s=COLUMN",
				field, strings.Join(columns, ", "), field)
		}
	}
	l.log.Logical = l.mapping[history.FieldOccurredAt] == ""
	switch {
	case l.cfg.SplitColumn != "" && !slices.Contains(columns, l.cfg.SplitColumn):
		return usagef("no split column %q; the file has: %s. Name one of them with --split-column",
			l.cfg.SplitColumn, strings.Join(columns, ", "))
	case l.cfg.SplitColumn != "":
		l.split = l.cfg.SplitColumn
	case l.cfg.Holdout == 0 && slices.Contains(columns, "split"):
		l.split = "split"
	}
	return nil
}

func (l *loader) add(row history.Row) error {
	session, item := l.mapping.Value(row, history.FieldSessionID), l.mapping.Value(row, history.FieldItemID)
	if session == "" || item == "" {
		return errors.New("the session or the item is empty")
	}
	at := row.Index * logicalStep.Milliseconds()
	if !l.log.Logical {
		t, err := history.ParseTime(l.mapping.Value(row, history.FieldOccurredAt), l.cfg.TimeUnit)
		if err != nil {
			return err
		}
		at = t.UnixMilli()
	}
	split := ""
	if l.split != "" {
		if split = row.Get(l.split); !slices.Contains(splitNames(), split) {
			return fmt.Errorf("split %.40q is none of %s", split, strings.Join(splitNames(), ", "))
		}
	}
	key := split + "\x00" + session // a session lies in one part; a number used again in another part is another session
	i, ok := l.sessions[key]
	if !ok {
		i = len(l.splits)
		l.sessions[key] = i
		l.splits = append(l.splits, split)
	}
	l.events = append(l.events, loaded{session: int32(i), item: l.log.Vocabulary.Add(item), time: at})
	l.log.Rows++
	return nil
}

func (l *loader) reject(bad *history.RowError) {
	if l.log.BadRows++; l.log.FirstBad == nil {
		l.log.FirstBad = bad
	}
}

// finish groups the events by session, in order of time, and orders the sessions by their last event. Both sorts keep
// the order of the file where times are equal.
func (l *loader) finish() {
	ends := make([]int64, len(l.splits))
	for i, e := range l.events {
		if i == 0 || e.time > ends[e.session] {
			ends[e.session] = e.time
		}
	}
	order := make([]int, len(ends))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ends[a], ends[b]) })
	place := make([]int32, len(order))
	for at, session := range order {
		place[session] = int32(at)
		if l.split != "" {
			l.log.Splits = append(l.log.Splits, l.splits[session])
		}
	}
	slices.SortStableFunc(l.events, func(a, b loaded) int {
		if a.session != b.session {
			return cmp.Compare(place[a.session], place[b.session])
		}
		return cmp.Compare(a.time, b.time)
	})
	s := l.log.Sessions
	for i, e := range l.events {
		if i == 0 || e.session != l.events[i-1].session {
			s.Offsets = append(s.Offsets, i)
		}
		s.Items, s.Times = append(s.Items, e.item), append(s.Times, e.time)
	}
	s.Offsets = append(s.Offsets, len(l.events))
}
