package trainer

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// click is one interaction with one item before sessions are known.
type click struct {
	visit    int32 // number of the visitor and given session id; loneVisit for none
	item     int32
	order    int32 // that it is bought in; eval.NoOrder for none
	kind     uint8
	place    uint16 // in the item list of its event
	at       int64  // Unix milliseconds
	sequence int64
}

// loneVisit marks a click that belongs to no session: its visitor did not allow a profile.
const loneVisit = -1

// visit is a visitor together with a given session id, or with none.
type visit struct {
	name    string // tells visits apart, and sorts them
	visitor int32
	given   bool   // the session id was given
	device  string // as the newest event says that names one
	said    int64  // when it did
}

// collector turns events into clicks.
type collector struct {
	kinds    map[string]uint8
	weights  []float32 // by kind
	vocab    *model.Vocabulary
	numbers  map[string]int32 // of visits, by name
	visitors map[string]int32
	visits   []visit
	words    map[string]string // strings that come up again and again, once
	key      []byte            // scratch
	clicks   []click
	orders   orders
	said     map[int32]said // by item
	traffic  traffic
	logical  bool
}

// said is what the newest event that said anything said of an item.
type said struct {
	at          int64
	name, brand string
	categories  []string
}

func newCollector(weights map[string]float64) *collector {
	c := &collector{
		kinds: map[string]uint8{}, vocab: model.NewVocabulary(), numbers: map[string]int32{}, visitors: map[string]int32{},
		words: map[string]string{}, said: map[int32]said{}, traffic: newTraffic(), orders: orders{named: map[transaction]int32{}},
	}
	types := make([]string, 0, len(weights))
	for name, weight := range weights {
		if weight > 0 {
			types = append(types, name)
		}
	}
	slices.Sort(types)
	for i, name := range types {
		c.kinds[name] = uint8(i)
		c.weights = append(c.weights, float32(weights[name]))
	}
	return c
}

// add takes in one event. Robots and events of other types, impressions above all, only count as traffic.
func (c *collector) add(i *Interaction) {
	c.traffic.add(i)
	kind, ok := c.kinds[i.Type]
	if !ok || i.IsBot || len(i.Items) == 0 {
		return
	}
	c.logical = c.logical || i.Logical
	number := int32(loneVisit)
	at := i.OccurredAt.UnixMilli()
	if i.Personalized && (i.AnonymousID != "" || i.UserID != "") {
		number = c.visit(i)
		c.visits[number].hear(at, i.Device, c.word)
	}
	visitor := int32(loneVisit)
	if number != loneVisit {
		visitor = c.visits[number].visitor
	}
	order := c.orders.number(i, visitor)
	for place, it := range i.Items {
		if it.ID == "" {
			continue
		}
		item, known := c.vocab.Index(it.ID)
		if !known {
			item = c.vocab.Add(strings.Clone(it.ID))
		}
		c.clicks = append(c.clicks, click{visit: number, item: item, order: order, kind: kind, place: uint16(place), at: at, sequence: i.Sequence})
		c.learn(item, at, &it)
	}
}

// visit numbers the visitor, who is the browser where there is one (event.Event.Key), together with the given session.
func (c *collector) visit(i *Interaction) int32 {
	// Ids hold no control characters, so that different ids never meet in one key.
	c.key = c.key[:0]
	if i.AnonymousID != "" {
		c.key = append(append(c.key, 'a'), i.AnonymousID...)
	} else {
		c.key = append(append(c.key, 'u'), i.UserID...)
	}
	end := len(c.key)
	c.key = append(append(c.key, 0), i.SessionID...)
	if v, ok := c.numbers[string(c.key)]; ok {
		return v
	}
	name := string(c.key)
	visitor, ok := c.visitors[name[:end]]
	if !ok {
		visitor = int32(len(c.visitors))
		c.visitors[name[:end]] = visitor
	}
	number := int32(len(c.visits))
	c.numbers[name] = number
	c.visits = append(c.visits, visit{name: name, visitor: visitor, given: i.SessionID != ""})
	return number
}

// hear notes the device of a visit.
func (v *visit) hear(at int64, device string, word func(string) string) {
	if device == "" || v.device != "" && (at < v.said || at == v.said && device <= v.device) {
		return
	}
	v.said, v.device = at, word(device)
}

// word returns one copy of a string, of memory that stays.
func (c *collector) word(s string) string {
	known, ok := c.words[s]
	if !ok {
		known = strings.Clone(s)
		c.words[known] = known
	}
	return known
}

// learn notes what an event says of an item. The newest event that says anything wins, whatever the order of reading.
func (c *collector) learn(item int32, at int64, it *InteractionItem) {
	if it.Name == "" && it.Brand == "" && len(it.Categories) == 0 {
		return
	}
	known, ok := c.said[item]
	if ok && (at < known.at || at == known.at && known.compare(it) >= 0) {
		return
	}
	if ok && known.compare(it) == 0 {
		known.at = at
		c.said[item] = known
		return
	}
	fresh := said{at: at, name: strings.Clone(it.Name), brand: c.word(it.Brand), categories: make([]string, len(it.Categories))}
	for i, name := range it.Categories {
		fresh.categories[i] = c.word(name)
	}
	c.said[item] = fresh
}

// compare orders what is known and what an event says, so that of equal times one always wins.
func (s *said) compare(it *InteractionItem) int {
	if n := slices.Compare(s.categories, it.Categories); n != 0 {
		return n
	}
	if n := strings.Compare(s.name, it.Name); n != 0 {
		return n
	}
	return strings.Compare(s.brand, it.Brand)
}

// heard is what events said of items, as rows of a catalogue.
func (c *collector) heard() map[string]event.CatalogueItem {
	out := make(map[string]event.CatalogueItem, len(c.said))
	for item, s := range c.said {
		id := c.vocab.ID(item)
		out[id] = event.CatalogueItem{ItemID: id, Title: s.name, Brand: s.brand, Categories: s.categories, Available: true}
	}
	return out
}
