package event

import (
	"encoding/json"
	"strings"
)

// wire reads one event as Marshal writes it: no white space, each field at most once, no null, known names alone, times in
// UTC. On anything else it gives up and sets unusual; what it has read by then means nothing.
type wire struct {
	reader  *Reader
	s       string
	pos     int
	unusual bool
}

func (w *wire) event(e *Event) {
	w.object(func(name string) int {
		switch name {
		case "event_id":
			e.EventID = w.text()
			return 0
		case "site":
			e.Site = w.word()
			return 1
		case "type":
			e.Type = w.word()
			return 2
		case "occurred_at":
			e.OccurredAt = w.time()
			return 3
		case "received_at":
			e.ReceivedAt = w.time()
			return 4
		case "client_occurred_at":
			e.ClientOccurredAt = w.time()
			return 5
		case "anonymous_id":
			e.AnonymousID = w.text()
			return 6
		case "user_id":
			e.UserID = w.text()
			return 7
		case "session_id":
			e.SessionID = w.text()
			return 8
		case "tab_id":
			e.TabID = w.text()
			return 9
		case "page_view_id":
			e.PageViewID = w.text()
			return 10
		case "seq":
			e.Seq = w.integer()
			return 11
		case "items":
			e.Items = w.items()
			return 12
		case "user_agent_family":
			e.UserAgentFamily = w.word()
			return 13
		case "device":
			e.Device = w.word()
			return 14
		case "is_bot":
			e.IsBot = w.flag()
			return 15
		case "network_prefix":
			e.NetworkPrefix = w.text()
			return 16
		case "clock":
			e.Clock = w.word()
			return 17
		case "source":
			e.Source = w.word()
			return 18
		}
		return w.detail(e, name)
	})
	if w.pos != len(w.s) {
		w.unusual = true
	}
}

// detail reads the fields that few events have.
func (w *wire) detail(e *Event, name string) int {
	switch name {
	case "search_term":
		e.SearchTerm = w.text()
		return 19
	case "value":
		e.Value = w.float()
		return 20
	case "currency":
		e.Currency = w.word()
		return 21
	case "rating":
		e.Rating = w.float()
		return 22
	case "transaction_id":
		e.TransactionID = w.text()
		return 23
	case "page":
		e.Page = w.reader.pages.one()
		w.page(e.Page)
		return 24
	case "rec":
		e.Rec = w.reader.recs.one()
		w.rec(e.Rec)
		return 25
	case "engagement":
		e.Engagement = w.reader.engagements.one()
		w.engagement(e.Engagement)
		return 26
	case "consent":
		e.Consent = w.reader.consents.one()
		w.consent(e.Consent)
		return 27
	case "props":
		e.Props = w.props()
		return 28
	}
	return unknownField
}

func (w *wire) items() []Item {
	if !w.take('[') {
		return nil
	}
	list := w.reader.list[:0]
	for !w.unusual {
		list = append(list, Item{})
		w.item(&list[len(list)-1])
		if w.at(']') {
			w.pos++
			break
		}
		w.take(',')
	}
	items := w.reader.items.some(len(list))
	copy(items, list)
	clear(list)
	w.reader.list = list
	return items
}

func (w *wire) item(i *Item) {
	w.object(func(name string) int {
		switch name {
		case "item_id":
			i.ItemID = w.word()
			return 0
		case "index":
			i.Index = w.index()
			return 1
		case "quantity":
			i.Quantity = w.float()
			return 2
		case "price":
			i.Price = w.float()
			return 3
		case "item_name":
			i.ItemName = w.word()
			return 4
		case "item_category":
			i.ItemCategory = w.word()
			return 5
		case "item_category2":
			i.ItemCategory2 = w.word()
			return 6
		case "item_category3":
			i.ItemCategory3 = w.word()
			return 7
		case "item_brand":
			i.ItemBrand = w.word()
			return 8
		case "item_variant":
			i.ItemVariant = w.word()
			return 9
		}
		return unknownField
	})
}

func (w *wire) page(p *Page) {
	w.object(func(name string) int {
		switch name {
		case "url":
			p.URL = w.text()
			return 0
		case "referrer":
			p.Referrer = w.text()
			return 1
		case "title":
			p.Title = w.text()
			return 2
		}
		return unknownField
	})
}

func (w *wire) rec(r *Rec) {
	w.object(func(name string) int {
		switch name {
		case "rec_id":
			r.RecID = w.text()
			return 0
		case "placement":
			r.Placement = w.word()
			return 1
		case "index":
			r.Index = w.index()
			return 2
		case "token":
			r.Token = w.text()
			return 3
		}
		return unknownField
	})
}

func (w *wire) engagement(g *Engagement) {
	w.object(func(name string) int {
		switch name {
		case "visible_ms":
			g.VisibleMs = w.whole(64)
			return 0
		case "focused_ms":
			g.FocusedMs = w.whole(64)
			return 1
		case "scroll_pct":
			g.ScrollPct = w.real()
			return 2
		}
		return unknownField
	})
}

func (w *wire) consent(c *Consent) {
	w.object(func(name string) int {
		yes := w.flag()
		switch name {
		case "personalization":
			c.Personalization = &yes
			return 0
		case "analytics":
			c.Analytics = &yes
			return 1
		}
		return unknownField
	})
}

// props are few and of any type: the general decoder reads them.
func (w *wire) props() (props map[string]any) {
	sc := scanner{s: w.s, pos: w.pos}
	if !w.at('{') || sc.skip() != nil || json.Unmarshal([]byte(w.s[w.pos:sc.pos]), &props) != nil {
		w.unusual = true
		return nil
	}
	w.pos = sc.pos
	return props
}

// unknownField is what is told of a field that Marshal does not write.
const unknownField = -1

// object reads an object by telling read the name of each field. It reads the value and returns the number of the field in
// the object, below 32. A second field of the same name would have to be merged with the first.
func (w *wire) object(read func(name string) int) {
	var seen uint32
	for name := w.begin(); name != ""; name = w.next() {
		field := read(name)
		if field == unknownField || seen&(1<<field) != 0 {
			w.unusual = true
			return
		}
		seen |= 1 << field
	}
}

func (w *wire) at(c byte) bool { return w.pos < len(w.s) && w.s[w.pos] == c }

// take consumes a byte that must be next.
func (w *wire) take(c byte) bool {
	if w.unusual || !w.at(c) {
		w.unusual = true
		return false
	}
	w.pos++
	return true
}

// begin enters an object and returns the name of its first field, "" where there is none.
func (w *wire) begin() string {
	if !w.take('{') {
		return ""
	}
	if w.at('}') {
		w.pos++
		return ""
	}
	return w.name()
}

// next returns the name of the next field, "" at the end of the object.
func (w *wire) next() string {
	if !w.unusual && w.at('}') {
		w.pos++
		return ""
	}
	if !w.take(',') {
		return ""
	}
	return w.name()
}

// name reads the name of a field and its colon.
func (w *wire) name() string {
	if !w.take('"') {
		return ""
	}
	end := strings.IndexByte(w.s[w.pos:], '"')
	if end <= 0 {
		w.unusual = true
		return ""
	}
	name := w.s[w.pos : w.pos+end]
	w.pos += end + 1
	if !w.take(':') {
		return ""
	}
	return name // one with escapes is no known one
}
