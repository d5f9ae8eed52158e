package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
)

// PersonReport is what a look for one person has found. Of somebody who was erased that is what happened before: Found is empty
// then, and whoever came back under the same id does not count. Of anybody else it is everything.
type PersonReport struct {
	Erasures []string  `json:"erasures"` // of the person, whether done or under way
	Done     bool      `json:"done"`     // all of them
	Until    time.Time `json:"until"`
	Found    Holdings  `json:"found"`
	Total    int64     `json:"total"`
	// Mentions are rows of others that have the id as the text of some other column: a property, a search, a page. Nobody can say
	// whether that means the person.
	Mentions Holdings `json:"mentions"`
}

// VerifyErased looks for a person in everything that is held anywhere.
func (s *Stream) VerifyErased(ctx context.Context, who erasure.Who) (report PersonReport, err error) {
	if s.deps.Erasing == nil {
		return report, fmt.Errorf("verify erasure: %w", errNotErasing)
	}
	report = PersonReport{Erasures: []string{}, Done: true}
	ledger, err := s.personLedger(ctx, who, &report)
	if err == nil {
		report.Found, err = s.survey(ctx, ledger)
	}
	if err == nil {
		report.Total = report.Found.Total()
		report.Mentions, err = s.mentions(ctx, who, ledger, report.Until)
	}
	if err != nil {
		return report, fmt.Errorf("verify erasure: %w", err)
	}
	return report, nil
}

var errNotErasing = fmt.Errorf("this process has no part in erasures")

// personLedger is what is known of a person: of one who was erased the ledger's part, of another one what is found now.
func (s *Stream) personLedger(ctx context.Context, who erasure.Who, report *PersonReport) (*erasure.Ledger, error) {
	all, err := s.deps.Ledgers.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	report.Erasures = append(report.Erasures, all.CoveredBy(who.Kind(), who.Site, who.ID(), math.MinInt64)...)
	if len(report.Erasures) == 0 {
		p, err := s.seek(ctx, who)
		if err != nil {
			return nil, err
		}
		report.Done, report.Until = false, p.until
		return p.ledger(), nil
	}
	unfinished, err := s.deps.Ledgers.UnfinishedErasures(ctx)
	if err != nil {
		return nil, err
	}
	report.Done = !slices.ContainsFunc(unfinished, func(e control.Erasure) bool { return slices.Contains(report.Erasures, e.ID) })
	of := all.Of(func(id string) bool { return slices.Contains(report.Erasures, id) })
	for _, e := range of.Entries() {
		if e.Until.After(report.Until) {
			report.Until = e.Until
		}
	}
	return of, nil
}

// seek finds the identities of somebody who was not erased, for this moment and under a key of its own.
func (s *Stream) seek(ctx context.Context, who erasure.Who) (*sought, error) {
	now, key := s.now().UTC(), erasure.NewKey()
	first := erasure.Entry{Site: who.Site, Kind: who.Kind(), Hash: key.Hash(who.Kind(), who.Site, who.ID()), Until: now}
	p := newSought(&control.Erasure{Until: now, RequestedAt: now}, erasure.NewLedger(key, 1, []erasure.Entry{first}))
	if err := s.findBrowsers(ctx, p); err != nil {
		return nil, err
	}
	return p, s.findSessions(ctx, p)
}

// mentions counts the rows of the lake that do not belong to a person and have the id as a text of their own.
func (s *Stream) mentions(ctx context.Context, who erasure.Who, ledger *erasure.Ledger, until time.Time) (Holdings, error) {
	h := Holdings{"lake events": 0, "lake exposures": 0}
	quoted, err := json.Marshal(who.ID())
	if err != nil {
		return h, err
	}
	count := func(store string, row erasure.Row, value any) error {
		if row.Site != who.Site || ledger.Covers(row) || row.At > until.UnixMilli() {
			return nil
		}
		text, err := json.Marshal(value)
		if err == nil && bytes.Contains(text, quoted) {
			h[store]++
		}
		return err
	}
	err = s.deps.Erasing.Lake.ScanEvents(ctx, lake.ScanRequest{Site: who.Site}, func(r lake.EventRow) error {
		row, e := erasure.EventRow(r.Event), *r.Event
		e.UserID, e.AnonymousID, e.Items = "", "", nil // what these say is known, and items have ids of their own
		return count("lake events", row, &e)
	})
	if err != nil {
		return h, err
	}
	return h, s.deps.Erasing.Lake.ScanExposures(ctx, lake.ScanRequest{Site: who.Site}, func(r lake.ExposureRow) error {
		row, x := erasure.ExposureRow(r.Exposure), *r.Exposure
		x.UserID, x.AnonymousID, x.ProfileID, x.Items, x.Candidates = "", "", "", nil, nil
		x.Request = event.ExposureRequest{Filter: x.Request.Filter, Context: x.Request.Context, AfterEvent: x.Request.AfterEvent}
		return count("lake exposures", row, &x)
	})
}
