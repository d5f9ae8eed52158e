package event

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
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
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		switch name {
		case "event_id":
			seen.once(w, 0)
			e.EventID = w.text()
		case "site":
			seen.once(w, 1)
			e.Site = w.word()
		case "type":
			seen.once(w, 2)
			e.Type = w.word()
		case "occurred_at":
			seen.once(w, 3)
			e.OccurredAt = w.time()
		case "received_at":
			seen.once(w, 4)
			e.ReceivedAt = w.time()
		case "client_occurred_at":
			seen.once(w, 5)
			e.ClientOccurredAt = w.time()
		case "anonymous_id":
			seen.once(w, 6)
			e.AnonymousID = w.text()
		case "user_id":
			seen.once(w, 7)
			e.UserID = w.text()
		case "session_id":
			seen.once(w, 8)
			e.SessionID = w.text()
		case "tab_id":
			seen.once(w, 9)
			e.TabID = w.text()
		case "page_view_id":
			seen.once(w, 10)
			e.PageViewID = w.text()
		case "seq":
			seen.once(w, 11)
			e.Seq = w.integer()
		case "items":
			seen.once(w, 12)
			e.Items = w.items()
		case "user_agent_family":
			seen.once(w, 13)
			e.UserAgentFamily = w.word()
		case "device":
			seen.once(w, 14)
			e.Device = w.word()
		case "is_bot":
			seen.once(w, 15)
			e.IsBot = w.flag()
		case "network_prefix":
			seen.once(w, 16)
			e.NetworkPrefix = w.text()
		case "clock":
			seen.once(w, 17)
			e.Clock = w.word()
		case "source":
			seen.once(w, 18)
			e.Source = w.word()
		default:
			w.detail(e, name, &seen)
		}
	}
	if w.pos != len(w.s) {
		w.unusual = true
	}
}

// detail reads the fields that few events have.
func (w *wire) detail(e *Event, name string, seen *fields) {
	switch name {
	case "search_term":
		seen.once(w, 19)
		e.SearchTerm = w.text()
	case "value":
		seen.once(w, 20)
		e.Value = w.float()
	case "currency":
		seen.once(w, 21)
		e.Currency = w.word()
	case "rating":
		seen.once(w, 22)
		e.Rating = w.float()
	case "transaction_id":
		seen.once(w, 23)
		e.TransactionID = w.text()
	case "page":
		seen.once(w, 24)
		e.Page = w.reader.pages.one()
		w.page(e.Page)
	case "rec":
		seen.once(w, 25)
		e.Rec = w.reader.recs.one()
		w.rec(e.Rec)
	case "engagement":
		seen.once(w, 26)
		e.Engagement = w.reader.engagements.one()
		w.engagement(e.Engagement)
	case "consent":
		seen.once(w, 27)
		e.Consent = w.reader.consents.one()
		w.consent(e.Consent)
	case "props":
		seen.once(w, 28)
		e.Props = w.props()
	default:
		w.unusual = true
	}
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
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		switch name {
		case "item_id":
			seen.once(w, 0)
			i.ItemID = w.word()
		case "index":
			seen.once(w, 1)
			i.Index = w.index()
		case "quantity":
			seen.once(w, 2)
			i.Quantity = w.float()
		case "price":
			seen.once(w, 3)
			i.Price = w.float()
		case "item_name":
			seen.once(w, 4)
			i.ItemName = w.word()
		case "item_category":
			seen.once(w, 5)
			i.ItemCategory = w.word()
		case "item_category2":
			seen.once(w, 6)
			i.ItemCategory2 = w.word()
		case "item_category3":
			seen.once(w, 7)
			i.ItemCategory3 = w.word()
		case "item_brand":
			seen.once(w, 8)
			i.ItemBrand = w.word()
		case "item_variant":
			seen.once(w, 9)
			i.ItemVariant = w.word()
		default:
			w.unusual = true
		}
	}
}

func (w *wire) page(p *Page) {
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		switch name {
		case "url":
			seen.once(w, 0)
			p.URL = w.text()
		case "referrer":
			seen.once(w, 1)
			p.Referrer = w.text()
		case "title":
			seen.once(w, 2)
			p.Title = w.text()
		default:
			w.unusual = true
		}
	}
}

func (w *wire) rec(r *Rec) {
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		switch name {
		case "rec_id":
			seen.once(w, 0)
			r.RecID = w.text()
		case "placement":
			seen.once(w, 1)
			r.Placement = w.word()
		case "index":
			seen.once(w, 2)
			r.Index = w.index()
		case "token":
			seen.once(w, 3)
			r.Token = w.text()
		default:
			w.unusual = true
		}
	}
}

func (w *wire) engagement(g *Engagement) {
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		switch name {
		case "visible_ms":
			seen.once(w, 0)
			g.VisibleMs = w.whole(64)
		case "focused_ms":
			seen.once(w, 1)
			g.FocusedMs = w.whole(64)
		case "scroll_pct":
			seen.once(w, 2)
			g.ScrollPct = w.real()
		default:
			w.unusual = true
		}
	}
}

