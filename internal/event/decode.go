package event

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Decode reads one client event. It checks JSON, types and limits; Admit checks what the event means. Fields that the
// collector sets and unknown fields are passed over. Descriptive text and props beyond their limits are cut, the number
// of lost props stands in PropsDropped.
func Decode(raw []byte) (*Event, *Problem) {
	if len(raw) > MaxEventBytes {
		return nil, &Problem{Code: CodeEventTooLarge, Detail: fmt.Sprintf("the event has %d bytes, the limit is %d", len(raw), MaxEventBytes)}
	}
	if !utf8.Valid(raw) {
		return nil, &Problem{Code: CodeInvalidUTF8, Detail: "the event is not valid UTF-8"}
	}
	d := decoder{scanner: scanner{s: string(raw)}, event: new(Event)}
	if d.space() != '{' {
		if p := d.skip(); p != nil {
			return nil, p
		}
		return nil, &Problem{Code: CodeNotAnObject, Detail: "an event is a JSON object"}
	}
	if p := d.object(func(name string) *Problem { return d.field(name).under(name) }); p != nil {
		return nil, d.rooted(p)
	}
	if p := d.end(); p != nil {
		return nil, p
	}
	if p := d.shortForm(); p != nil {
		return nil, p
	}
	return d.event, nil
}

// decoder fills one event from one JSON text.
type decoder struct {
	scanner
	event *Event
	short Item // the fields of an item at the top level
}

// rooted drops the pointer of a syntax error: what is no JSON has no paths, its detail names the byte.
func (d *decoder) rooted(p *Problem) *Problem {
	if p.Code == CodeInvalidJSON {
		p.Pointer = ""
	}
	return p
}

// shortForm turns a top-level item_id into the one item of an event that lists none.
func (d *decoder) shortForm() *Problem {
	if d.short.ItemID == "" || len(d.event.Items) > 0 {
		return nil
	}
	if err := CheckID(d.short.ItemID); err != nil {
		return &Problem{Code: CodeInvalidID, Detail: "item_id " + err.Error(), Pointer: "/item_id"}
	}
	d.event.Items = []Item{d.short}
	return nil
}

func (d *decoder) field(name string) *Problem {
	if d.null() {
		return nil
	}
	e := d.event
	switch name {
	case "event_id":
		return d.stringInto(&e.EventID)
	case "type":
		return d.stringInto(&e.Type)
	case "occurred_at":
		t, p := d.time()
		e.OccurredAt = t
		return p
	case "anonymous_id":
		return d.stringInto(&e.AnonymousID)
	case "user_id":
		return d.stringInto(&e.UserID)
	case "session_id":
		return d.stringInto(&e.SessionID)
	case "tab_id":
		return d.stringInto(&e.TabID)
	case "seq":
		n, ok, p := d.integer(maxExactInteger)
		if ok {
			e.Seq = &n
		}
		return p
	case "page_view_id":
		return d.stringInto(&e.PageViewID)
	case "search_term":
		return d.nameInto(&e.SearchTerm, MaxNameBytes)
	case "value":
		return d.floatInto(&e.Value)
	case "currency":
		return d.nameInto(&e.Currency, MaxIDBytes)
	case "rating":
		return d.floatInto(&e.Rating)
	case "transaction_id":
		return d.stringInto(&e.TransactionID)
	}
	return d.nested(name)
}

// nested reads the fields that hold more fields, and the short form of an item.
func (d *decoder) nested(name string) *Problem {
	switch name {
	case "items":
		return d.items()
	case "page":
		return d.page()
	case "rec":
		return d.rec()
	case "engagement":
		return d.engagement()
	case "consent":
		return d.consent()
	case "props":
		return d.props()
	}
	return d.itemField(&d.short, name)
}

func (d *decoder) items() *Problem {
	d.event.Items = nil
	if !d.at('[') {
		return d.wrongType("an array of items")
	}
	return d.array(func(i int) *Problem {
		if i == MaxItems {
			return &Problem{Code: CodeTooManyItems, Detail: fmt.Sprintf("an event holds at most %d items", MaxItems)}
		}
		var item Item
		p := d.fields("an item object", func(name string) *Problem { return d.itemField(&item, name) })
		if p != nil {
			return p.under(fmt.Sprint(i))
		}
		d.event.Items = append(d.event.Items, item)
		return nil
	})
}

