package serving

import "testing"

// The first request for a product page under another version finds the list that it asked for before, as the new version says it.
func TestAVersionComesIntoForceWithTheListsOfTheOneBefore(t *testing.T) {
	h := start(t)
	h.shop()
	h.ask(`{"placement":"item","item_ids":["a"]}`)
	before := h.serving.models.of(testSite)
	h.train(append(shopSessions(), []string{"z", "a", "c"}, []string{"a", "z"}))
	h.serving.models.poll(t.Context(), testSite)
	m := h.serving.models.of(testSite)
	if m == before {
		t.Fatal("no other version came into force")
	}
	asked, _ := m.Vocabulary.Index("a")
	other, _ := m.Vocabulary.Index("c")
	for name, lists := range map[string]*familyLists{"session": &m.pages.session, "transitions": &m.pages.transitions} {
		if list := lists.slot(asked).Load(); list == nil || list.of != asked || len(list.scored) == 0 {
			t.Errorf("%s: nothing is remembered of the page that was asked for", name)
		}
		if list := lists.slot(other).Load(); list != nil && list.of == other {
			t.Errorf("%s: a list is remembered that nobody asked for", name)
		}
	}
}
