package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// resolve finds the browsers and sessions of people of whom the ledger knows what the request named, and when they were seen last.
// It looks into the online store, the lake and what stands behind the lake's fence in the logs at this moment, which is behind the
// request: whatever was acknowledged before it is in one of them.
func (r *erasureRound) resolve(ctx context.Context) error {
	for i := range r.wanted {
		e := &r.wanted[i]
		p := newSought(e, r.ledger.Of(func(id string) bool { return id == e.ID }))
		if err := r.s.findBrowsers(ctx, p); err != nil {
			return err
		}
		if err := r.s.findSessions(ctx, p); err != nil {
			return err
		}
		// What is counted is everything up to the end that the erasure will have.
		before, err := r.s.survey(ctx, p.ledger())
		if err != nil {
			return err
		}
		if err := r.certifyBefore(ctx, e, p.until, before); err != nil {
			return err
		}
		if err := r.jobs.ResolveErasure(ctx, e.ID, e.Step, p.until, p.entries); err != nil {
			return err
		}
		e.Step, e.Generation = control.ErasureRebuilding, 0
	}
	return r.s.at(stepErasureResolved)
}

// certifyBefore keeps what was held at first: an erasure that begins again does not count what is left as what there was.
func (r *erasureRound) certifyBefore(ctx context.Context, e *control.Erasure, until time.Time, before Holdings) error {
	certificate, err := readCertificate(e.Certificate)
	if err != nil {
		return err
	}
	certificate.Until = until
	if certificate.Before.Total() == 0 {
		certificate.Before = before
	}
	if e.Certificate, err = json.Marshal(certificate); err != nil {
		return fmt.Errorf("encode certificate: %w", err)
	}
	return r.jobs.CertifyErasure(ctx, e.ID, certificate, false)
}

func readCertificate(text json.RawMessage) (c Certificate, err error) {
	if len(text) > 0 {
		if err = json.Unmarshal(text, &c); err != nil {
			err = fmt.Errorf("read certificate: %w", err)
		}
	}
	return c, err
}

// sought is somebody whose identities are being found.
type sought struct {
	erasure string
	known   *erasure.Ledger // what is known so far, up to limit
	entries []erasure.Entry
	has     map[erasure.Hash]bool
	until   time.Time // of the newest row found, at least the request
	limit   time.Time
}

// clockSkew is how far the clock of a collector may be ahead of the database's: rows from before the request may say so much
// later. What says that it happened later still is of somebody new, however late the erasure is resolved.
const clockSkew = time.Minute

func newSought(e *control.Erasure, requested *erasure.Ledger) *sought {
	p := &sought{erasure: e.ID, until: e.Until, limit: e.RequestedAt.Add(clockSkew), has: make(map[erasure.Hash]bool)}
	for _, entry := range requested.Entries() {
		entry.Until = p.limit
		p.entries = append(p.entries, entry)
		p.has[entry.Hash] = true
	}
	p.known = erasure.NewLedger(requested.Key(), requested.Sequence(), p.entries)
	return p
}

// add takes an identity.
func (p *sought) add(kind erasure.Kind, site, id string) {
	h := p.known.Hash(kind, site, id)
	if id == "" || p.has[h] {
		return
	}
	p.has[h] = true
	p.entries = append(p.entries, erasure.Entry{Site: site, Kind: kind, Hash: h, Until: p.limit, Erasure: p.erasure})
}

// learn makes what was added known.
func (p *sought) learn() {
	p.known = erasure.NewLedger(p.known.Key(), p.known.Sequence(), p.entries)
}

// ledger is the person up to the end of the erasure, and ends the finding.
func (p *sought) ledger() *erasure.Ledger {
	for i := range p.entries {
		p.entries[i].Until = p.until
	}
	return erasure.NewLedger(p.known.Key(), p.known.Sequence(), p.entries)
}

// sees takes a row of the person.
func (p *sought) sees(row erasure.Row) {
	if at := time.UnixMilli(row.At).UTC(); !row.Timeless && at.After(p.until) {
		p.until = at
	}
	p.add(erasure.KindSession, row.Site, row.Session)
}

// findBrowsers finds the browsers in which a user was seen. Of a browser that is erased itself there are none: who used it stays.
func (s *Stream) findBrowsers(ctx context.Context, p *sought) error {
	look := func(row erasure.Row) {
		browser := row.Browser
		if row.Browser = ""; row.User != "" && browser != "" && p.known.Covers(row) {
			p.add(erasure.KindLinked, row.Site, browser)
		}
	}
	err := s.deps.Online.Scan(ctx, onlinestore.LinkPrefixAll, func(row onlinestore.Row) error {
		held, _, err := whose(row, nil)
		look(held)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for browsers in the online store: %w", err)
	}
	err = s.eachKnownRow(ctx, p, lake.TableEvents, func(row erasure.Row, _ bool) error { look(row); return nil })
	p.learn()
	return err
}

// findSessions finds the sessions of the person, and the newest row.
func (s *Stream) findSessions(ctx context.Context, p *sought) error {
	for _, table := range []string{lake.TableEvents, lake.TableExposures} {
		err := s.eachKnownRow(ctx, p, table, func(row erasure.Row, covered bool) error {
			if covered {
				p.sees(row)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachKnownRow calls f with whom the rows of a table name, those that are still on their way to it included.
func (s *Stream) eachKnownRow(ctx context.Context, p *sought, table string, f func(row erasure.Row, covered bool) error) error {
	topic := event.TopicEvents
	if table == lake.TableExposures {
		topic = event.TopicExposures
	}
	fences, err := s.deps.Lake.Next(ctx, table)
	if err != nil {
		return err
	}
	if err := s.deps.Erasing.Lake.Identities(ctx, table, p.known, f); err != nil {
		return err
	}
	in, err := s.layoutOf(ctx, topic)
	if err != nil {
		return err
	}
	records := newRecordRows()
	return s.eachRecord(ctx, topic, func(partition int32, start int64) int64 {
		return max(start, fences[lake.FenceKey{Topic: topic, Epoch: in.epoch, Partition: partition}].Next)
	}, func(r *kafka.Record) error {
		row, ok := records.landed(r)
		if !ok {
			return nil
		}
		return f(row, p.known.Covers(row))
	})
}
