package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feed"
)

const (
	// feedsInterval is how often the schedule of feeds is looked at. A run that was asked for on this node begins at once.
	feedsInterval = 10 * time.Second
	// feedLeaseTTL is how long after the death of the node that reads a feed another may.
	feedLeaseTTL = time.Minute
	// minFeedEvery is the shortest interval between two readings of a feed.
	minFeedEvery = 5 * time.Minute
	// defaultRemovedShare is the share of a catalogue that a feed may remove, where it does not say: more is a feed that was cut.
	defaultRemovedShare = 0.3
	// feedEnding bounds how long the end of a reading is written down: a node that is told to stop does not wait longer.
	feedEnding = 2 * time.Second
	// jobFeed is the kind of the jobs of feeds.
	jobFeed = "feed"
)

// What becomes of items that a feed has no more.
const (
	missingKeep        = "keep"
	missingUnavailable = "unavailable"
	missingDelete      = "delete"
)

// FeedSettings say what a feed is and when it is read.
type FeedSettings struct {
	Place           string            `json:"place" minLength:"1" maxLength:"2048" doc:"An http or https URL, or a path below serving.feeds_dir. gzip is unpacked." example:"https://shop.example/feed.xml"`
	Format          string            `json:"format,omitempty" enum:"auto,xml,csv,tsv" doc:"Google Merchant XML (RSS 2.0 or Atom), or a table whose first line names the columns; auto looks at it." example:"auto"`
	EveryMinutes    int               `json:"every_minutes,omitempty" minimum:"5" maximum:"525600" doc:"Minutes from the begin of one reading to the next." example:"60"`
	At              string            `json:"at,omitempty" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$" doc:"Once a day at this time, instead of every_minutes." example:"04:30"`
	Zone            string            `json:"zone,omitempty" maxLength:"64" doc:"The time zone of at, by the IANA database; UTC where it is not given." example:"Europe/Vienna"`
	Mapping         map[string]string `json:"mapping,omitempty" doc:"Columns by other names: each with a field of an item, fields.NAME, or ignore."`
	Missing         string            `json:"missing,omitempty" enum:"keep,unavailable,delete" doc:"What becomes of the site's items that the feed does not have. Anything but keep is for a feed that has the whole catalogue." example:"unavailable"`
	MaxRemovedShare float64           `json:"max_removed_share,omitempty" minimum:"0" maximum:"1" doc:"A feed that would remove a larger share of the catalogue removes nothing; 0.3 where it is not given. A forced run does not ask." example:"0.3"`
}

// check reports the first setting that makes no sense.
func (f *FeedSettings) check(source feed.Source) error {
	if err := source.Check(f.Place); err != nil {
		return err
	}
	if (f.EveryMinutes > 0) == (f.At != "") {
		return errors.New("a feed has either every_minutes or at")
	}
	if f.EveryMinutes > 0 && time.Duration(f.EveryMinutes)*time.Minute < minFeedEvery {
		return fmt.Errorf("every_minutes is below %v", minFeedEvery)
	}
	if !slices.Contains([]string{"", missingKeep, missingUnavailable, missingDelete}, f.Missing) {
		return fmt.Errorf("missing is %q", f.Missing)
	}
	if _, err := time.LoadLocation(f.Zone); err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	if f.At != "" {
		if _, err := time.Parse("15:04", f.At); err != nil {
			return fmt.Errorf("at %q is not of the form HH:MM", f.At)
		}
	}
	return feed.Mapping(f.Mapping).Check()
}

// due reports whether a feed that was last begun at a time is to be read now.
func (f *FeedSettings) due(begun, now time.Time) bool {
	if f.EveryMinutes > 0 {
		return now.Sub(begun) >= time.Duration(f.EveryMinutes)*time.Minute
	}
	clock, clockErr := time.Parse("15:04", f.At)
	zone, zoneErr := time.LoadLocation(f.Zone)
	if clockErr != nil || zoneErr != nil {
		return false
	}
	local := now.In(zone)
	last := time.Date(local.Year(), local.Month(), local.Day(), clock.Hour(), clock.Minute(), 0, 0, zone)
	if last.After(now) {
		last = last.AddDate(0, 0, -1)
	}
	return begun.Before(last)
}

func (f *FeedSettings) removedShare() float64 {
	if f.MaxRemovedShare > 0 {
		return f.MaxRemovedShare
	}
	return defaultRemovedShare
}

