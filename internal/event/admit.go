package event

import (
	"fmt"
	"strconv"
	"time"
)

// AdmitInput is what the door knows about an event and the client does not say.
type AdmitInput struct {
	Site       string    // from the API key
	SentAt     time.Time // the client's clock when it sent the request; zero where it did not say
	ReceivedAt time.Time // our clock
	Import     bool      // history from files: no skew, no age limit
}

// Admit checks what an event means and makes it complete: site, times, id, clean URLs, consent. It serves every door, so that an
// imported event obeys the same rules as a live one.
//
// A given session_id is kept; an absent one stays absent, because only the reader of a visitor's events in order can
// apply the SessionRule.
func (e *Event) Admit(in AdmitInput) *Problem {
	if err := CheckSite(in.Site); err != nil {
		return &Problem{Code: CodeInvalidSite, Detail: "site " + err.Error()}
	}
	e.Site = in.Site
	if p := e.checkType(); p != nil {
		return p
	}
	if p := e.checkIDs(); p != nil {
		return p
	}
	if p := e.checkContent(); p != nil {
		return p
	}
	e.setTimes(in)
	if in.Import {
		e.Source = SourceImport
	}
	if e.EventID == "" {
		e.EventID = NewID(in.ReceivedAt)
	}
	if e.Page != nil {
		e.Page.URL, e.Page.Referrer = cleanURL(e.Page.URL), cleanURL(e.Page.Referrer)
	}
	if !e.Personalized() {
		e.forgetVisitor()
	}
	return nil
}

func (e *Event) checkType() *Problem {
	if e.Type == "" {
		return &Problem{Code: CodeMissingType, Detail: "an event needs a type, such as view_item", Pointer: "/type"}
	}
	if !CheckType(e.Type) {
		return &Problem{Code: CodeInvalidType, Detail: "type must match [a-z][a-z0-9_]{0,39}", Pointer: "/type"}
	}
	return nil
}

func (e *Event) checkIDs() *Problem {
	// Who refuses personalization needs no id: it would be thrown away.
	if e.AnonymousID == "" && e.UserID == "" && e.Personalized() {
		return &Problem{Code: CodeMissingVisitor, Detail: "an event needs an anonymous_id or a user_id"}
	}
	for _, id := range [...]struct{ name, value string }{
		{"event_id", e.EventID}, {"anonymous_id", e.AnonymousID}, {"user_id", e.UserID}, {"session_id", e.SessionID},
		{"tab_id", e.TabID}, {"page_view_id", e.PageViewID}, {"transaction_id", e.TransactionID},
	} {
		if id.value == "" {
			continue
		}
		if err := CheckID(id.value); err != nil {
			return &Problem{Code: CodeInvalidID, Detail: id.name + " " + err.Error(), Pointer: "/" + id.name}
		}
	}
	return nil
}

// needsItems are the types that say nothing without an item.
func needsItems(kind string) bool {
	switch kind {
	case ViewItemList, SelectItem, ViewItem, AddToCart, RemoveFromCart, AddToWishlist, RateItem:
		return true
	}
	return false
}

func (e *Event) checkContent() *Problem {
	if len(e.Items) == 0 && needsItems(e.Type) {
		return &Problem{Code: CodeMissingItems, Detail: e.Type + " needs an item_id or items", Pointer: "/items"}
	}
	if len(e.Items) > MaxItems {
		return &Problem{Code: CodeTooManyItems, Detail: fmt.Sprintf("an event holds at most %d items", MaxItems), Pointer: "/items"}
	}
	for i := range e.Items {
		if err := CheckID(e.Items[i].ItemID); err != nil {
			return &Problem{Code: CodeInvalidID, Detail: "item_id " + err.Error(), Pointer: "/items/" + strconv.Itoa(i) + "/item_id"}
		}
	}
	if e.Rec != nil {
		if p := e.Rec.check(); p != nil {
			return p
		}
	}
	if e.Type == RateItem && e.Rating == nil {
		return &Problem{Code: CodeMissingRating, Detail: "rate_item needs a rating", Pointer: "/rating"}
	}
	if e.Type == Identify && e.UserID == "" && e.Personalized() {
		return &Problem{Code: CodeMissingUser, Detail: "identify needs a user_id", Pointer: "/user_id"}
	}
	return nil
}

func (r *Rec) check() *Problem {
	for _, id := range [...]struct{ name, value string }{{"rec_id", r.RecID}, {"placement", r.Placement}} {
		if id.value == "" {
			continue
		}
		if err := CheckID(id.value); err != nil {
			return &Problem{Code: CodeInvalidID, Detail: id.name + " " + err.Error(), Pointer: "/rec/" + id.name}
		}
	}
	return nil
}

// setTimes corrects the client's clock: the distance between our clock and the client's at the moment of sending is added
// to occurred_at. Network time counts as skew, which is the price of a rule without state. What the client said is kept
// in ClientOccurredAt wherever the result differs.
func (e *Event) setTimes(in AdmitInput) {
	e.ReceivedAt = in.ReceivedAt.UTC().Truncate(time.Millisecond)
	if e.OccurredAt.IsZero() {
		e.OccurredAt = e.ReceivedAt
		return
	}
	said := e.OccurredAt.UTC().Truncate(time.Millisecond)
	at := said
	if !in.SentAt.IsZero() && !in.Import {
		at = at.Add(e.ReceivedAt.Sub(in.SentAt.Truncate(time.Millisecond)))
	}
	if at.After(e.ReceivedAt) {
		at = e.ReceivedAt
	}
	if oldest := e.ReceivedAt.Add(-MaxEventAge); !in.Import && at.Before(oldest) {
		at = oldest
	}
	e.OccurredAt = at
	if !at.Equal(said) {
		e.ClientOccurredAt = said
	}
}

// forgetVisitor removes every id that leads back to a visitor, also by way of the list that was served or the order. What
// is left feeds counters of items.
func (e *Event) forgetVisitor() {
	e.AnonymousID, e.UserID, e.SessionID, e.TabID, e.PageViewID, e.TransactionID = "", "", "", "", "", ""
	e.Seq = nil
	e.NetworkPrefix = ""
	if e.Rec != nil {
		e.Rec.RecID, e.Rec.Token = "", ""
	}
}
