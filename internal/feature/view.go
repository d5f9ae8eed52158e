package feature

import (
	"maps"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// HalfLives is a decayed count at a time, for each half-life: to seven digits, because the others mean nothing and would be
// most of what the change feed writes.
type HalfLives struct {
	Fortnight float32 `json:"14d" doc:"Fading by half in 14 days."`
	Day       float32 `json:"1d" doc:"Fading by half in a day."`
	Hour      float32 `json:"1h" doc:"Fading by half in an hour."`
}

// halfLivesOf are the values that f has for each half-life.
func halfLivesOf(f func(h HalfLife) float64) HalfLives {
	return HalfLives{Fortnight: float32(f(Fortnight)), Day: float32(f(Day)), Hour: float32(f(Hour))}
}

// ProfileView is a profile as the API and the change feed show it. Decayed counts are as of UpdatedAt.
type ProfileView struct {
	ProfileID    string               `json:"profile_id" doc:"The profile that the request was answered from."`
	UserID       string               `json:"user_id,omitempty" doc:"The user_id, once the visitor has one."`
	UpdatedAt    time.Time            `json:"updated_at" doc:"Newest occurred_at applied."`
	FirstSeenAt  time.Time            `json:"first_seen_at" doc:"Oldest occurred_at applied."`
	Events       int64                `json:"events" doc:"Events applied."`
	Interactions []InteractionView    `json:"interactions" doc:"What was done with items, newest first."`
	Seen         []string             `json:"seen" doc:"Items seen, newest first."`
	Bought       []string             `json:"bought" doc:"Items bought, newest first."`
	SeenBefore   int                  `json:"seen_before" doc:"Items that fell out of seen."`
	BoughtBefore int                  `json:"bought_before" doc:"Items that fell out of bought."`
	Affinities   map[string]HalfLives `json:"affinities" doc:"Counts by category."`
	Brands       map[string]HalfLives `json:"brands" doc:"Counts by brand."`
	PriceBands   map[string]HalfLives `json:"price_bands" doc:"Counts by price band."`
	EventTypes   map[string]HalfLives `json:"event_types" doc:"Counts by event type."`
	Searches     []string             `json:"searches" doc:"What was searched for, newest first."`
	Dwell        DwellView            `json:"dwell" doc:"Time spent."`
	Session      SessionView          `json:"session" doc:"The running session; empty where there is none."`
	Skipped      int64                `json:"skipped,omitempty" doc:"Events that the features of a hot profile do not count."`
}

// DwellView is dwell in seconds, decayed.
type DwellView struct {
	Visible      HalfLives            `json:"visible" doc:"Seconds visible."`
	Focused      HalfLives            `json:"focused" doc:"Seconds focused."`
	VisibleItems map[string]HalfLives `json:"visible_items" doc:"Seconds visible by item."`
	FocusedItems map[string]HalfLives `json:"focused_items" doc:"Seconds focused by item."`
}

// InteractionView is one interaction in JSON.
type InteractionView struct {
	ItemID     string    `json:"item_id" doc:"The item." example:"shoe-1"`
	Type       string    `json:"type" doc:"The event type." example:"view_item"`
	OccurredAt time.Time `json:"occurred_at" doc:"When."`
	Category   string    `json:"category,omitempty" doc:"By the event."`
	Brand      string    `json:"brand,omitempty" doc:"By the event."`
	Price      *float64  `json:"price,omitempty" doc:"By the event."`
}

// SessionView is the running session in JSON; it is empty where there is none.
type SessionView struct {
	SessionID     string    `json:"session_id,omitempty" doc:"The session."`
	StartedAt     time.Time `json:"started_at,omitzero" doc:"Its first event."`
	LastAt        time.Time `json:"last_at,omitzero" doc:"Its newest event."`
	DurationMs    int64     `json:"duration_ms,omitempty" doc:"Milliseconds from the first to the newest."`
	EntryType     string    `json:"entry_type,omitempty" doc:"Type of the first event."`
	Events        int64     `json:"events,omitempty" doc:"Events in it."`
	ItemIDs       []string  `json:"item_ids,omitempty" doc:"Items in it, oldest first."`
	DistinctItems int       `json:"distinct_items,omitempty" doc:"Different items in it."`
	Depth         int64     `json:"depth,omitempty" doc:"Pages in it."`
	Views         int64     `json:"views,omitempty" doc:"view_item in it."`
	Clicks        int64     `json:"clicks,omitempty" doc:"select_item in it."`
	Carts         int64     `json:"carts,omitempty" doc:"add_to_cart in it."`
	Purchases     int64     `json:"purchases,omitempty" doc:"purchase in it."`
	Searches      int64     `json:"searches,omitempty" doc:"search in it."`
	VisibleMs     int64     `json:"visible_ms,omitempty" doc:"Milliseconds visible."`
	FocusedMs     int64     `json:"focused_ms,omitempty" doc:"Milliseconds focused."`
}

// View shows the profile under the given id.
func (p *Profile) View(profileID string) ProfileView {
	v := ProfileView{
		ProfileID:    profileID,
		UserID:       p.UserID,
		UpdatedAt:    instant(p.LastAt),
		FirstSeenAt:  instant(p.FirstAt),
		Events:       p.Events,
		Interactions: make([]InteractionView, len(p.Interactions)),
		Seen:         itemIDs(p.Seen),
		Bought:       itemIDs(p.Bought),
		SeenBefore:   len(p.SeenBefore),
		BoughtBefore: len(p.BoughtBefore),
		Affinities:   countsAt(p.Categories, p.LastAt),
		Brands:       countsAt(p.Brands, p.LastAt),
		PriceBands:   countsAt(p.PriceBands, p.LastAt),
		EventTypes:   countsAt(p.EventTypes, p.LastAt),
		Searches:     itemIDs(p.Searches),
		Dwell: DwellView{Visible: valuesAt(&p.Dwell.Visible, p.LastAt), Focused: valuesAt(&p.Dwell.Focused, p.LastAt),
			VisibleItems: countsAt(p.Dwell.VisibleItems, p.LastAt), FocusedItems: countsAt(p.Dwell.FocusedItems, p.LastAt)},
		Session: p.Session.view(),
		Skipped: p.Skipped,
	}
	for i := range p.Interactions {
		in := &p.Interactions[i]
		v.Interactions[i] = InteractionView{ItemID: in.ItemID, Type: in.Type, OccurredAt: instant(in.OccurredAt),
			Category: in.Category, Brand: in.Brand}
		if in.HasPrice {
			v.Interactions[i].Price = &in.Price
		}
	}
	return v
}

func (s *Session) view() SessionView {
	if s.ID == "" {
		return SessionView{}
	}
	return SessionView{SessionID: s.ID, StartedAt: instant(s.StartedAt), LastAt: instant(s.LastAt), DurationMs: s.LastAt - s.StartedAt,
		EntryType: s.Entry, Events: s.Events, ItemIDs: itemIDs(s.Items), DistinctItems: s.DistinctItems(), Depth: s.Pages,
		Views: s.Views, Clicks: s.Clicks, Carts: s.Carts, Purchases: s.Purchases, Searches: s.Searches,
		VisibleMs: s.VisibleMs, FocusedMs: s.FocusedMs}
}

// Trim drops the long texts of a view, where somebody needs it small: categories and brands of interactions, and
// affinities to categories and brands with names longer than an id. Which items, when and how often remains.
func (v *ProfileView) Trim() {
	for i := range v.Interactions {
		v.Interactions[i].Category, v.Interactions[i].Brand = "", ""
	}
	long := func(name string, _ HalfLives) bool { return !isShort(name) }
	maps.DeleteFunc(v.Affinities, long)
	maps.DeleteFunc(v.Brands, long)
}

// isShort reports whether a name stays in a view that is trimmed.
func isShort(name string) bool { return len(name) <= event.MaxIDBytes }

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func itemIDs(set []Seen) []string {
	ids := make([]string, len(set))
	for i := range set {
		ids[i] = set[i].ItemID
	}
	return ids
}

func countsAt(counts []Count, now int64) map[string]HalfLives {
	m := make(map[string]HalfLives, len(counts))
	for i := range counts {
		m[counts[i].Name] = valuesAt(&counts[i].Decayed, now)
	}
	return m
}

// valuesAt is Value for each half-life, all from one exponential.
func valuesAt(d *Decayed, now int64) HalfLives {
	fade := fading(max(0, now-d.At))
	return halfLivesOf(func(h HalfLife) float64 { return d.Values[h] * fade[h] })
}
