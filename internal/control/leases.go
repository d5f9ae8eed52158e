package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// renewalsPerLease is how often HoldLease renews within one time to live: two renewals may fail before it is lost.
const renewalsPerLease = 3

var (
	// ErrLeaseHeld is what a *LeaseHeldError is.
	ErrLeaseHeld = errors.New("lease is held")

	// ErrLeaseLost means that a lease ran out, and perhaps was given to another holder.
	ErrLeaseLost = errors.New("lease is lost")
)

// LeaseHeldError says who holds the lease and until when.
type LeaseHeldError struct {
	Name, Holder string
	Until        time.Time
}

func (e *LeaseHeldError) Error() string {
	return fmt.Sprintf("lease %s is held by %s until %s unless renewed", e.Name, e.Holder, e.Until.Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrLeaseHeld) true.
func (e *LeaseHeldError) Is(target error) bool { return target == ErrLeaseHeld }

// Lease is the right to do one named thing until ExpiresAt, on the clock of the database. Token grows by one with every holder that a name has had:
// a store that keeps the highest token it has seen can refuse the writes of a holder that was replaced (fencing).
type Lease struct {
	Name      string
	Holder    string
	Token     int64
	ExpiresAt time.Time
}

// AcquireLease takes the lease if nobody holds it, else it returns a *LeaseHeldError. Holder is a description for
// people, like "pid 4711": one that asks twice is refused the second time.
func (s *Store) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (Lease, error) {
	now, err := s.db.Now(ctx)
	if err != nil {
		return Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	l := Lease{Name: name, Holder: holder, ExpiresAt: now.Add(ttl).UTC().Truncate(time.Millisecond)}
	err = s.db.QueryRowContext(ctx,
		`INSERT INTO leases (name, holder, token, expires_at) VALUES (?, ?, 1, ?)
		 ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, expires_at = excluded.expires_at
		 WHERE leases.expires_at <= ? RETURNING token`,
		name, holder, millis(l.ExpiresAt), millis(now)).Scan(&l.Token)
	if err == nil {
		return l, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Lease{}, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	held := &LeaseHeldError{Name: name}
	var until int64
	err = s.db.QueryRowContext(ctx, `SELECT holder, expires_at FROM leases WHERE name = ?`, name).Scan(&held.Holder, &until)
	if err != nil {
		return Lease{}, fmt.Errorf("read lease %s: %w", name, err)
	}
	held.Until = fromMillis(until)
	return Lease{}, held
}

// LeaseHolder is who holds a lease now, "" when nobody does.
func (s *Store) LeaseHolder(ctx context.Context, name string) (holder string, err error) {
	now, err := s.db.Now(ctx)
	if err == nil {
		err = s.db.QueryRowContext(ctx, `SELECT holder FROM leases WHERE name = ? AND expires_at > ?`, name, millis(now)).Scan(&holder)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("read lease %s: %w", name, err)
	}
	return holder, nil
}

// RenewLease extends a lease that has not run out, else it returns ErrLeaseLost.
func (s *Store) RenewLease(ctx context.Context, l Lease, ttl time.Duration) (Lease, error) {
	now, err := s.db.Now(ctx)
	if err != nil {
		return l, fmt.Errorf("renew lease %s: %w", l.Name, err)
	}
	l.ExpiresAt = now.Add(ttl).UTC().Truncate(time.Millisecond)
	res, err := s.db.ExecContext(ctx,
		`UPDATE leases SET expires_at = ? WHERE name = ? AND token = ? AND expires_at > ?`,
		millis(l.ExpiresAt), l.Name, l.Token, millis(now))
	return l, changedOne(res, err, "renew lease "+l.Name, ErrLeaseLost)
}

// ReleaseLease gives a lease back. One that was lost meanwhile is left to its new holder, without an error.
func (s *Store) ReleaseLease(ctx context.Context, l Lease) error {
	_, err := s.db.ExecContext(ctx, `UPDATE leases SET expires_at = 0 WHERE name = ? AND token = ?`, l.Name, l.Token)
	if err != nil {
		return fmt.Errorf("release lease %s: %w", l.Name, err)
	}
	return nil
}

// HoldLease acquires the lease, runs work while renewing it, and releases it. When the lease is lost the context of
// work is cancelled and HoldLease returns ErrLeaseLost; when it is held by another, work never runs.
func (s *Store) HoldLease(ctx context.Context, name, holder string, ttl time.Duration, work func(context.Context, Lease) error) error {
	ends := time.Now().Add(ttl) // on this process's clock; the database counts from a moment later
	lease, err := s.AcquireLease(ctx, name, holder, ttl)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	renewCtx, stopRenewing := context.WithCancel(groupCtx)
	group.Go(func() error { return s.renewUntilDone(renewCtx, lease, ends, ttl) })
	group.Go(func() error {
		defer stopRenewing()
		return work(groupCtx, lease)
	})
	err = group.Wait()
	// The caller's context may be over; the lease goes back all the same, or the next holder would wait for nothing.
	return errors.Join(err, s.ReleaseLease(context.WithoutCancel(ctx), lease))
}

// renewUntilDone renews the lease until the context ends. A renewal that fails for another reason than loss is tried
// again at the next tick, as long as the lease lasts.
func (s *Store) renewUntilDone(ctx context.Context, lease Lease, ends time.Time, ttl time.Duration) error {
	ticker := time.NewTicker(ttl / renewalsPerLease)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		asked := time.Now()
		inTime, cancel := context.WithDeadline(ctx, ends)
		_, err := s.RenewLease(inTime, lease, ttl)
		cancel()
		switch {
		case err == nil:
			ends = asked.Add(ttl)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLeaseLost) || !time.Now().Before(ends):
			return err
		}
	}
}

// changedOne turns the result of a conditional UPDATE into none, the error of the statement, or otherwise.
func changedOne(res sql.Result, err error, verb string, otherwise error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if n == 0 {
		return fmt.Errorf("%s: %w", verb, otherwise)
	}
	return nil
}
