package lake

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
)

const clockLogical = event.ClockLogical

// identities are the columns that say whom a row names, and when it happened. Exposures have no clock.
type identities struct {
	site, user, browser, session, time, clock column
	hasClock                                  bool
}

func newIdentities(spec tableSpec, schema *iceberg.Schema) (i identities, err error) {
	one := func(path string) (c column) {
		c, resolveErr := resolveColumn(schema, path)
		err = errors.Join(err, resolveErr)
		return c
	}
	i = identities{site: one("site"), user: one("user_id"), browser: one("anonymous_id"), session: one("session_id"), time: one(spec.time)}
	if i.hasClock = spec.name == TableEvents; i.hasClock {
		i.clock = one("clock")
	}
	return i, err
}

// identityReader walks these columns of a row group and asks the ledger about each row.
type identityReader struct {
	ledger                                    *erasure.Ledger
	site, user, browser, session, time, clock *leafReader // nil where the file is older than the column
	rows                                      []erasure.Row

	// What the ledger said of the last row: the rows of a person often lie together.
	last    erasure.Row
	until   int64
	covered bool
	asked   bool
}

func (i identities) open(ledger *erasure.Ledger, file *parquet.File, group parquet.RowGroup) (r *identityReader, err error) {
	one := func(c column) *leafReader {
		l, ok, findErr := c.findLeaf(file)
		if err = errors.Join(err, findErr); err != nil || !ok {
			return nil
		}
		return newLeafReader(l, group)
	}
	r = &identityReader{ledger: ledger, site: one(i.site), user: one(i.user), browser: one(i.browser), session: one(i.session), time: one(i.time)}
	if i.hasClock {
		r.clock = one(i.clock)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *identityReader) close() error {
	var errs []error
	for _, c := range []*leafReader{r.site, r.user, r.browser, r.session, r.time, r.clock} {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(errs...)
}

// next reads whom the next n rows name. The answer is valid until the next call.
func (r *identityReader) next(n int) ([]erasure.Row, error) {
	if cap(r.rows) < n {
		r.rows = make([]erasure.Row, n)
	}
	rows := r.rows[:n]
	for _, c := range []struct {
		column *leafReader
		text   func(*erasure.Row) *string
	}{
		{r.site, func(row *erasure.Row) *string { return &row.Site }}, {r.user, func(row *erasure.Row) *string { return &row.User }},
		{r.browser, func(row *erasure.Row) *string { return &row.Browser }}, {r.session, func(row *erasure.Row) *string { return &row.Session }},
	} {
		last := ""
		err := c.column.texts(n, func(row int, text []byte) {
			if string(text) != last {
				last = string(text)
			}
			*c.text(&rows[row]) = last
		})
		if err != nil {
			return nil, err
		}
	}
	err := r.clock.texts(n, func(row int, text []byte) { rows[row].Timeless = string(text) == clockLogical })
	if err != nil {
		return nil, err
	}
	return rows, r.time.rows(n, func(row, value int) { rows[row].At = floorMillis(r.time.values.int64s[value]) })
}

// texts walks n rows of a text column; an absent value, or column, is an empty text.
func (r *leafReader) texts(n int, visit func(row int, text []byte)) error {
	if r == nil {
		for row := range n {
			visit(row, nil)
		}
		return nil
	}
	return r.rows(n, func(row, value int) {
		if value < 0 {
			visit(row, nil)
			return
		}
		visit(row, r.values.text(value))
	})
}

// covers asks the ledger about a row.
func (r *identityReader) covers(row erasure.Row) bool {
	who := row
	who.At, who.Timeless = 0, false
	if !r.asked || who != r.last {
		r.last, r.asked = who, true
		r.until, r.covered = r.ledger.Until(who)
	}
	return r.covered && (row.Timeless || row.At <= r.until)
}

// eachIdentity calls f with whom each row of a data file names, and whether the ledger covers it.
func (e *eraser) eachIdentity(ctx context.Context, at string, bytes int64, f func(row erasure.Row, covered bool) error) (err error) {
	file, err := e.lake.files.open(ctx, at, bytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	data, err := openParquet(file, bytes, e.lake.files.readAhead(bytes))
	if err != nil {
		return fmt.Errorf("open data file %s: %w", at, err)
	}
	for _, group := range data.RowGroups() {
		if err := e.columns.eachRow(e.ledger, data, group, f); err != nil {
			return fmt.Errorf("read data file %s: %w", at, err)
		}
	}
	return nil
}

func (i identities) eachRow(ledger *erasure.Ledger, file *parquet.File, group parquet.RowGroup, f func(row erasure.Row, covered bool) error) (err error) {
	r, err := i.open(ledger, file, group)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	for left := int(group.NumRows()); left > 0; left -= scanBatchRows {
		rows, err := r.next(min(left, scanBatchRows))
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := f(row, r.covers(row)); err != nil {
				return err
			}
		}
	}
	return nil
}
