package feature

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
)

// AppendView appends View(itemID) as JSON.
func (a *ItemAggregate) AppendView(b []byte, itemID string) []byte {
	b = jsontext.AppendString(append(b, `{"item_id":`...), itemID)
	b = appendTime(append(b, `,"updated_at":`...), a.LastAt)
	b = appendTime(append(b, `,"first_seen_at":`...), a.FirstAt)
	b = strconv.AppendInt(append(b, `,"events":`...), a.Events, 10)
	b = appendValues(append(b, `,"views":`...), &a.Views, a.LastAt)
	b = appendValues(append(b, `,"clicks":`...), &a.Clicks, a.LastAt)
	b = appendValues(append(b, `,"carts":`...), &a.Carts, a.LastAt)
	b = appendValues(append(b, `,"purchases":`...), &a.Purchases, a.LastAt)
	b = appendValues(append(b, `,"impressions":`...), &a.Impressions, a.LastAt)
	b = jsontext.AppendFloat32(append(b, `,"trend":`...), float32(a.Trend(a.LastAt)))
	b = jsontext.AppendFloat32(append(b, `,"visitors":`...), float32(a.Visitors.Estimate()))
	b = append(b, `,"placements":[`...)
	for i := range a.Placements {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.Placements[i].appendView(b, a.LastAt)
	}
	b = append(b, `],"partners":[`...)
	var room [MaxPartners]ranked
	for i, c := range a.Partners.strongest(room[:0], Fortnight, a.LastAt) {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.AppendString(append(b, `{"item_id":`...), c.Name)
		b = appendValues(append(b, `,"counts":`...), &c.Decayed, a.LastAt)
		b = append(b, '}')
	}
	b = append(b, ']')
	b = appendTextField(b, `,"item_name":`, a.Name.Value)
	b = appendTextField(b, `,"item_category":`, a.Category.Value)
	b = appendTextField(b, `,"item_brand":`, a.Brand.Value)
	if a.Price.Known {
		b = jsontext.AppendFloat64(append(b, `,"price":`...), a.Price.Value)
	}
	return append(b, '}')
}

func (p *Placement) appendView(b []byte, now int64) []byte {
	b = jsontext.AppendString(append(b, `{"placement":`...), p.Name)
	b = appendValues(append(b, `,"impressions":`...), &p.Impressions, now)
	b = appendValues(append(b, `,"examined":`...), &p.Examined, now)
	b = appendValues(append(b, `,"clicks":`...), &p.Clicks, now)
	b = appendHalfLives(append(b, `,"ctr":`...), p.ctrs(now))
	return append(b, '}')
}
