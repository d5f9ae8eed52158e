package simshop

import (
	"fmt"
	"net/http"
)

// view is what a page shows.
type view struct {
	Title   string
	Base    string // mount path, slashes on both sides
	API     string // origin of the API, "" for this one
	Key     string
	Beacon  string
	Version string
	Shelves []Category
	Grid    []shelf // home
	Item    *card   // item page
	Asked   string  // the path that names nothing
}

// shelf is a category with its articles.
type shelf struct {
	Category
	Cards []card
}

// card is an article as pages draw it.
type card struct {
	Item
	Shelf   string // the category's name
	Display string // the price for people
	URL     string
	Image   string
}

func (s *shop) card(it Item) card {
	c, _ := categoryOf(it.Category)
	return card{
		Item: it, Shelf: c.Name, Display: display(it.Cents),
		URL: s.cfg.BasePath + itemPath + it.ID, Image: s.cfg.BasePath + artPath + it.ID + ".svg?v=" + s.version,
	}
}

// display writes a price as "€12.50".
func display(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }

func (s *shop) home(w http.ResponseWriter, _ *http.Request) {
	v := view{Title: "A small general store"}
	for _, c := range Categories() {
		row := shelf{Category: c}
		for _, i := range onShelf(s.items, c.Slug) {
			row.Cards = append(row.Cards, s.card(s.items[i]))
		}
		v.Grid = append(v.Grid, row)
	}
	s.render(w, http.StatusOK, "home.html", v)
}

func (s *shop) item(w http.ResponseWriter, r *http.Request) {
	i, ok := s.at[r.PathValue("id")]
	if !ok {
		s.notFound(w, r)
		return
	}
	c := s.card(s.items[i])
	s.render(w, http.StatusOK, "item.html", view{Title: c.Name, Item: &c})
}

// plain serves a page whose content is the visitor's own and drawn in the browser.
func (s *shop) plain(name, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s.render(w, http.StatusOK, name, view{Title: title})
	}
}

func (s *shop) notFound(w http.ResponseWriter, r *http.Request) {
	s.render(w, http.StatusNotFound, "missing.html", view{Title: "Not on our shelves", Asked: r.URL.Path})
}

// listSlots is how many articles a recommended list has room for.
const listSlots = 6

// slots lets a page hold a list's room before the list is here, so that nothing jumps.
func slots() [listSlots]int { return [listSlots]int{} }
