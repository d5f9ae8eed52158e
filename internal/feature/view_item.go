package feature

import "time"

// ItemView is an item aggregate in JSON. Counts and trend are as of UpdatedAt.
type ItemView struct {
	ItemID      string          `json:"item_id"`
	UpdatedAt   time.Time       `json:"updated_at"` // newest occurred_at applied
	FirstSeenAt time.Time       `json:"first_seen_at"`
	Events      int64           `json:"events"`
	Views       HalfLives       `json:"views"`
	Clicks      HalfLives       `json:"clicks"`
	Carts       HalfLives       `json:"carts"`
	Purchases   HalfLives       `json:"purchases"`
	Impressions HalfLives       `json:"impressions"`
	Trend       float32         `json:"trend"`
	Visitors    float32         `json:"visitors"`   // distinct, to 3.3 %
	Placements  []PlacementView `json:"placements"` // by name
	Partners    []PartnerView   `json:"partners"`   // most often met in the same session first
	Name        string          `json:"item_name,omitempty"`
	Category    string          `json:"item_category,omitempty"`
	Brand       string          `json:"item_brand,omitempty"`
	Price       *float64        `json:"price,omitempty"`
}

// PlacementView is how an item did in a placement.
type PlacementView struct {
	Placement   string    `json:"placement"`
	Impressions HalfLives `json:"impressions"`
	Examined    HalfLives `json:"examined"`
	Clicks      HalfLives `json:"clicks"`
	CTR         HalfLives `json:"ctr"`
}

// PartnerView is an item that visitors met in the same session.
type PartnerView struct {
	ItemID string    `json:"item_id"`
	Counts HalfLives `json:"counts"`
}

func (a *ItemAggregate) placementViews() []PlacementView {
	views := make([]PlacementView, len(a.Placements))
	for i := range a.Placements {
		p := &a.Placements[i]
		views[i] = PlacementView{Placement: p.Name, Impressions: valuesAt(&p.Impressions, a.LastAt),
			Examined: valuesAt(&p.Examined, a.LastAt), Clicks: valuesAt(&p.Clicks, a.LastAt), CTR: p.ctrs(a.LastAt)}
	}
	return views
}

// ctrs is CTR at a time for each half-life.
func (p *Placement) ctrs(now int64) HalfLives {
	return halfLivesOf(func(h HalfLife) float64 { return p.CTR(h, now) })
}

func (a *ItemAggregate) partnerViews() []PartnerView {
	views := make([]PartnerView, len(a.Partners))
	for i, c := range a.Partners.strongest(nil, Fortnight, a.LastAt) {
		views[i] = PartnerView{ItemID: c.Name, Counts: valuesAt(&c.Decayed, a.LastAt)}
	}
	return views
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
		Trend:       float32(a.Trend(a.LastAt)),
		Visitors:    float32(a.Visitors.Estimate()),
		Placements:  a.placementViews(),
		Partners:    a.partnerViews(),
		Name:        a.Name.Value,
		Category:    a.Category.Value,
		Brand:       a.Brand.Value,
	}
	if a.Price.Known {
		v.Price = &a.Price.Value
	}
	return v
}
