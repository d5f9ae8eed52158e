package lake

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go/table"

	"github.com/millrace/millrace/internal/erasure"
)

// Survey is what a table holds of people in a ledger.
type Survey struct {
	Table  string
	Rows   int64 // of the current version
	Files  int   // on the disk, of no version or of older ones only, that hold such rows
	Bounds int   // entries of manifests of any version whose bounds name them
}

// Survey looks through every row of every table that names people, every file on the disk and every manifest for people in a ledger. It reads the
// columns that name somebody, of all of it.
func (l *Lake) Survey(ctx context.Context, ledger *erasure.Ledger) ([]Survey, error) {
	var out []Survey
	for _, spec := range personalTables() {
		found := Survey{Table: spec.name}
		err := l.eachIdentity(ctx, spec, ledger, func(_ erasure.Row, covered bool) error {
			if covered {
				found.Rows++
			}
			return nil
		})
		if err == nil {
			err = l.surveyDisk(ctx, spec, ledger, &found)
		}
		if err != nil {
			return nil, fmt.Errorf("look through lake table %s: %w", spec.name, err)
		}
		out = append(out, found)
	}
	return out, nil
}

// Identities calls f with whom each row of a table's current version names, and whether a ledger covers the row.
func (l *Lake) Identities(ctx context.Context, tableName string, ledger *erasure.Ledger, f func(row erasure.Row, covered bool) error) error {
	spec, err := specByName(tableName)
	if err != nil {
		return err
	}
	if err := l.eachIdentity(ctx, spec, ledger, f); err != nil {
		return fmt.Errorf("look through lake table %s: %w", tableName, err)
	}
	return nil
}

func (l *Lake) eachIdentity(ctx context.Context, spec tableSpec, ledger *erasure.Ledger, f func(row erasure.Row, covered bool) error) error {
	t, err := l.current(ctx, spec)
	if err != nil {
		return err
	}
	e := &eraser{lake: l, spec: spec, ledger: ledger}
	if e.columns, err = newIdentities(spec, t.Schema()); err != nil {
		return err
	}
	files, err := liveFiles(ctx, t)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.eachIdentity(ctx, file.location, file.bytes, f); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lake) surveyDisk(ctx context.Context, spec tableSpec, ledger *erasure.Ledger, found *Survey) error {
	t, err := l.current(ctx, spec)
	if err != nil {
		return err
	}
	e := &eraser{lake: l, spec: spec, ledger: ledger}
	if e.columns, err = newIdentities(spec, t.Schema()); err != nil {
		return err
	}
	left, err := e.leftovers(ctx)
	if err != nil {
		return err
	}
	found.Files = len(left)
	found.Bounds, err = namedBounds(ctx, t, ledger)
	return err
}

// namedBounds counts the entries of manifests whose bounds of the user are a user of the ledger, on any site.
func namedBounds(ctx context.Context, t *table.Table, ledger *erasure.Ledger) (n int, err error) {
	user, ok := t.Schema().FindFieldByName("user_id")
	if !ok {
		return 0, fmt.Errorf("no column user_id")
	}
	in, err := t.FS(ctx)
	if err != nil {
		return 0, err
	}
	_, manifests, err := liveManifests(t.Metadata(), in)
	if err != nil {
		return 0, err
	}
	live := make(map[string]bool)
	files, err := liveFiles(ctx, t)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		live[f.location] = true
	}
	for _, m := range manifests {
		for entry, err := range m.Entries(in, false) {
			if err != nil {
				return n, fmt.Errorf("read manifest %s: %w", m.FilePath(), err)
			}
			f := entry.DataFile()
			if live[f.FilePath()] {
				continue // its bounds are those of rows that stay, under whatever names
			}
			if ledger.Mentions(f.LowerBoundValues()[user.ID]) || ledger.Mentions(f.UpperBoundValues()[user.ID]) {
				n++
			}
		}
	}
	return n, nil
}