func (w *wire) consent(c *Consent) {
	var seen fields
	for name := w.begin(); name != ""; name = w.next() {
		yes := w.flag()
		switch name {
		case "personalization":
			seen.once(w, 0)
			c.Personalization = &yes
		case "analytics":
			seen.once(w, 1)
			c.Analytics = &yes
		default:
			w.unusual = true
		}
	}
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

// fields are the fields that an object had so far, a bit each.
type fields uint32

// once notes a field. A second one of the same name would have to be merged with the first.
func (f *fields) once(w *wire, bit int) {
	if *f&(1<<bit) != 0 {
		w.unusual = true
	}
	*f |= 1 << bit
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

func (w *wire) word() string { return w.reader.word(w.text()) }

// text reads a string.
func (w *wire) text() string {
	if !w.take('"') {
		return ""
	}
	start, ascii := w.pos, true
	for i := start; i < len(w.s); i++ {
		switch c := w.s[i]; {
		case c == '"':
			w.pos = i + 1
			if s := w.s[start:i]; ascii || utf8.ValidString(s) {
				return s
			}
			w.unusual = true
			return ""
		case c == '\\':
			return w.escaped(start, i)
		case c < ' ':
			w.unusual = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	w.unusual = true
	return ""
}

// escaped reads a string from start on whose first escape stands at i.
func (w *wire) escaped(start, i int) string {
	b := make([]byte, 0, 2*(i-start)+64)
	b = append(b, w.s[start:i]...)
	for ; i < len(w.s); i++ {
		c := w.s[i]
		switch {
		case c == '"':
			w.pos = i + 1
			if !utf8.Valid(b) {
				w.unusual = true
			}
			return string(b)
		case c < ' ':
			w.unusual = true
			return ""
		case c != '\\':
			b = append(b, c)
			continue
		}
		n := escapeLength(w.s[i:])
		if n == 0 {
			w.unusual = true
			return ""
		}
		if n == 2 {
			b = append(b, unescape(w.s[i+1]))
			i++
			continue
		}
		r := hexRune(w.s[i+2 : i+6])
		i += 5
		if utf16.IsSurrogate(r) { // a pair, or lost
			w.unusual = true
			return ""
		}
		b = utf8.AppendRune(b, r)
	}
	w.unusual = true
	return ""
}

// unescape is what the letter of a short escape stands for.
func unescape(letter byte) byte {
	switch letter {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return letter
}

func hexRune(digits string) rune {
	n, _ := strconv.ParseUint(digits, 16, 16) // escapeLength has checked it
	return rune(n)
}

// number passes over a number and returns its text.
func (w *wire) number() string {
	sc := scanner{s: w.s, pos: w.pos}
	text, p := sc.number()
	if p != nil || w.unusual {
		w.unusual = true
		return "0"
	}
	w.pos = sc.pos
	return text
}

func (w *wire) float() *float64 {
	p := w.reader.floats.one()
	*p = w.real()
	return p
}

func (w *wire) real() float64 {
	f, err := strconv.ParseFloat(w.number(), 64)
	if err != nil {
		w.unusual = true
	}
	return f
}

func (w *wire) integer() *int64 {
	p := w.reader.integers.one()
	*p = w.whole(64)
	return p
}

func (w *wire) whole(bits int) int64 {
	n, err := strconv.ParseInt(w.number(), 10, bits)
	if err != nil {
		w.unusual = true
	}
	return n
}

func (w *wire) index() *int32 {
	p := w.reader.indexes.one()
	*p = int32(w.whole(32))
	return p
}

func (w *wire) flag() bool {
	switch {
	case strings.HasPrefix(w.s[w.pos:], "true"):
		w.pos += 4
		return true
	case strings.HasPrefix(w.s[w.pos:], "false"):
		w.pos += 5
		return false
	}
	w.unusual = true
	return false
}

// time reads a time of the form 2006-01-02T15:04:05Z with up to nine digits of a second's fraction.
func (w *wire) time() time.Time {
	start := w.pos
	s := w.text()
	if w.pos != start+len(s)+2 { // with escapes
		w.unusual = true
	}
	if len(s) < 20 || len(s) > 30 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		w.unusual = true
		return time.Time{}
	}
	nanos, scale := 0, int(time.Second)
	if fraction := s[19 : len(s)-1]; fraction != "" {
		if fraction[0] != '.' || len(fraction) == 1 {
			w.unusual = true
		}
		for i := 1; i < len(fraction); i++ {
			scale /= 10
			nanos += w.digit(fraction[i]) * scale
		}
	}
	two := func(at int) int { return 10*w.digit(s[at]) + w.digit(s[at+1]) }
	month, day, hour, minute, second := two(5), two(8), two(11), two(14), two(17)
	t := time.Date(100*two(0)+two(2), time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if month < 1 || month > 12 || day < 1 || t.Day() != day || hour > 23 || minute > 59 || second > 59 {
		w.unusual = true
	}
	return t
}

func (w *wire) digit(c byte) int {
	if c < '0' || c > '9' {
		w.unusual = true
		return 0
	}
	return int(c - '0')
}
