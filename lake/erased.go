package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/erasure"
)

// Properties about people who were erased; each is a count of the changes of the ledger (erasure.Ledger.Sequence).
const (
	// erasedProperty is the mark: a landing must have been filtered by the ledger as of this change, or a later one. It is
	// set before rows are erased, so that a writer that stood still with rows from before cannot bring them back.
	erasedProperty = "millrace.erased"
	// cleanProperty says that every row was checked against the ledger as of this change. Scans filter by what came later.
	cleanProperty = "millrace.erased.clean"
)

// ErrLedgerBehind means that a table was erased from by a ledger that this process does not have: another data directory's, a
// restored older one, or none.
var ErrLedgerBehind = errors.New("the table was erased from by a newer ledger of erasures than is known here: restore the control store " +
	"that belongs to this lake, or one that is newer")

// erasedSequence reads one of the properties; 0 is none.
func erasedSequence(props iceberg.Properties, name string) (int64, error) {
	text, ok := props[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("property %s: %w", name, err)
	}
	return n, nil
}

// ledger is everybody who was erased, as of now.
func (l *Lake) ledger(ctx context.Context) (*erasure.Ledger, error) {
	if l.erased == nil {
		return nil, nil //nolint:nilnil // a nil ledger is the empty one
	}
	return l.erased(ctx)
}

// unerased is the ledger that a scan of a table has to filter by; nil where every row of the table is known to be clean.
func (l *Lake) unerased(ctx context.Context, spec tableSpec, t *table.Table) (*erasure.Ledger, error) {
	if !spec.people {
		return nil, nil //nolint:nilnil // a nil ledger is the empty one
	}
	clean, err := erasedSequence(t.Properties(), cleanProperty)
	if err != nil {
		return nil, err
	}
	ledger, err := l.ledger(ctx)
	if err != nil || ledger.Sequence() <= clean {
		return nil, err
	}
	return ledger, nil
}

// filterLanding takes out of a landing what belongs to erased people, where the table asks for a newer ledger than the rows
// were filtered by. It reports whether files that were written of them are of no use any more.
func (l *Lake) filterLanding(ctx context.Context, t *table.Table, in *Landing, filtered *int64) (again bool, err error) {
	mark, err := erasedSequence(t.Properties(), erasedProperty)
	if err != nil || mark <= *filtered {
		return false, err
	}
	ledger, err := l.ledger(ctx)
	if err != nil {
		return false, err
	}
	if ledger.Sequence() < mark {
		return false, fmt.Errorf("%w (change %d, known %d)", ErrLedgerBehind, mark, ledger.Sequence())
	}
	*filtered = ledger.Sequence()
	before := len(in.Events) + len(in.Exposures)
	in.Events = slices.DeleteFunc(slices.Clone(in.Events), func(r EventRow) bool { return ledger.Covers(erasure.EventRow(r.Event)) })
	in.Exposures = slices.DeleteFunc(slices.Clone(in.Exposures), func(r ExposureRow) bool { return ledger.Covers(erasure.ExposureRow(r.Exposure)) })
	return len(in.Events)+len(in.Exposures) < before, nil
}

// removeUnused deletes files of rows that were not filtered yet. Their commit was refused, so nothing refers to them.
func (l *Lake) removeUnused(ctx context.Context, files []string) error {
	for _, at := range files {
		if err := l.files.remove(ctx, at); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file that was not filtered: %w", err)
		}
	}
	return nil
}

// erasedRow is what the ledger is asked about a row of the table.
func (r *eventRow) erasedRow() erasure.Row {
	return erasure.Row{Site: r.Site, User: deref(r.UserID), Browser: deref(r.AnonymousID), Session: deref(r.SessionID),
		At: floorMillis(r.OccurredAt), Timeless: deref(r.Clock) == clockLogical}
}

func (r *exposureRow) erasedRow() erasure.Row {
	return erasure.Row{Site: r.Site, User: deref(r.UserID), Browser: deref(r.AnonymousID), Session: deref(r.SessionID), At: floorMillis(r.ServedAt)}
}

// floorMillis are the milliseconds of a time in microseconds, as the ledger counts them.
func floorMillis(micros int64) int64 {
	ms := micros / 1000
	if micros%1000 < 0 {
		ms--
	}
	return ms
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
