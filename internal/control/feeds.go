package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/sqldb"
)

// maxFeeds bounds the feeds of a site: each schedule looks at all of them.
const maxFeeds = 100

var (
	// ErrUnknownFeed means that a site has no feed of a name.
	ErrUnknownFeed = errors.New("the site has no such feed")
	// ErrTooManyFeeds means that the site has as many feeds as it may have.
	ErrTooManyFeeds = fmt.Errorf("the site has %d feeds, which is the limit", maxFeeds)
	// ErrLongFeed means that the settings of a feed are longer than what is kept of them.
	ErrLongFeed = fmt.Errorf("the settings of the feed have more than %d bytes", maxSettingsBytes)
)

// Feed is a catalogue feed of a site, and how far its schedule is. Settings and Version are JSON objects that serving reads. StartedAt is
// when it was last begun, zero for never, Job the job of that; RequestedAt is when a run was asked for that has not begun, else zero, and
// Forced whether that may remove whatever is missing.
type Feed struct {
	Site, Name  string
	Settings    json.RawMessage
	Version     json.RawMessage
	Job         string
	StartedAt   time.Time
	RequestedAt time.Time
	Forced      bool
	UpdatedAt   time.Time
}

// Feeds lists the feeds of a site by name, or of all with "".
func (s *Store) Feeds(ctx context.Context, site string) ([]Feed, error) {
	rows, err := s.db.QueryContext(ctx,
		`SELECT site, name, settings, version, job, started_at, requested_at, forced, updated_at FROM feeds
		 WHERE ? = '' OR site = ? ORDER BY site, name`, site, site)
	if err != nil {
		return nil, fmt.Errorf("read feeds: %w", err)
	}
	defer rows.Close()
	var feeds []Feed
	for rows.Next() {
		var f Feed
		var settings, version string
		var started, requested, forced, updated int64
		if err := rows.Scan(&f.Site, &f.Name, &settings, &version, &f.Job, &started, &requested, &forced, &updated); err != nil {
			return nil, fmt.Errorf("read feed: %w", err)
		}
		f.Settings, f.Version, f.Forced = json.RawMessage(settings), json.RawMessage(version), forced != 0
		f.StartedAt, f.RequestedAt, f.UpdatedAt = fromMillis(started), fromMillis(requested), fromMillis(updated)
		feeds = append(feeds, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read feeds: %w", err)
	}
	return feeds, nil
}

// Feed returns one feed, or ErrUnknownFeed.
func (s *Store) Feed(ctx context.Context, site, name string) (Feed, error) {
	feeds, err := s.Feeds(ctx, site)
	if err != nil {
		return Feed{}, err
	}
	for _, f := range feeds {
		if f.Name == name {
			return f, nil
		}
	}
	return Feed{}, fmt.Errorf("feed %s: %w", clip(name), ErrUnknownFeed)
}

// PutFeed stores the settings of a feed. What was read by other settings does not count as read.
func (s *Store) PutFeed(ctx context.Context, f Feed) error {
	err := event.CheckSite(f.Site)
	switch {
	case err != nil:
		return fmt.Errorf("put feed: %w", err)
	case !placementName.MatchString(f.Name):
		return fmt.Errorf("put feed: name %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(f.Name))
	case len(f.Settings) > maxSettingsBytes:
		return fmt.Errorf("put feed: %w", ErrLongFeed)
	}
	err = s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		var others int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM feeds WHERE site = ? AND name <> ?`, f.Site, f.Name).Scan(&others); err != nil {
			return err
		}
		if others >= maxFeeds {
			return ErrTooManyFeeds
		}
		_, err := tx.ExecContext(ctx,
			`INSERT INTO feeds (site, name, settings, version, job, started_at, requested_at, forced, updated_at) VALUES (?,?,?,'{}','',0,0,0,?)
			 ON CONFLICT (site, name) DO UPDATE SET settings = excluded.settings, version = excluded.version, updated_at = excluded.updated_at`,
			f.Site, f.Name, string(f.Settings), millis(time.Now()))
		if err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: f.Site, Action: "feed.put", Target: f.Name}) // its address may hold a password
	})
	if err != nil {
		return fmt.Errorf("put feed %s: %w", f.Name, err)
	}
	return nil
}

// DeleteFeed forgets a feed, or returns ErrUnknownFeed. The items that it brought stay.
func (s *Store) DeleteFeed(ctx context.Context, site, name string) error {
	err := s.db.InTx(ctx, func(tx *sqldb.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM feeds WHERE site = ? AND name = ?`, site, name)
		if err := changedOne(res, err, "delete", ErrUnknownFeed); err != nil {
			return err
		}
		return s.audit(ctx, tx, AuditEntry{Site: site, Action: "feed.delete", Target: name})
	})
	if err != nil {
		return fmt.Errorf("delete feed %s: %w", clip(name), err)
	}
	return nil
}

// RequestFeed asks for a run of a feed as soon as possible.
func (s *Store) RequestFeed(ctx context.Context, site, name string, force bool) error {
	res, err := s.db.ExecContext(ctx, `UPDATE feeds SET requested_at = ?, forced = ? WHERE site = ? AND name = ?`,
		millis(time.Now()), toInt(force), site, name)
	return changedOne(res, err, "request feed "+clip(name), ErrUnknownFeed)
}

// BeginFeed notes that a run of a feed begins as a job. What was asked for is begun with it.
func (s *Store) BeginFeed(ctx context.Context, site, name, job string, at time.Time) error {
	res, err := s.db.ExecContext(ctx, `UPDATE feeds SET started_at = ?, job = ?, requested_at = 0, forced = 0 WHERE site = ? AND name = ?`,
		millis(at), job, site, name)
	return changedOne(res, err, "begin feed "+clip(name), ErrUnknownFeed)
}

// ReadFeed notes which version of a feed was read to its end.
func (s *Store) ReadFeed(ctx context.Context, site, name string, version json.RawMessage) error {
	res, err := s.db.ExecContext(ctx, `UPDATE feeds SET version = ? WHERE site = ? AND name = ?`, string(version), site, name)
	return changedOne(res, err, "note what was read of feed "+clip(name), ErrUnknownFeed)
}
