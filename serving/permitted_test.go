package serving

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/content"
)

// filteredShop is a house with a version of 300 items, two thirds of which have rows.
func filteredShop(t *testing.T, rng *rand.Rand) *house {
	h := newHouse(t).open()
	sessions := make([][]string, 400)
	for s := range sessions {
		topic := rng.IntN(300)
		for range 2 + rng.IntN(5) {
			sessions[s] = append(sessions[s], itemName((topic+rng.IntN(12))%300))
		}
	}
	h.orders = slices.Repeat(sessions, 3)
	for i := range 200 {
		h.serving.catalogue.stock(rowOf(randomItem(rng, i)))
	}
	h.must(h.serving.similar.fill(t.Context()))
	h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	for i := range 300 {
		h.happen(parseEvent(t, fmt.Sprintf("%dm a=crowd type=view_item items=%s category=c%d", 300-i, itemName(rng.IntN(230)), rng.IntN(10))))
	}
	h.refresh()
	return h
}

// filtered is a query with a filter and what it excludes, as far as to where candidates are asked for. The placement is that of a
// product page.
func (h *house) filtered(mem *scratch, item, text string, excluded ...string) *query {
	h.tb.Helper()
	mem.visitor.reset()
	mem.again()
	request := &Request{Placement: "item", ItemIDs: []string{item}, Filter: text, ExcludeIDs: excluded}
	if p := request.compile(h.serving.filters); p != nil {
		h.tb.Fatalf("%s: %s", text, p.Detail)
	}
	placement, p := h.serving.placement(h.tb.Context(), testSite, request.Placement)
	if p != nil {
		h.tb.Fatal(p.Detail)
	}
	h.serving.meet(h.tb.Context(), mem, testSite, request)
	q := h.serving.prepare(h.tb.Context(), mem, testSite, placement, request)
	mem.selection.begin(q)
	return q
}

// leaves decides on an item as the newest row, or what events say, has it.
func (q *query) leaves(id string, row *Row) bool {
	return (row == nil || row.eligible(q.now)) && !slices.Contains(q.request.ExcludeIDs, id) && q.allows(id, row)
}

// The mask of a filter is what the filter says of each row, whatever is written meanwhile: of an item whose row is the same before and
// after the mask was made. Items come that had no row, versions change, and closed sessions bring items of their own.
func TestMaskIsWhatTheFilterSaysOfRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 3))
	h := filteredShop(t, rng)
	c := h.serving.catalogue
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 12))
			for range 150 {
				rows := make([]*Row, 1+rng.IntN(10))
				for i := range rows {
					rows[i] = newRow(&event.CatalogueRow{Site: testSite, CatalogueItem: randomItem(rng, rng.IntN(400)), Revision: 1, Deleted: rng.IntN(8) == 0}, c.shared)
				}
				c.stock(rows...)
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	closed := newFresh()
	h.serving.overlay.sites[testSite] = closed
	mem, compared, left := newScratch(), 0, 0
	check := func() {
		var excluded []string
		for range rng.IntN(3) {
			excluded = append(excluded, itemName(rng.IntN(400)))
		}
		text := randomFilter(rng)
		q := h.filtered(mem, itemName(rng.IntN(300)), text, excluded...)
		vocabulary := q.model.Vocabulary
		ids := make([]string, vocabulary.Len())
		for i := range ids {
			ids[i] = vocabulary.ID(int32(i))
		}
		before := c.lookup(nil, testSite, ids)
		mask := q.only()
		for i, row := range c.lookup(nil, testSite, ids) {
			if row != before[i] {
				continue
			}
			compared++
			want := q.leaves(ids[i], row)
			if want {
				left++
			}
			if got := mask.Allows(int32(i)); got != want {
				t.Fatalf("%s: the mask has item %s of row %+v: %v, its row says %v", text, ids[i], row, got, want)
			}
		}
	}
	for n, going := 0, true; going || n%50 != 0; n++ { // some more when nothing is written any more
		select {
		case <-done:
			going = false
		default:
		}
		if n%20 == 19 {
			at := n / 20 % 40
			closed.add(closedAt(fmt.Sprint(n), 0, 1, int64(n), itemName(rng.IntN(300)), itemName(290+at), itemName(291+at)))
			h.serving.overlay.renew(t.Context(), testSite, h.serving.models.of(testSite))
		}
		check()
	}
	if fresh := h.serving.models.of(testSite).fresh; left < compared/20 || left > compared*19/20 || compared < 10_000 || fresh == 0 {
		t.Errorf("%d of %d items were left, with %d sessions over the version: the comparison says little", left, compared, fresh)
	}
}

