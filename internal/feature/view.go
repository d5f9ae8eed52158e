package feature

import (
	"maps"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// ProfileView is a profile as the API and the change feed show it. Decayed counts are as of UpdatedAt.
type ProfileView struct {
	ProfileID    string                        `json:"profile_id"`
	UserID       string                        `json:"user_id,omitempty"`
	UpdatedAt    time.Time                     `json:"updated_at"` // newest occurred_at applied
	FirstSeenAt  time.Time                     `json:"first_seen_at"`
	Events       int64                         `json:"events"`
	Interactions []InteractionView             `json:"interactions"` // newest first
	Seen         []string                      `json:"seen"`         // newest first
	Bought       []string                      `json:"bought"`       // newest first
	Affinities   map[string]map[string]float64 `json:"affinities"`   // category -> half-life -> count
	EventTypes   map[string]map[string]float64 `json:"event_types"`  // type -> half-life -> count
	Session      SessionView                   `json:"session"`
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
	SessionID string    `json:"session_id,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	LastAt    time.Time `json:"last_at,omitzero"`
	Events    int64     `json:"events,omitempty"`
	ItemIDs   []string  `json:"item_ids,omitempty"` // oldest first
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
		Affinities:   countsAt(p.Categories, p.LastAt),
		EventTypes:   countsAt(p.EventTypes, p.LastAt),
	}
	for i := range p.Interactions {
		in := &p.Interactions[i]
		v.Interactions[i] = InteractionView{ItemID: in.ItemID, Type: in.Type, OccurredAt: instant(in.OccurredAt),
			Category: in.Category, Brand: in.Brand}
		if in.HasPrice {
			v.Interactions[i].Price = &in.Price
		}
	}
	if s := &p.Session; s.ID != "" {
		v.Session = SessionView{SessionID: s.ID, StartedAt: instant(s.StartedAt), LastAt: instant(s.LastAt),
			Events: s.Events, ItemIDs: itemIDs(s.Items)}
	}
	return v
}

// Trim drops the long texts of a view, where somebody needs it small: categories and brands of interactions, and
// affinities with names longer than an id. Which items, when and how often remains.
func (v *ProfileView) Trim() {
	for i := range v.Interactions {
		v.Interactions[i].Category, v.Interactions[i].Brand = "", ""
	}
	maps.DeleteFunc(v.Affinities, func(name string, _ map[string]float64) bool { return len(name) > event.MaxIDBytes })
}

// ItemView is an item aggregate in JSON. Counts and trend are as of UpdatedAt.
type ItemView struct {
	ItemID      string             `json:"item_id"`
	UpdatedAt   time.Time          `json:"updated_at"` // newest occurred_at applied
	FirstSeenAt time.Time          `json:"first_seen_at"`
	Events      int64              `json:"events"`
	Views       map[string]float64 `json:"views"` // half-life -> count
	Clicks      map[string]float64 `json:"clicks"`
	Carts       map[string]float64 `json:"carts"`
	Purchases   map[string]float64 `json:"purchases"`
	Impressions map[string]float64 `json:"impressions"`
	Trend       float64            `json:"trend"`
	Name        string             `json:"item_name,omitempty"`
	Category    string             `json:"item_category,omitempty"`
	Brand       string             `json:"item_brand,omitempty"`
	Price       *float64           `json:"price,omitempty"`
}

// View shows the aggregate of an item.
func (a *ItemAggregate) View(itemID string) ItemView {
	v := ItemView{
		ItemID:      itemID,
		UpdatedAt:   instant(a.LastAt),
		FirstSeenAt: instant(a.FirstAt),
		Events:      a.Events,
		Views:       valuesAt(&a.Views, a.LastAt),
		Clicks:      valuesAt(&a.Clicks, a.LastAt),
		Carts:       valuesAt(&a.Carts, a.LastAt),
		Purchases:   valuesAt(&a.Purchases, a.LastAt),
		Impressions: valuesAt(&a.Impressions, a.LastAt),
		Trend:       a.Trend(a.LastAt),
		Name:        a.Name.Value,
		Category:    a.Category.Value,
		Brand:       a.Brand.Value,
	}
	if a.Price.Known {
		v.Price = &a.Price.Value
	}
	return v
}

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func itemIDs(set []Seen) []string {
	ids := make([]string, len(set))
	for i := range set {
		ids[i] = set[i].ItemID
	}
	return ids
}

func countsAt(counts []Count, now int64) map[string]map[string]float64 {
	m := make(map[string]map[string]float64, len(counts))
	for i := range counts {
		m[counts[i].Name] = valuesAt(&counts[i].Decayed, now)
	}
	return m
}

func valuesAt(d *Decayed, now int64) map[string]float64 {
	m := make(map[string]float64, halfLives)
	for h := range halfLives {
		m[h.String()] = d.Value(h, now)
	}
	return m
}
