package eval

import (
	"sync"

	"github.com/millrace/millrace/internal/model"
)

// Part is what models may learn from: one part of a log. Everything that has to be made from it first is made once, when
// it is first asked for, and shared by all settings of all models.
type Part struct {
	Sessions *model.Sessions
	NumItems int    // size of the vocabulary
	Items    []Item // what the catalogue says of each item, by index; nil where nothing is known

	interactions func() (*model.Interactions, error)
}

// Item is what the catalogue says of one item; every field may be empty.
type Item struct {
	Title       string
	Description string
	Brand       string
	Categories  []string
}

// NewPart makes the part of some sessions; items may be nil.
func NewPart(sessions *model.Sessions, numItems int, items []Item) *Part {
	p := &Part{Sessions: sessions, NumItems: numItems, Items: items}
	p.interactions = sync.OnceValues(func() (*model.Interactions, error) {
		return model.NewInteractions(sessions, numItems)
	})
	return p
}

// Interactions returns who met what. Several goroutines may ask for it; it must not be changed.
func (p *Part) Interactions() (*model.Interactions, error) { return p.interactions() }

// Categories lists the categories of each item by index; nil where no item has one.
func (p *Part) Categories() [][]string {
	var out [][]string
	for i, item := range p.Items {
		if len(item.Categories) > 0 && out == nil {
			out = make([][]string, len(p.Items))
		}
		if out != nil {
			out[i] = item.Categories
		}
	}
	return out
}
