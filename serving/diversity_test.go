package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// plainMMR chooses from a list by maximal marginal relevance, counting everything anew for every place.
func plainMMR(h *house, list []AnswerItem, diversity float64, limit int) (chosen []string) {
	left := slices.Clone(list)
	for len(chosen) < limit && len(left) > 0 {
		best, most := 0, 0.0
		for i, item := range left {
			nearest := float32(0)
			for _, other := range chosen {
				v := h.serving.similar.of(testSite).Vectors(nil, []string{other, item.ItemID})
				nearest = max(nearest, v[0].Cosine(v[1]))
			}
			if worth := (1-diversity)*item.Score/list[0].Score - diversity*float64(nearest); i == 0 || worth > most {
				best, most = i, worth
			}
		}
		chosen = append(chosen, left[best].ItemID)
		left = slices.Delete(left, best, best+1)
	}
	return chosen
}

func TestDiverseListsAreThoseOfPlainMMR(t *testing.T) {
	h := start(t)
	rng := rand.New(rand.NewPCG(9, 9))
	words := []string{"red", "blue", "shoe", "tent", "trail", "pan"}
	const items = 28
	for i := range items {
		h.put(fmt.Sprintf(`{"item_id":"%s","title":"%s %s %d","categories":["c%d"],"brand":"b%d"}`,
			itemName(i), words[rng.IntN(6)], words[rng.IntN(6)], i, rng.IntN(4), rng.IntN(5)))
		for range 1 + rng.IntN(9) {
			h.happen(parseEvent(t, fmt.Sprintf("%dm a=x%d type=view_item items=%s", 1+rng.IntN(600), rng.IntN(50), itemName(i))))
		}
	}
	h.refresh()
	all := h.ask(`{"placement":"popular","limit":100,"dry_run":true}`).Items
	if len(all) != items {
		t.Fatalf("%d items", len(all))
	}
	distinct := map[string]bool{}
	for _, diversity := range []float64{0, 0.1, 0.3, 0.5, 0.8, 1} {
		for _, limit := range []int{1, 6, 12} {
			a := h.ask(fmt.Sprintf(`{"placement":"popular","limit":%d,"diversity":%g,"dry_run":true}`, limit, diversity))
			if want := plainMMR(h, all, diversity, limit); !slices.Equal(ids(a), want) {
				t.Errorf("diversity %g, limit %d:\n got %v\nwant %v", diversity, limit, ids(a), want)
			}
			if limit == 6 {
				distinct[fmt.Sprint(ids(a))] = true
			}
		}
	}
	if len(distinct) < 3 {
		t.Errorf("six diversities make %d lists", len(distinct))
	}
}

// Where nothing is said of items beyond what a row of another kind holds, sharing categories and brand is being alike.
func TestItemsWithoutTextsAreAlikeByCategoryAndBrand(t *testing.T) {
	q := &query{trends: &siteTrends{items: map[string]*said{"s": {category: "a", brand: "x"}}}}
	item := func(id string, row *Row) shownItem { return shownItem{candidate: &candidate{id: id}, row: row} }
	one := item("r", &Row{categories: &[]string{"a", "b"}, Brand: "x"})
	for _, c := range []struct {
		other shownItem
		want  float32
	}{
		{item("s", nil), 0.75},
		{item("o", &Row{categories: &[]string{"a", "b"}}), 1},
		{item("o", &Row{categories: &[]string{"c"}, Brand: "x"}), 0.5},
		{item("o", &Row{}), 0},
		{item("unknown", nil), 0},
	} {
		if got := q.alike(nil, nil, one, c.other); got != c.want {
			t.Errorf("%s %+v: alike by %g, want %g", c.other.id, c.other.row, got, c.want)
		}
	}
}
