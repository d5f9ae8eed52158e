// Package simshop is a small invented shop: 24 articles with drawn pictures, the pages that show them, and shoppers
// whose tastes are known because they were planted. It keeps the demo alive and gives tests a truth to compare with.
package simshop

import (
	"embed"
	"slices"
	"strings"
)

// Site is the site that the demo shop's keys, events and catalogue belong to.
const Site = "demo"

// Currency of every price (ISO 4217).
const Currency = "EUR"

//go:embed art/*.svg
var artFiles embed.FS

// Category is one shelf of the shop.
type Category struct {
	Slug string // stable, what events and the catalogue say
	Name string // what pages say
	Line string // a few words under the heading
}

// Item is one article. Next is the article that shoppers who are in the mood for this shelf look at afterwards, Goes
// the one from another shelf that belongs with it: the two planted relations that a model should find.
type Item struct {
	ID       string
	Name     string
	Category string // slug
	Brand    string
	Blurb    string
	Cents    int64
	Next     string
	Goes     string
}

// Price returns the price in units of Currency.
func (i Item) Price() float64 { return float64(i.Cents) / 100 }

// Categories returns the shelves in the order of the shop's pages.
func Categories() []Category {
	return []Category{
		{"trail", "Trail & Hike", "For the long way round"},
		{"kitchen", "Kitchen", "Slow pots and warm pans"},
		{"desk", "Desk", "A good place to think"},
		{"lighting", "Lighting", "Kinder than the ceiling lamp"},
		{"garden", "Garden", "From seed to supper"},
		{"music", "Music", "Small things that make noise"},
	}
}

// Catalogue returns the shop's 24 articles, four to a shelf, in the order of its pages.
func Catalogue() []Item {
	return []Item{
		{"alder-daypack", "Alder daypack", "trail", "Northfold", "Eighteen litres, two bottle pockets, one very good zip.", 7900, "ridge-poles", "camp-lantern"},
		{"ridge-poles", "Ridge walking poles", "trail", "Northfold", "A pair of folding poles that forgive bad knees.", 4900, "wool-socks", "iron-skillet"},
		{"wool-socks", "Wool hiking socks", "trail", "Hearthside", "Merino where it matters, cushioned where it hurts.", 1600, "enamel-mug", "beeswax-candles"},
		{"enamel-mug", "Enamel trail mug", "trail", "Northfold", "Survives campfires, dishwashers and younger siblings.", 1400, "alder-daypack", "pour-kettle"},

		{"stew-pot", "Stoneware stew pot", "kitchen", "Hearthside", "Four litres of patience, glazed in ember red.", 6400, "soup-ladle", "terracotta-trio"},
		{"soup-ladle", "Beech soup ladle", "kitchen", "Copse & Co.", "Turned from one piece of beech, deep enough for seconds.", 1200, "iron-skillet", "beeswax-candles"},
		{"iron-skillet", "Cast-iron skillet", "kitchen", "Hearthside", "Pre-seasoned, heavy, and better every year.", 4500, "pour-kettle", "wool-socks"},
		{"pour-kettle", "Slow-pour kettle", "kitchen", "Hearthside", "A steady hand for coffee, in deep teal.", 5200, "stew-pot", "enamel-mug"},

		{"dot-notebook", "Dot-grid notebook", "desk", "Paper Mill", "192 pages that lie flat and do not bleed through.", 1300, "brass-pen", "arc-lamp"},
		{"brass-pen", "Brass fountain pen", "desk", "Paper Mill", "Refillable, and it ages as gracefully as you do.", 3800, "oak-tray", "birch-ukulele"},
		{"oak-tray", "Oak pen tray", "desk", "Copse & Co.", "Keeps the pens together and the paper clips honest.", 2400, "felt-mat", "beeswax-candles"},
		{"felt-mat", "Felt desk mat", "desk", "Hearthside", "Wool felt with a stitched edge; your wrists will notice.", 3200, "dot-notebook", "arc-lamp"},

		{"paper-pendant", "Paper pendant lamp", "lighting", "Paper Mill", "Washi paper on bamboo, forty-five centimetres across.", 4800, "arc-lamp", "record-player"},
		{"arc-lamp", "Arc desk lamp", "lighting", "Copse & Co.", "A warm cone of light exactly where the page is.", 6900, "beeswax-candles", "dot-notebook"},
		{"beeswax-candles", "Beeswax candles", "lighting", "Copse & Co.", "A set of three that smell faintly of summer.", 1800, "camp-lantern", "stew-pot"},
		{"camp-lantern", "Camping lantern", "lighting", "Northfold", "Sixty hours of lamplight, no moths harmed.", 3500, "paper-pendant", "alder-daypack"},

		{"copper-can", "Copper watering can", "garden", "Greenhand", "Balanced when full, handsome when empty.", 3900, "terracotta-trio", "soup-ladle"},
		{"terracotta-trio", "Terracotta pot trio", "garden", "Greenhand", "Three breathing pots, saucers included.", 2700, "wildflower-seeds", "paper-pendant"},
		{"wildflower-seeds", "Wildflower seed mix", "garden", "Greenhand", "Cornflower, poppy and a few surprises for the bees.", 600, "hand-trowel", "dot-notebook"},
		{"hand-trowel", "Hand trowel", "garden", "Greenhand", "Forged steel on ash; digs, lifts, measures.", 1500, "copper-can", "ridge-poles"},

		{"birch-ukulele", "Birch ukulele", "music", "Low Bridge", "Four strings between you and a sunnier afternoon.", 8900, "kalimba", "felt-mat"},
		{"kalimba", "Kalimba, nine keys", "music", "Low Bridge", "Two thumbs, no wrong notes.", 4200, "pocket-harmonica", "wildflower-seeds"},
		{"pocket-harmonica", "Pocket harmonica", "music", "Low Bridge", "In C, for trains, porches and campfires.", 2500, "record-player", "camp-lantern"},
		{"record-player", "Portable record player", "music", "Low Bridge", "Three speeds in a suitcase, rose red.", 12900, "birch-ukulele", "paper-pendant"},
	}
}

