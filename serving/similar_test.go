package serving

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/onlinestore"
)

// TestANewItemIsInListsAtOnce is the life of a new item over HTTP: the answer to the PUT that makes it says that it is in force, and
// the very next request finds it among similar items and among new ones, before any training and after one that has not met it; and
// on a node that starts later.
func TestANewItemIsInListsAtOnce(t *testing.T) {
	h := newHouse(t).open()
	kafkatest.Run(t, h.serving.Run)
	waitFor(t, "the node to be ready", func() bool { return h.serving.Ready() == nil })
	put := func(id, title, category string) {
		t.Helper()
		body := fmt.Sprintf(`{"title":%q,"categories":[%q]}`, title, category)
		if w := h.do(http.MethodPut, "/v1/items/"+id, body); w.Code != http.StatusCreated {
			t.Fatalf("PUT %s: %d %s", id, w.Code, w.Body)
		}
	}
	like := func(id string) []string {
		return ids(h.ask(fmt.Sprintf(`{"placement":"item","item_ids":[%q],"limit":4}`, id)))
	}
	for i := range 20 {
		put(fmt.Sprintf("rug%d", i), fmt.Sprintf("Wool rug %d", i), "Home")
	}
	put("tent", "Dome tent for two", "Camping")
	put("stove", "Gas stove", "Camping")
	put("first", "Dome tent for three", "Camping")
	if got := like("tent"); got[0] != "first" {
		t.Errorf("before any training, like the tent are %v", got)
	}
	if got := like("first"); got[0] != "tent" {
		t.Errorf("before any training, like the new tent are %v", got)
	}
	if got := ids(h.ask(`{"placement":"explore","limit":100}`)); !slices.Contains(got, "first") {
		t.Errorf("before any training, new are %v", got)
	}

	m := h.train([][]string{{"tent", "stove"}, {"tent", "stove"}, {"stove", "tent", "rug1"}})
	waitFor(t, "the model", func() bool {
		loaded := h.serving.models.of(testSite)
		return loaded != nil && loaded.Manifest.Version == m.Version
	})
	put("second", "Dome tent for four", "Camping")
	if got := like("tent"); got[0] != "stove" || !slices.Contains(got, "second") {
		t.Errorf("after a training, like the tent are %v", got)
	}
	if got := like("second"); !slices.Contains(got[:2], "first") || !slices.Contains(got[:2], "tent") {
		t.Errorf("after a training, like the newest tent are %v", got)
	}
	h.happen(parseEvent(t, "1m a=camper type=view_item items=tent"))
	explore := h.ask(`{"placement":"explore","anonymous_id":"camper","limit":2}`)
	if got := ids(explore); !slices.Equal(got, []string{"first", "second"}) && !slices.Equal(got, []string{"second", "first"}) {
		t.Errorf("for a camper, new are %v", got)
	}
	if got := explore.Items[0].Reasons; !slices.Equal(got, []string{"new, similar to Dome tent for two"}) {
		t.Errorf("reasons %v", got)
	}

	later := node(h, nil)
	waitFor(t, "the other node", func() bool { return later.serving.Ready() == nil })
	if got := ids(later.ask(`{"placement":"item","item_ids":["second"],"limit":2}`)); !slices.Contains(got, "first") {
		t.Errorf("on another node, like the newest tent are %v", got)
	}
	if got := later.serving.catalogue.row(testSite, "second").CreatedAt(); !got.Equal(noon) {
		t.Errorf("on another node, the newest tent was made at %s", got)
	}
	if w := h.do(http.MethodDelete, "/v1/items/second", ""); w.Code != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", w.Code, w.Body)
	}
	if got := append(like("tent"), like("first")...); slices.Contains(got, "second") {
		t.Errorf("after it was deleted, like the tents are %v", got)
	}
}