// fields reads an object whose fields field consumes; null is an object without fields.
func (d *decoder) fields(want string, field func(name string) *Problem) *Problem {
	if d.null() {
		return nil
	}
	if !d.at('{') {
		return d.wrongType(want)
	}
	return d.object(func(name string) *Problem { return field(name).under(name) })
}

func (d *decoder) itemField(item *Item, name string) *Problem {
	switch name {
	case "item_id":
		return d.stringInto(&item.ItemID)
	case "index":
		return d.indexInto(&item.Index)
	case "quantity":
		return d.floatInto(&item.Quantity)
	case "price":
		return d.floatInto(&item.Price)
	case "item_name":
		return d.nameInto(&item.ItemName, MaxNameBytes)
	case "item_category":
		return d.nameInto(&item.ItemCategory, MaxNameBytes)
	case "item_category2":
		return d.nameInto(&item.ItemCategory2, MaxNameBytes)
	case "item_category3":
		return d.nameInto(&item.ItemCategory3, MaxNameBytes)
	case "item_brand":
		return d.nameInto(&item.ItemBrand, MaxNameBytes)
	case "item_variant":
		return d.nameInto(&item.ItemVariant, MaxNameBytes)
	}
	return d.skip()
}

func (d *decoder) page() *Problem {
	var page Page
	d.event.Page = &page
	return d.fields("an object", func(name string) *Problem {
		switch name {
		case "url":
			return d.nameInto(&page.URL, MaxURLBytes)
		case "referrer":
			return d.nameInto(&page.Referrer, MaxURLBytes)
		case "title":
			return d.nameInto(&page.Title, MaxNameBytes)
		}
		return d.skip()
	})
}

func (d *decoder) rec() *Problem {
	var rec Rec
	d.event.Rec = &rec
	return d.fields("an object", func(name string) *Problem {
		switch name {
		case "rec_id":
			return d.stringInto(&rec.RecID)
		case "placement":
			return d.stringInto(&rec.Placement)
		case "index":
			return d.indexInto(&rec.Index)
		case "token":
			return d.nameInto(&rec.Token, MaxNameBytes)
		}
		return d.skip()
	})
}

func (d *decoder) engagement() *Problem {
	var en Engagement
	d.event.Engagement = &en
	return d.fields("an object", func(name string) (p *Problem) {
		switch name {
		case "visible_ms":
			en.VisibleMs, _, p = d.integer(maxExactInteger)
			return p
		case "focused_ms":
			en.FocusedMs, _, p = d.integer(maxExactInteger)
			return p
		case "scroll_pct":
			en.ScrollPct, _, p = d.float()
			en.ScrollPct = math.Min(math.Max(en.ScrollPct, 0), 100)
			return p
		}
		return d.skip()
	})
}

func (d *decoder) consent() *Problem {
	var consent Consent
	d.event.Consent = &consent
	return d.fields("an object", func(name string) *Problem {
		switch name {
		case "personalization":
			return d.boolInto(&consent.Personalization)
		case "analytics":
			return d.boolInto(&consent.Analytics)
		}
		return d.skip()
	})
}

// props keeps the first MaxProps scalars; the rest, and what is no scalar, is counted as dropped.
func (d *decoder) props() *Problem {
	d.event.Props, d.event.PropsDropped = nil, 0
	return d.fields("an object", func(name string) *Problem {
		value, ok, p := d.scalar()
		if p != nil {
			return p
		}
		if value == nil && ok { // null: absent
			return nil
		}
		if _, seen := d.event.Props[name]; !ok || len(name) > MaxPropName || !seen && len(d.event.Props) == MaxProps {
			d.event.PropsDropped++
			return nil
		}
		if d.event.Props == nil {
			d.event.Props = make(map[string]any, 4)
		}
		d.event.Props[name] = value
		return nil
	})
}

// scalar reads a value of props; ok is false for an object or an array, which it passes over.
func (d *decoder) scalar() (value any, ok bool, p *Problem) {
	switch c := d.space(); {
	case c == '"':
		s, p := d.text()
		return cut(s, MaxNameBytes), true, p
	case c == '{', c == '[':
		return nil, false, d.skip()
	case c == 't', c == 'f':
		var b *bool
		p := d.boolInto(&b)
		return b != nil && *b, true, p
	case d.null():
		return nil, true, nil
	}
	f, _, p := d.float()
	return f, true, p
}
