package importer

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// Summary says what an import of events did. Rows = Added + Resumed + Rejected + Erased unless the file was AlreadyImported.
type Summary struct {
	File            string    `json:"file"`
	Site            string    `json:"site"`
	Rows            int64     `json:"rows"`             // of the file, bad ones included
	Added           int64     `json:"added"`            // rows that this run sent
	Resumed         int64     `json:"resumed"`          // rows that an interrupted run had sent before
	Rejected        int64     `json:"rejected"`         // bad rows, in RejectFile with reasons
	Erased          int64     `json:"erased,omitempty"` // rows of people who were erased: left out
	RejectFile      string    `json:"reject_file,omitempty"`
	AlreadyImported bool      `json:"already_imported"`
	First           time.Time `json:"first,omitzero"` // occurred_at of the oldest and newest event
	Last            time.Time `json:"last,omitzero"`
	LogicalClock    bool      `json:"logical_clock"` // the file has no times: only the order of rows means something
	UnusedColumns   []string  `json:"unused_columns,omitempty"`
	StartedAt       time.Time `json:"started_at,omitzero"` // when the import of this file first began
}

func (s *Summary) see(t time.Time) {
	if s.First.IsZero() || t.Before(s.First) {
		s.First = t
	}
	if t.After(s.Last) {
		s.Last = t
	}
}

func (s Summary) alreadyDone(p control.ImportProgress) Summary {
	s.AlreadyImported = true
	s.Rejected, s.StartedAt = p.Rejected, p.StartedAt
	return s
}

// String tells the summary to people, in a few lines.
func (s Summary) String() string {
	var b strings.Builder
	if s.AlreadyImported {
		fmt.Fprintf(&b, "%s: 0 rows added, its %d rows were imported into site %s on %s", s.File, s.Rows, s.Site, day(s.StartedAt))
		return b.String()
	}
	fmt.Fprintf(&b, "%s: %d rows added to site %s", s.File, s.Added, s.Site)
	if s.Resumed > 0 {
		fmt.Fprintf(&b, ", after %d of an interrupted import", s.Resumed)
	}
	if s.Rejected > 0 {
		fmt.Fprintf(&b, "\n  %d of %d rows rejected, with reasons in %s", s.Rejected, s.Rows, s.RejectFile)
	}
	if s.Erased > 0 {
		fmt.Fprintf(&b, "\n  %d rows left out: they belong to people who were erased", s.Erased)
	}
	if !s.First.IsZero() {
		fmt.Fprintf(&b, "\n  from %s to %s", stamp(s.First), stamp(s.Last))
	}
	if s.LogicalClock {
		b.WriteString("\n  the file has no time column: its order is kept on a logical clock (1 s a row, ending when the import began); " +
			"if a column does hold times, name it with --map occurred_at=COLUMN")
	}
	if len(s.UnusedColumns) > 0 {
		fmt.Fprintf(&b, "\n  columns not used: %s", strings.Join(s.UnusedColumns, ", "))
	}
	return b.String()
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