// A row keeps the time of its making through every change, until it is deleted; the online store tells it a node that starts.
func TestARowKnowsWhenItWasMade(t *testing.T) {
	h := start(t)
	later := noon.AddDate(0, 0, 3)
	at := noon
	h.serving.catalogue.now = func() time.Time { return at }
	h.put(`{"item_id":"a","title":"A"}`)
	at = later
	h.put(`{"item_id":"a","title":"B"}`)
	if row := h.serving.catalogue.row(testSite, "a"); !row.CreatedAt().Equal(noon) || !row.UpdatedAt().Equal(later) {
		t.Errorf("row %+v", row)
	}
	waitFor(t, "the row in the online store", func() bool {
		stored, ok, err := h.online.Get(t.Context(), onlinestore.CatalogKey(testSite, "a"))
		h.must(err)
		if !ok {
			return false
		}
		row, err := decodeKept(stored.Value, newSharedTexts())
		h.must(err)
		return row.Revision == 2 && row.CreatedAt().Equal(noon)
	})
	h.do(http.MethodDelete, "/v1/items/a", "")
	h.put(`{"item_id":"a","title":"Another"}`)
	if row := h.serving.catalogue.row(testSite, "a"); !row.CreatedAt().Equal(later) {
		t.Errorf("after it was deleted and came back: %+v", row)
	}
	old, err := decodeKept([]byte(`{"site":"s","item_id":"i","revision":1,"updated_at":"2026-01-02T00:00:00Z"}`), newSharedTexts())
	if err != nil || !old.CreatedAt().Equal(old.UpdatedAt()) {
		t.Errorf("a first revision that was stored without it: %+v, %v", old, err)
	}
}

// Items that only events know leave with what events say of them; a catalogue row has the last word.
func TestWhatEventsSayIsLearntAndForgotten(t *testing.T) {
	h := start(t)
	live := h.serving.similar.of(testSite)
	named := func() (name string) { // as which of the names the lamp is known
		best := float32(0)
		for _, title := range []string{"Lamp", "Lantern", "Floor lamp"} {
			h.must(live.Put(&Item{ItemID: "probe", Title: title}))
			if like := live.Compare(nil, content.Query{Items: []string{"probe"}}, []string{"lamp"})[0].Score; like > best {
				name, best = title, like
			}
		}
		return name
	}
	h.happen(parseEvent(t, "1m a=x type=view_item items=lamp category=Home name=Lamp"))
	h.happen(parseEvent(t, "1m a=x type=view_item items=nameless"))
	h.refresh()
	if name := named(); name != "Lamp" || live.Has("nameless") {
		t.Fatalf("the lamp is a %s, of %d", name, live.Len())
	}
	h.happen(parseEvent(t, "30s a=x type=view_item items=lamp category=Home name=Lantern"))
	h.refresh()
	if name := named(); name != "Lantern" {
		t.Errorf("the lamp is a %s", name)
	}
	h.put(`{"item_id":"lamp","title":"Floor lamp"}`)
	h.refresh()
	if name := named(); name != "Floor lamp" {
		t.Errorf("with a row, the lamp is a %s", name)
	}
	h.happen(parseEvent(t, "20s a=x type=view_item items=gone name=Gone"))
	h.refresh()
	read := *h.serving.trends.of(testSite)
	read.items = map[string]*said{}
	h.serving.similar.learn(t.Context(), testSite, &read)
	if live.Has("gone") || !live.Has("lamp") {
		t.Error("events are forgotten, but what they said is not, or more than that")
	}
	h.do(http.MethodDelete, "/v1/items/lamp", "")
	h.refresh()
	if live.Has("lamp") {
		t.Errorf("deleted, the lamp is a %s", named())
	}
}

// The ring of arrivals keeps the newest, and readers keep what they have got.
func TestArrivals(t *testing.T) {
	c := &Catalogue{sites: map[string]*siteItems{testSite: {}}}
	var before []string
	for i := range 5 * maxArrivals {
		c.sites[testSite].arrive(fmt.Sprint(i))
		got := c.arrivals(testSite)
		if got[len(got)-1] != fmt.Sprint(i) || len(got) > 2*maxArrivals || i >= maxArrivals && len(got) < maxArrivals {
			t.Fatalf("%d arrivals after %d", len(got), i+1)
		}
		if i == maxArrivals {
			before = got
		}
	}
	if before[0] != "0" || len(before) != maxArrivals+1 {
		t.Error("a reader's list changed under it")
	}
}

// Newer items that are sold out take no places in the list of what is new.
func TestSoldOutItemsHideNoNewOnes(t *testing.T) {
	h := newHouse(t).open()
	for i := range maxUnmet + 1 {
		sold := rowOf(Item{ItemID: fmt.Sprintf("sold%d", i)})
		sold.created = momentOf(noon)
		h.serving.catalogue.stock(sold)
	}
	there := rowOf(Item{ItemID: "there", Available: true})
	there.created = momentOf(noon.Add(-time.Hour))
	h.serving.catalogue.stock(there)
	h.refresh()
	if a := h.ask(`{"placement":"explore"}`); !slices.Equal(ids(a), []string{"there"}) || a.ServedBy != sourceUnmet {
		t.Errorf("new are %v, served by %s", ids(a), a.ServedBy)
	}
}
