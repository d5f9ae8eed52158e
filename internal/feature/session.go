package feature

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// Session is a visitor's running session. Items are its interactions by time, oldest first; the same item twice in a row
// stands once, because a click and the view that it leads to are one step.
type Session struct {
	ID        string // the given one, else "auto:" and the id of the event that began it; "" while there is none
	StartedAt int64
	LastAt    int64
	Events    int64
	Items     []Seen

	Entry     string // type of its first event by time
	Pages     int64  // page_view events: the depth
	Views     int64  // view_item
	Clicks    int64  // select_item
	Carts     int64  // add_to_cart
	Purchases int64  // purchase
	Searches  int64  // search
	VisibleMs int64  // dwell, see Dwell
	FocusedMs int64
}

// DistinctItems is how many different items are among Items.
func (s *Session) DistinctItems() int {
	distinct := 0
	for i := range s.Items {
		if !slices.ContainsFunc(s.Items[:i], func(o Seen) bool { return o.ItemID == s.Items[i].ItemID }) {
			distinct++
		}
	}
	return distinct
}

// count counts an event of the session.
func (s *Session) count(e *event.Event) {
	s.Events++
	switch e.Type {
	case event.PageView:
		s.Pages++
	case event.ViewItem:
		s.Views++
	case event.SelectItem:
		s.Clicks++
	case event.AddToCart:
		s.Carts++
	case event.Purchase:
		s.Purchases++
	case event.Search:
		s.Searches++
	case event.Engage:
		visible, focused := dwellOf(e)
		s.VisibleMs += visible
		s.FocusedMs += focused
	}
}

// autoSession marks the ids of sessions that nobody named.
const autoSession = "auto:"

// apply adds an event to the session, or begins the next one with it, and reports whether the event belongs to the running
// session now. A given session_id wins; without one the session rule decides. A late event of an earlier session changes
// nothing.
func (s *Session) apply(e *event.Event, at int64) bool {
	switch {
	case s.ID == "":
	case e.SessionID != "":
		if e.SessionID == s.ID {
			s.join(e, at)
			return true
		}
		if at < s.LastAt {
			return false
		}
	default:
		if event.DefaultSessionRule().Continues(time.UnixMilli(s.StartedAt), time.UnixMilli(s.LastAt), time.UnixMilli(at)) {
			s.join(e, at)
			return true
		}
		if at < s.LastAt {
			return false
		}
	}
	id := strings.Clone(e.SessionID)
	if id == "" {
		id = autoSession + e.EventID
	}
	*s = Session{ID: id, StartedAt: at, LastAt: at, Entry: e.Type}
	s.count(e)
	return true
}

func (s *Session) join(e *event.Event, at int64) {
	if at < s.StartedAt {
		s.StartedAt, s.Entry = at, e.Type
	}
	s.LastAt = max(s.LastAt, at)
	s.count(e)
}

// addItem inserts an item by its time, behind those of the same time, and drops the oldest beyond MaxSessionItems.
func (s *Session) addItem(item Seen) {
	at := len(s.Items)
	for at > 0 && s.Items[at-1].At > item.At {
		at--
	}
	if at > 0 && s.Items[at-1].ItemID == item.ItemID {
		s.Items[at-1].At = item.At
		return
	}
	if at < len(s.Items) && s.Items[at].ItemID == item.ItemID {
		return
	}
	s.Items = insert(s.Items, at, item)
	if len(s.Items) > MaxSessionItems {
		s.Items = slices.Delete(s.Items, 0, len(s.Items)-MaxSessionItems)
	}
}

// newerThan reports whether s was active after o; ties go by id, so that a merge does not depend on its order.
func (s *Session) newerThan(o *Session) bool {
	if s.ID == "" || o.ID == "" {
		return s.ID != ""
	}
	if s.LastAt != o.LastAt {
		return s.LastAt > o.LastAt
	}
	return s.ID > o.ID
}

func (s *Session) clone() Session {
	c := *s
	c.Items = slices.Clone(s.Items)
	return c
}
