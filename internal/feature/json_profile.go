package feature

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
)

// AppendView appends View(profileID) as JSON, after Trim if trimmed.
func (p *Profile) AppendView(b []byte, profileID string, trimmed bool) []byte {
	all := func(string) bool { return true }
	kept := all
	if trimmed {
		kept = isShort
	}
	b = jsontext.AppendString(append(b, `{"profile_id":`...), profileID)
	b = appendTextField(b, `,"user_id":`, p.UserID)
	b = appendTime(append(b, `,"updated_at":`...), p.LastAt)
	b = appendTime(append(b, `,"first_seen_at":`...), p.FirstAt)
	b = strconv.AppendInt(append(b, `,"events":`...), p.Events, 10)
	b = append(b, `,"interactions":[`...)
	for i := range p.Interactions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInteraction(b, &p.Interactions[i], trimmed)
	}
	b = appendIDs(append(b, `],"seen":`...), p.Seen)
	b = appendIDs(append(b, `,"bought":`...), p.Bought)
	b = strconv.AppendInt(append(b, `,"seen_before":`...), int64(len(p.SeenBefore)), 10)
	b = strconv.AppendInt(append(b, `,"bought_before":`...), int64(len(p.BoughtBefore)), 10)
	b = appendValuesByName(append(b, `,"affinities":`...), p.Categories, p.LastAt, kept)
	b = appendValuesByName(append(b, `,"brands":`...), p.Brands, p.LastAt, kept)
	b = appendValuesByName(append(b, `,"price_bands":`...), p.PriceBands, p.LastAt, all)
	b = appendValuesByName(append(b, `,"event_types":`...), p.EventTypes, p.LastAt, all)
	b = appendIDs(append(b, `,"searches":`...), p.Searches)
	b = appendValues(append(b, `,"dwell":{"visible":`...), &p.Dwell.Visible, p.LastAt)
	b = appendValues(append(b, `,"focused":`...), &p.Dwell.Focused, p.LastAt)
	b = appendValuesByName(append(b, `,"visible_items":`...), p.Dwell.VisibleItems, p.LastAt, all)
	b = appendValuesByName(append(b, `,"focused_items":`...), p.Dwell.FocusedItems, p.LastAt, all)
	b = p.Session.appendView(append(b, `},"session":`...))
	return append(appendCountField(b, `,"skipped":`, p.Skipped), '}')
}

func appendInteraction(b []byte, in *Interaction, trimmed bool) []byte {
	b = jsontext.AppendString(append(b, `{"item_id":`...), in.ItemID)
	b = jsontext.AppendString(append(b, `,"type":`...), in.Type)
	b = appendTime(append(b, `,"occurred_at":`...), in.OccurredAt)
	if !trimmed {
		b = appendTextField(b, `,"category":`, in.Category)
		b = appendTextField(b, `,"brand":`, in.Brand)
	}
	if in.HasPrice {
		b = jsontext.AppendFloat64(append(b, `,"price":`...), in.Price)
	}
	return append(b, '}')
}

func (s *Session) appendView(b []byte) []byte {
	if s.ID == "" {
		return append(b, "{}"...)
	}
	b = jsontext.AppendString(append(b, `{"session_id":`...), s.ID)
	b = appendTime(append(b, `,"started_at":`...), s.StartedAt)
	b = appendTime(append(b, `,"last_at":`...), s.LastAt)
	b = appendCountField(b, `,"duration_ms":`, s.LastAt-s.StartedAt)
	b = appendTextField(b, `,"entry_type":`, s.Entry)
	b = appendCountField(b, `,"events":`, s.Events)
	if len(s.Items) > 0 {
		b = appendIDs(append(b, `,"item_ids":`...), s.Items)
	}
	b = appendCountField(b, `,"distinct_items":`, int64(s.DistinctItems()))
	b = appendCountField(b, `,"depth":`, s.Pages)
	b = appendCountField(b, `,"views":`, s.Views)
	b = appendCountField(b, `,"clicks":`, s.Clicks)
	b = appendCountField(b, `,"carts":`, s.Carts)
	b = appendCountField(b, `,"purchases":`, s.Purchases)
	b = appendCountField(b, `,"searches":`, s.Searches)
	b = appendCountField(b, `,"visible_ms":`, s.VisibleMs)
	b = appendCountField(b, `,"focused_ms":`, s.FocusedMs)
	return append(b, '}')
}
