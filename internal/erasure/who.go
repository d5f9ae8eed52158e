package erasure

import (
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/event"
)

// AnonymousPrefix marks the id of a browser where an id may also be a user's.
const AnonymousPrefix = "anonymous:"

// Who is a person as a request names one: a user of the shop, or a browser.
type Who struct {
	Site          string
	User, Browser string // one of them
}

// ParseWho reads the id of a request: a user_id, or anonymous:ID for a browser.
func ParseWho(site, id string) (Who, error) {
	w := Who{Site: site, User: id}
	if browser, ok := strings.CutPrefix(id, AnonymousPrefix); ok {
		w = Who{Site: site, Browser: browser}
		if browser == "" {
			return w, errors.New("name a browser as anonymous:ID")
		}
	}
	return w, errors.Join(event.CheckSite(site), event.CheckID(w.User+w.Browser))
}

// Kind is the kind of entry that the request itself makes.
func (w Who) Kind() Kind {
	if w.Browser != "" {
		return KindBrowser
	}
	return KindUser
}

// ID is the user or the browser.
func (w Who) ID() string { return w.User + w.Browser }

// EventRow is what the ledger is asked about an event.
func EventRow(e *event.Event) Row {
	return Row{Site: e.Site, User: e.UserID, Browser: e.AnonymousID, Session: e.SessionID, At: e.OccurredAt.UnixMilli(), Timeless: e.Clock == event.ClockLogical}
}

// ExposureRow is what the ledger is asked about a served list.
func ExposureRow(x *event.Exposure) Row {
	return Row{Site: x.Site, User: x.UserID, Browser: x.AnonymousID, Session: x.SessionID, At: x.ServedAt.UnixMilli()}
}