// CatalogueRow is an article as the catalogue API takes it.
type CatalogueRow struct {
	ItemID     string            `json:"item_id"`
	Title      string            `json:"title"`
	Categories []string          `json:"categories"`
	Brand      string            `json:"brand"`
	Price      float64           `json:"price"`
	Currency   string            `json:"currency"`
	Available  bool              `json:"available"`
	URL        string            `json:"url"`
	ImageURL   string            `json:"image_url"`
	Fields     map[string]string `json:"fields"`
}

// CatalogueRows returns the shop as rows of the catalogue; base is the path that its pages are mounted at.
func CatalogueRows(base string) []CatalogueRow {
	base = cleanBase(base)
	items := Catalogue()
	rows := make([]CatalogueRow, len(items))
	for i, it := range items {
		rows[i] = CatalogueRow{
			ItemID:     it.ID,
			Title:      it.Name,
			Categories: []string{it.Category},
			Brand:      it.Brand,
			Price:      it.Price(),
			Currency:   Currency,
			Available:  true,
			URL:        base + itemPath + it.ID,
			ImageURL:   base + artPath + it.ID + ".svg",
			Fields:     map[string]string{"blurb": it.Blurb},
		}
	}
	return rows
}

// byID indexes the catalogue.
func byID(items []Item) map[string]int {
	at := make(map[string]int, len(items))
	for i, it := range items {
		at[it.ID] = i
	}
	return at
}

// onShelf returns the indices of a category's articles.
func onShelf(items []Item, slug string) []int {
	var at []int
	for i, it := range items {
		if it.Category == slug {
			at = append(at, i)
		}
	}
	return at
}

func categoryOf(slug string) (Category, bool) {
	all := Categories()
	i := slices.IndexFunc(all, func(c Category) bool { return c.Slug == slug })
	if i < 0 {
		return Category{}, false
	}
	return all[i], true
}

// cleanBase gives a mount path one slash on either side.
func cleanBase(base string) string {
	base = strings.Trim(base, "/")
	if base == "" {
		return "/"
	}
	return "/" + base + "/"
}
