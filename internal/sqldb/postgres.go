package sqldb

import (
	"context"
	"database/sql"
	"errors"
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

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
