package feature

import (
	"maps"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// HalfLives is a decayed count at a time, for each half-life: to seven digits, because the others mean nothing and would be
// most of what the change feed writes.
type HalfLives struct {
	Fortnight float32 `json:"14d"`
	Day       float32 `json:"1d"`
	Hour      float32 `json:"1h"`
}

// halfLivesOf are the values that f has for each half-life.
func halfLivesOf(f func(h HalfLife) float64) HalfLives {
	return HalfLives{Fortnight: float32(f(Fortnight)), Day: float32(f(Day)), Hour: float32(f(Hour))}
}

// ProfileView is a profile as the API and the change feed show it. Decayed counts are as of UpdatedAt.
type ProfileView struct {
	ProfileID    string               `json:"profile_id"`
	UserID       string               `json:"user_id,omitempty"`
	UpdatedAt    time.Time            `json:"updated_at"` // newest occurred_at applied
	FirstSeenAt  time.Time            `json:"first_seen_at"`
	Events       int64                `json:"events"`
	Interactions []InteractionView    `json:"interactions"` // newest first
	Seen         []string             `json:"seen"`         // newest first
	Bought       []string             `json:"bought"`       // newest first
	SeenBefore   int                  `json:"seen_before"`  // items that fell out of seen
	BoughtBefore int                  `json:"bought_before"`
	Affinities   map[string]HalfLives `json:"affinities"`  // category -> count
	Brands       map[string]HalfLives `json:"brands"`      // brand -> count
	PriceBands   map[string]HalfLives `json:"price_bands"` // band -> count
	EventTypes   map[string]HalfLives `json:"event_types"` // type -> count
	Searches     []string             `json:"searches"`    // newest first
	Dwell        DwellView            `json:"dwell"`
	Session      SessionView          `json:"session"`
	Skipped      int64                `json:"skipped,omitempty"` // events that the features of a hot profile do not count
}

// DwellView is dwell in seconds, decayed.
type DwellView struct {
	Visible      HalfLives            `json:"visible"` // seconds
	Focused      HalfLives            `json:"focused"`
	VisibleItems map[string]HalfLives `json:"visible_items"` // item -> seconds
	FocusedItems map[string]HalfLives `json:"focused_items"`
}

// InteractionView is one interaction in JSON.
type InteractionView struct {
	ItemID     string    `json:"item_id"`
	Type       string    `json:"type"`
	OccurredAt time.Time `json:"occurred_at"`
	Category   string    `json:"category,omitempty"`
	Brand      string    `json:"brand,omitempty"`
	Price      *float64  `json:"price,omitempty"`
}

// SessionView is the running session in JSON; it is empty where there is none.
type SessionView struct {
	SessionID     string    `json:"session_id,omitempty"`
	StartedAt     time.Time `json:"started_at,omitzero"`
	LastAt        time.Time `json:"last_at,omitzero"`
	DurationMs    int64     `json:"duration_ms,omitempty"`
	EntryType     string    `json:"entry_type,omitempty"`
	Events        int64     `json:"events,omitempty"`
	ItemIDs       []string  `json:"item_ids,omitempty"` // oldest first
	DistinctItems int       `json:"distinct_items,omitempty"`
	Depth         int64     `json:"depth,omitempty"`
	Views         int64     `json:"views,omitempty"`
	Clicks        int64     `json:"clicks,omitempty"`
	Carts         int64     `json:"carts,omitempty"`
	Purchases     int64     `json:"purchases,omitempty"`
	Searches      int64     `json:"searches,omitempty"`
	VisibleMs     int64     `json:"visible_ms,omitempty"`
	FocusedMs     int64     `json:"focused_ms,omitempty"`
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
