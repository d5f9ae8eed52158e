// Package sqldb opens the two kinds of SQL database that Millrace keeps its agreements in: a SQLite file, which the
// processes of one machine share, and PostgreSQL, which those of several machines share. Both run the same SQL, written
// with ? for each argument; what differs between them is here and nowhere else.
package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// lockWait is how long a statement waits for another process's lock. Writes here take a few milliseconds, so five
	// seconds means that something is badly wrong.
	lockWait = 5 * time.Second

	// maxConnections bounds the open connections of one process to one database: the SQL here is a few short statements a
	// second, and more would only queue behind one write lock (SQLite) or take connections from other processes.
	maxConnections = 4
)

// dialect is what differs between the two.
type dialect struct {
	numbered bool // arguments are $1, $2, ... instead of ?
	// isolation makes transactions that overlap fail instead of deciding on what another is about to change.
	isolation sql.IsolationLevel
	// alone, if any, is the first statement of a transaction that may have no other of its kind beside it.
	alone string
	// now reads the clock that all processes of this database share.
	now func(context.Context, *sql.DB) (time.Time, error)
	// again says that a transaction failed only because of others beside it.
	again func(error) bool
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	pool *sql.DB
	dialect
}

// IsURL reports whether place names a PostgreSQL database, as opposed to a file.
func IsURL(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// Open opens the database that place names: the URL of a PostgreSQL database, or the path of a SQLite file, which is
// created when missing. It returns an error where the database does not answer.
func Open(ctx context.Context, place string) (*DB, error) {
	open := openSQLite
	if IsURL(place) {
		open = openPostgres
	}
	d, err := open(place)
	if err != nil {
		return nil, err
	}
	d.pool.SetMaxOpenConns(maxConnections)
	d.pool.SetMaxIdleConns(maxConnections)
	if err := d.retry(ctx, func() error { return d.pool.PingContext(ctx) }); err != nil {
		return nil, errors.Join(err, d.pool.Close())
	}
	return d, nil
}

// Unavailable reports whether an error says that the database does not answer at the moment: trying again later may help.
// A SQLite file always answers.
func Unavailable(err error) bool { return postgresUnavailable(err) }

// Close closes the connections.
func (d *DB) Close() error { return d.pool.Close() }

// ExecContext runs one statement, or several without arguments.
func (d *DB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.pool.ExecContext(ctx, d.bind(query), args...)
}

// QueryContext runs a query.
func (d *DB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.pool.QueryContext(ctx, d.bind(query), args...)
}

// QueryRowContext runs a query for one row.
func (d *DB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return d.pool.QueryRowContext(ctx, d.bind(query), args...)
}

// Now is the time on the clock that all processes of this database share, so that they agree on when something has run
// out, however far their own clocks are apart.
func (d *DB) Now(ctx context.Context) (time.Time, error) {
	now, err := d.now(ctx, d.pool)
	if err != nil {
		return time.Time{}, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

// Tx is a transaction.
type Tx struct {
	tx      *sql.Tx
	dialect dialect
}

// ExecContext runs one statement, or several without arguments.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.dialect.bind(query), args...)
}

// QueryContext runs a query. The transaction runs nothing else until its rows are closed.
func (t *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.dialect.bind(query), args...)
}

// QueryRowContext runs a query for one row.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.dialect.bind(query), args...)
}

// InTx runs work in a transaction that takes effect as if no other ran beside it. Work may run more than once, from a
// fresh transaction each time, where others came between; it must change nothing but the database and what it assigns.
func (d *DB) InTx(ctx context.Context, work func(*Tx) error) error {
	return d.retry(ctx, func() error { return d.transact(ctx, &sql.TxOptions{Isolation: d.isolation}, work) })
}

// Alone runs work in a transaction that has no other of Alone beside it: for changes of the schema, when several processes
// start together. It waits for its turn, up to lockWait.
func (d *DB) Alone(ctx context.Context, work func(*Tx) error) error {
	return d.retry(ctx, func() error {
		return d.transact(ctx, nil, func(tx *Tx) error {
			if d.alone != "" {
				if _, err := tx.ExecContext(ctx, d.alone); err != nil {
					return fmt.Errorf("wait for the schema: %w", err)
				}
			}
			return work(tx)
		})
	})
}

func (d *DB) transact(ctx context.Context, options *sql.TxOptions, work func(*Tx) error) error {
	tx, err := d.pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op after Commit
	if err := work(&Tx{tx, d.dialect}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// retryPause is the wait before a transaction that met another is tried again.
const retryPause = 10 * time.Millisecond

// retry repeats what failed only because of others, for lockWait in all.
func (d *DB) retry(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(lockWait)
	for {
		err := try()
		if err == nil || !d.again(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryPause):
		}
	}
}

// bind writes a query's arguments the way the database wants them. Queries are our own: none holds a ? in a text.
func (d dialect) bind(query string) string {
	if !d.numbered || !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}
