package serving

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// lookAt is a view of an item of the one category.
func (h *house) lookAt(visitor, item, brand string, ago time.Duration) {
	h.happen(&event.Event{
		Type: event.ViewItem, AnonymousID: visitor, OccurredAt: noon.Add(-ago), ReceivedAt: noon.Add(-ago),
		Items: []event.Item{{ItemID: item, ItemCategory: "pots", ItemBrand: brand}},
	})
}

// Of items that everybody wants alike, those of the brand that a visitor looked at come first, and of somebody
// who looked at all brands, not. It would fail if brands counted for everybody, not at all, or by what the shop has most of.
func TestHomeLeansToTheBrandsOfItsVisitor(t *testing.T) {
	h := start(t)
	for i := range 12 {
		for k := range 20 {
			h.lookAt(fmt.Sprintf("x%d", k), fmt.Sprintf("pot%02d", i), []string{"Ash", "Birch", "Birch"}[i%3], 48*time.Hour+time.Duration(i+20*k)*time.Minute)
		}
	}
	for i, item := range []string{"seen0", "seen1", "seen2", "seen3"} {
		h.lookAt("fan", item, "Ash", time.Duration(i+100)*time.Minute)
		h.lookAt("crowd", item, []string{"Ash", "Birch", "Birch", "Birch"}[i], time.Duration(i+100)*time.Minute)
	}
	h.refresh()
	first := func(visitor string) (brands []string) {
		answer := h.ask(fmt.Sprintf(`{"placement": "home", "anonymous_id": %q, "limit": 4, "exclude_ids": ["seen0", "seen1", "seen2", "seen3"]}`, visitor))
		for _, it := range answer.Items {
			brands = append(brands, h.serving.trends.of(testSite).items[it.ItemID].brand)
		}
		return brands
	}
	if got, want := first("fan"), []string{"Ash", "Ash", "Ash", "Ash"}; !slices.Equal(got, want) {
		t.Errorf("the home page of somebody who looks at Ash alone begins with %v", got)
	}
	if got := first("crowd"); !slices.Contains(got, "Birch") {
		t.Errorf("the home page of somebody who looks at all brands begins with %v", got)
	}
}