// feeds reads the catalogue feeds of all sites when they are due. Of several nodes one reads a feed.
type feeds struct {
	log       *slog.Logger
	now       func() time.Time
	control   FeedControl
	catalogue *Catalogue
	source    feed.Source
	holder    string
	metrics   *feedMetrics
	asked     chan struct{} // a run was asked for on this node
}

// FeedControl is what feeds ask of the control store.
type FeedControl interface {
	Feeds(ctx context.Context, site string) ([]control.Feed, error)
	Feed(ctx context.Context, site, name string) (control.Feed, error)
	PutFeed(ctx context.Context, f control.Feed) error
	DeleteFeed(ctx context.Context, site, name string) error
	RequestFeed(ctx context.Context, site, name string, force bool) error
	BeginFeed(ctx context.Context, site, name, job string, at time.Time) error
	ReadFeed(ctx context.Context, site, name string, version json.RawMessage) error
	StartJob(ctx context.Context, kind, site, detail string) (control.Job, error)
	UpdateJob(ctx context.Context, id string, p control.JobProgress) error
	FinishJob(ctx context.Context, id string, o control.JobOutcome) error
	Jobs(ctx context.Context, f control.JobFilter) ([]control.Job, error)
	HoldLease(ctx context.Context, name, holder string, ttl time.Duration, work func(context.Context, control.Lease) error) error
}

// run looks at the schedule until ctx ends.
func (f *feeds) run(ctx context.Context) {
	ticker := time.NewTicker(feedsInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		f.round(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-f.asked:
		}
	}
}

// round reads all feeds that are due, one after the other: two at once would only share the same log.
func (f *feeds) round(ctx context.Context) {
	if !f.catalogue.complete() {
		return // what it lacks would be taken for new
	}
	all, err := f.control.Feeds(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			f.log.WarnContext(ctx, "the feeds are not readable from the control store; trying again", "error", err)
		}
		return
	}
	for _, one := range all {
		if !f.isDue(one) {
			continue
		}
		err := f.control.HoldLease(ctx, "feed/"+one.Site+"/"+one.Name, f.holder, feedLeaseTTL, func(ctx context.Context, _ control.Lease) error {
			return f.readOnce(ctx, one.Site, one.Name)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, control.ErrLeaseHeld) {
			f.log.WarnContext(ctx, "a feed was not read", "site", one.Site, "feed", one.Name, "error", err)
		}
	}
}

func (f *feeds) isDue(one control.Feed) bool {
	var settings FeedSettings
	if json.Unmarshal(one.Settings, &settings) != nil {
		return false // of a later version
	}
	return !one.RequestedAt.IsZero() || settings.due(one.StartedAt, f.now())
}

// readOnce reads a feed as a job, unless another node did so since the schedule was looked at. The lease is held.
func (f *feeds) readOnce(ctx context.Context, site, name string) error {
	one, err := f.control.Feed(ctx, site, name)
	if errors.Is(err, control.ErrUnknownFeed) {
		return nil
	}
	if err != nil || !f.isDue(one) {
		return err
	}
	job, err := f.control.StartJob(ctx, jobFeed, site, "feed "+name)
	if err != nil {
		return err
	}
	err = f.control.BeginFeed(ctx, site, name, job.ID, f.now())
	run := feedRun{feeds: f, feed: one, job: job.ID}
	if err == nil {
		timed, cancel := context.WithTimeout(ctx, feed.MaxTime)
		defer cancel()
		err = run.do(timed)
	}
	outcome := control.JobOutcome{State: control.JobDone, Detail: run.summary(), Result: run.report}
	switch {
	case ctx.Err() != nil:
		outcome.State, outcome.Detail = control.JobCancelled, "the node was stopped"
	case err != nil:
		outcome.State, outcome.Detail = control.JobFailed, "feed "+name+": "+err.Error()
	}
	f.metrics.ended(outcome.State, &run.report)
	// The job ends also where the node is told to stop, and another node, or the next start, reads the feed from its beginning.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), feedEnding)
	defer cancel()
	if ctx.Err() != nil {
		err = errors.Join(err, f.control.RequestFeed(ending, site, name, one.Forced))
	}
	return errors.Join(err, f.control.FinishJob(ending, job.ID, outcome))
}