// Each family brings under a filter what is best, by a list of all that it knows, among what the filter leaves.
func TestFamiliesBringTheBestThatFiltersLeave(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 8))
	h := filteredShop(t, rng)
	mem, brought := newScratch(), map[string]int{}
	for range 150 {
		item, text := itemName(rng.IntN(200)), randomFilter(rng)
		q := h.filtered(mem, item, text, itemName(rng.IntN(300)), itemName(rng.IntN(300)))
		same := func(s source, all []string) {
			t.Helper()
			all = slices.DeleteFunc(all, func(id string) bool { return !q.leaves(id, q.catalogue.row(testSite, id)) })
			all = all[:min(len(all), q.reach())]
			got := make([]string, len(s.items))
			for i, p := range s.items {
				got[i] = p.id
			}
			if !slices.Equal(got, all) {
				t.Fatalf("%s beside %s: %s brings %v, the best that are left are %v", text, item, s.family, got, all)
			}
			brought[s.family] += len(got)
		}
		known := func(scorer model.Scorer, items []int32) (all []string) {
			for _, sc := range scorer.Score(nil, model.Query{Items: items, Set: len(items) > 0, Now: q.now}, q.model.Vocabulary.Len()) {
				all = append(all, q.model.Vocabulary.ID(sc.Item))
			}
			return all
		}
		index, _ := q.model.Vocabulary.Index(item)
		same(q.fromTransitions(1), known(q.model.transitions, []int32{index}))
		same(q.fromSession(1), known(q.model.session, []int32{index}))
		same(q.fromBaskets(1), known(q.model.baskets, []int32{index}))
		similar := func(skip func(int32, string) bool, k int) (all []string) { // which fromContent lifts what is new of
			for _, a := range q.similar.Similar(nil, content.Query{Items: q.items, Set: true, Skip: skip, Now: q.now}, k) {
				all = append(all, a.ID)
			}
			return all
		}
		alike := source{family: content.Name}
		for _, id := range similar(q.skip(), q.reach()) {
			alike.items = append(alike.items, proposal{id: id})
		}
		same(alike, similar(nil, 400))
		var wanted []string
		for _, it := range q.trends.popular {
			if it.interest > 0 {
				wanted = append(wanted, it.id)
			}
		}
		if s := q.fromPopularity(1); !s.model { // which answers where nothing is left that anybody wants
			same(s, wanted)
		}
		same(source{family: "model's popularity", items: q.ranking(q.model.Popularity)}, known(q.model.Popularity, nil))
	}
	for family, n := range brought {
		if n < 150 {
			t.Errorf("%s brought %d items to 150 lists: the comparison says little", family, n)
		}
	}
}

// A filtered list is as long as it can be, has what visitors want most first, and nothing that its filter does not leave.
func TestFilteredListIsOfTheWholeCatalogue(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 8))
	h := filteredShop(t, rng)
	for range 100 {
		text, limit := randomFilter(rng), 1+rng.IntN(40)
		got := ids(h.ask(fmt.Sprintf(`{"placement":"popular","filter":%s,"limit":%d,"dry_run":true}`, strconv.Quote(text), limit)))
		q := h.filtered(newScratch(), itemName(0), text)
		var want []proposal
		for i := range 300 {
			if id := itemName(i); q.leaves(id, q.catalogue.row(testSite, id)) && (q.catalogue.row(testSite, id) != nil || q.trends.items[id] != nil) {
				want = append(want, proposal{id: id, score: q.want(id)})
			}
		}
		slices.SortFunc(want, bestProposal)
		for i, p := range want[:min(len(want), limit)] {
			if i >= len(got) || got[i] != p.id {
				t.Fatalf("%s, at most %d: %v at place %d, want %s", text, limit, got, i, p.id)
			}
		}
		if len(got) > len(want) || len(got) > limit {
			t.Fatalf("%s, at most %d: %v, but only %d match", text, limit, got, len(want))
		}
	}
}
