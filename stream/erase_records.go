package stream

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
)

// recordRows tells whom records name.
type recordRows struct{ reader *event.Reader }

func newRecordRows() *recordRows { return &recordRows{reader: event.NewReader()} }

// landed is whom a record of a topic that lands names; ok is false for one that cannot be used.
func (d *recordRows) landed(r *kafka.Record) (row erasure.Row, ok bool) {
	switch r.Topic {
	case event.TopicEvents:
		if e, bad := decodeEvent(d.reader, r); bad == nil {
			return erasure.EventRow(e), true
		}
	case event.TopicExposures:
		if x, bad := decodeExposure(r); bad == nil {
			return erasure.ExposureRow(x), true
		}
	}
	return row, false
}

// covered reports whether a record of any topic belongs to somebody in a ledger. One that cannot be decoded does if any of its
// words is an id: in its key, its value or a header.
func (d *recordRows) covered(r *kafka.Record, ledger *erasure.Ledger) bool {
	if len(r.Value) == 0 {
		return false // a filler, or a tombstone, which says that nothing is there
	}
	switch r.Topic {
	case event.TopicEvents, event.TopicExposures:
		if row, ok := d.landed(r); ok {
			return ledger.Covers(row)
		}
	case event.TopicSessions:
		if c, err := event.UnmarshalClosedSession(r.Value); err == nil {
			return sessionCovered(c, ledger)
		}
	case event.TopicFeatures:
		if row, ok := changeRow(r.Value); ok {
			return ledger.Covers(row)
		}
	}
	if ledger.Mentions(r.Key) || ledger.Mentions(r.Value) {
		return true
	}
	for _, h := range r.Headers {
		if ledger.Mentions(h.Value) {
			return true
		}
	}
	return false
}

// changeRow is whom a record of the change feed names. Items name nobody.
func changeRow(value []byte) (row erasure.Row, ok bool) {
	var c struct {
		Item    *struct{} `json:"item"`
		Profile *struct {
			ProfileID string    `json:"profile_id"`
			UserID    string    `json:"user_id"`
			FirstSeen time.Time `json:"first_seen_at"`
		} `json:"profile"`
	}
	if err := json.Unmarshal(value, &c); err != nil || c.Item == nil && c.Profile == nil {
		return row, false
	}
	if c.Profile == nil {
		return row, true
	}
	of, ok := parseProfileID(c.Profile.ProfileID)
	return partialRow(of, c.Profile.UserID, c.Profile.FirstSeen.UnixMilli()), ok
}

// sessionCovered reports whether a closed session is that of somebody in a ledger. Its record does not say which user its browser
// had then: a session of a linked browser counts where the person's rows name it, or where nobody gave it a name.
func sessionCovered(c *event.ClosedSession, ledger *erasure.Ledger) bool {
	of, ok := parseProfileID(c.ProfileID)
	if !ok || !ledger.Covers(partialRow(of, "", c.LastAt.UnixMilli())) {
		return !ok && ledger.Mentions([]byte(c.ProfileID))
	}
	_, named := ledger.Until(erasure.Row{Site: c.Site, Session: c.SessionID})
	_, own := ledger.Until(erasure.Row{Site: c.Site, User: "\x00", Browser: of.ID}) // erased itself, whoever used it
	return of.Kind == onlinestore.KindUser || named || own || strings.HasPrefix(c.SessionID, "auto:")
}

// parseProfileID reads what profileID wrote. Ids may hold colons, sites do not.
func parseProfileID(id string) (p onlinestore.Partial, ok bool) {
	site, rest, ok1 := strings.Cut(id, ":")
	kind, rest, ok2 := strings.Cut(rest, ":")
	at := strings.LastIndexByte(rest, ':')
	if !ok1 || !ok2 || at < 0 || kind != onlinestore.KindBrowser && kind != onlinestore.KindUser {
		return p, false
	}
	n, err := strconv.ParseInt(rest[at+1:], 10, 64)
	return onlinestore.Partial{Site: site, Kind: kind, ID: rest[:at], N: n}, err == nil
}

// partialRow is whom a profile names that began at a time.
func partialRow(p onlinestore.Partial, user string, firstAt int64) erasure.Row {
	if p.Kind == onlinestore.KindUser {
		return erasure.Row{Site: p.Site, User: p.ID, At: firstAt}
	}
	return erasure.Row{Site: p.Site, User: user, Browser: p.ID, At: firstAt}
}
