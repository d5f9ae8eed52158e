package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// connectTimeout bounds one attempt to reach the server, unless the URL says connect_timeout.
	connectTimeout = 10 * time.Second

	// idleTransactionLimit ends a transaction whose process has stopped in the middle, so that its locks do not outlive it.
	idleTransactionLimit = 10 * time.Second

	// idleConnectionLimit closes connections that nobody has used: before firewalls forget them.
	idleConnectionLimit = 5 * time.Minute

	// schemaLock is the advisory lock of Alone: the bytes of "millrace" as a number, which no other program takes.
	schemaLock = 0x6d696c6c72616365
)

// Codes of errors that say only that transactions met (PostgreSQL, appendix A): the loser begins again.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

// unavailableCodes are admin_shutdown, crash_shutdown, cannot_connect_now and too_many_connections.
var unavailableCodes = []string{"57P01", "57P02", "57P03", "53300"}

func openPostgres(place string) (*DB, error) {
	cfg, err := pgx.ParseConfig(place) // its errors show no password
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.RuntimeParams["application_name"] = "millrace"
	cfg.RuntimeParams["lock_timeout"] = millis(lockWait)
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = millis(idleTransactionLimit)
	pool := stdlib.OpenDB(*cfg)
	pool.SetConnMaxIdleTime(idleConnectionLimit)
	return &DB{pool, dialect{
		numbered:  true,
		isolation: sql.LevelSerializable,
		alone:     "SELECT pg_advisory_xact_lock(" + strconv.Itoa(schemaLock) + ")",
		now:       postgresNow,
		again:     postgresConflict,
	}}, nil
}

func postgresNow(ctx context.Context, pool *sql.DB) (now time.Time, err error) {
	err = pool.QueryRowContext(ctx, `SELECT clock_timestamp()`).Scan(&now)
	return now.UTC(), err
}

func postgresConflict(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && (failed.Code == serializationFailure || failed.Code == deadlockDetected)
}

// postgresUnavailable is true for a server that cannot be reached, goes down or comes up, and for a connection that turned
// out to be broken before anything was sent. A wrong password or database is not among them, and no other world's error.
func postgresUnavailable(err error) bool {
	var failed *pgconn.PgError
	if errors.As(err, &failed) {
		return slices.Contains(unavailableCodes, failed.Code)
	}
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
