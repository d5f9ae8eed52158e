package serving

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feature"
)

// weighed is an experiment that runs with arms of these weights.
func weighed(id string, weights ...uint64) *control.Running {
	r := &control.Running{Experiment: control.Experiment{Site: testSite, ID: id}}
	for i, w := range weights {
		r.Variants = append(r.Variants, control.RunningArm{Variant: fmt.Sprint(id, ":", i), Weight: w})
		r.Weight += w
	}
	return r
}

// number is that of the arm that somebody is in.
func number(r *control.Running, who string) int {
	arm := armOf(r, who)
	return slices.IndexFunc(r.Variants, func(v control.RunningArm) bool { return v.Variant == arm.Variant })
}

// people are ids as shops and browsers make them, the same in every run: what is improbable happens to others now and then.
func people(n int) map[string][]string {
	kinds, rng := map[string][]string{}, rand.New(rand.NewPCG(1, 1))
	for i := range n {
		kinds["numbers"] = append(kinds["numbers"], fmt.Sprint(1_000_000+i))
		kinds["names"] = append(kinds["names"], fmt.Sprint("customer-", i, "@shop.example"))
		kinds["browsers"] = append(kinds["browsers"], fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", 0x0195ae, i, rng.IntN(1<<12), 1<<15|rng.IntN(1<<14), rng.Int64N(1<<48)))
	}
	return kinds
}

// chiSquare says how far counts are from what is expected, and improbable from which value on that is: once in a thousand times.
func chiSquare(counts, expected []float64) (distance, improbable float64) {
	for i := range counts {
		distance += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i]
	}
	return distance, []float64{10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88}[len(counts)-2]
}

// TestArmsAreBalanced: whatever ids look like, each arm has its share of them.
func TestArmsAreBalanced(t *testing.T) {
	const n = 10_000
	for kind, ids := range people(n) {
		for _, weights := range [][]uint64{{1, 1}, {90, 10}, {99, 1}, {1, 2, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}} {
			r := weighed("balance", weights...)
			counts, expected := make([]float64, len(weights)), make([]float64, len(weights))
			for _, id := range ids {
				counts[number(r, id)]++
			}
			for i, w := range weights {
				expected[i] = float64(n) * float64(w) / float64(r.Weight)
			}
			if got, improbable := chiSquare(counts, expected); got > improbable {
				t.Errorf("%s by %v: %v, which is %g away", kind, weights, counts, got)
			}
		}
	}
}

// TestExperimentsAreIndependent: the arm of one experiment says nothing of the arm of another, nor of the same one of another site.
func TestExperimentsAreIndependent(t *testing.T) {
	const n = 10_000
	elsewhere := weighed("one", 1, 1)
	elsewhere.Site = "neighbour"
	one := weighed("one", 1, 1)
	for what, other := range map[string]*control.Running{"another": weighed("two", 1, 1), "one called nearly so": weighed("one1", 1, 1), "that of a neighbour": elsewhere} {
		for kind, ids := range people(n) {
			counts := make([]float64, 4)
			for _, id := range ids {
				counts[2*number(one, id)+number(other, id)]++
			}
			if got, improbable := chiSquare(counts, []float64{n / 4, n / 4, n / 4, n / 4}); got > improbable {
				t.Errorf("%s, %s: %v, which is %g away", what, kind, counts, got)
			}
		}
	}
}

// TestArmsStayForEver: the arms of people are those of docs/experiments.md, which other programs compute; these are from another
// implementation of the hash.
func TestArmsStayForEver(t *testing.T) {
	r := weighed("diverse-home", slices.Repeat([]uint64{1}, 10_000)...)
	for who, want := range map[string]int{
		"ada": 4667, "bob": 8030, "b-7f3a": 4287, "größe": 6594, "customer-42": 48, "0190aaaa-0000-7000-8000-000000000000": 8917,
	} {
		if got := number(r, who); got != want {
			t.Errorf("%s is in arm %d, want %d", who, got, want)
		}
	}
}

// TestPersonOf: somebody who is logged in is one person on all devices, a browser without a user is one, and nobody is nobody.
func TestPersonOf(t *testing.T) {
	for _, c := range []struct{ user, browser, linked, want string }{
		{"ada", "b1", "", "ada"}, {"ada", "b1", "bob", "ada"}, {"ada", "", "", "ada"}, {"", "b1", "ada", "ada"}, {"", "b1", "", "b1"}, {"", "", "", ""},
	} {
		v := &visitor{profile: feature.Profile{UserID: c.linked}}
		if got := personOf(&Request{UserID: c.user, AnonymousID: c.browser}, v); got != c.want {
			t.Errorf("%+v is %q", c, got)
		}
	}
}

// runs starts an experiment.
func (h *house) runs(e control.Experiment) {
	h.tb.Helper()
	e.Site = testSite
	_, err := h.control.PutExperiment(h.tb.Context(), e, "")
	h.must(err)
	_, err = h.control.StartExperiment(h.tb.Context(), testSite, e.ID, "")
	h.must(err)
}

// stops ends it.
func (h *house) stops(id string) {
	h.tb.Helper()
	_, err := h.control.StopExperiment(h.tb.Context(), testSite, id, "")
	h.must(err)
}

// fleet is an experiment whose second arm shows one brand alone, two items of it.
func fleet(placement string) control.Experiment {
	return control.Experiment{ID: "fleet", Placement: placement, Arms: []control.Arm{
		{Name: "control", Weight: 1}, {Name: "only", Weight: 1, Limit: 1, Settings: json.RawMessage(`{"filter":"item.brand == \"Fleet\"","strict":true}`)},
	}}
}

// oneOf is somebody in a variant of the experiment on a placement.
func (h *house) oneOf(placement, variant string) string {
	h.tb.Helper()
	r, err := h.control.RunningExperiment(h.tb.Context(), testSite, placement)
	h.must(err)
	for i := range 1_000 {
		if who := fmt.Sprint("browser-", i); armOf(r, who).Variant == variant {
			return who
		}
	}
	h.tb.Fatalf("nobody is in %s", variant)
	return ""
}

// TestArmsShowTheirLists: each arm has its list, which says so, and so does its record; whoever is nobody has the placement as it is, and
// so has everybody when the experiment is over.
func TestArmsShowTheirLists(t *testing.T) {
	h := shelf(t)
	h.shelf(control.KindPopular, `{"filter":"item.item_id != \"a\"","full_exposures":1}`)
	h.runs(fleet("shelf"))
	plain, only := h.oneOf("shelf", "fleet:control"), h.oneOf("shelf", "fleet:only")
	want := func(who, variant string, items ...string) {
		t.Helper()
		a := h.ask(`{"placement":"shelf","anonymous_id":"` + who + `"}`)
		if a.Variant != variant || !slices.Equal(ids(a), items) || a.Placement != "shelf" {
			t.Errorf("%s has %v in %s, want %v in %s", who, ids(a), a.Variant, items, variant)
		}
		x, _, err := h.serving.recall(t.Context(), testSite, a.RecID)
		h.must(err)
		if x.Variant != variant || len(x.Items) != len(items) {
			t.Errorf("recorded as %+v", x)
		}
		if again, err := h.serving.replay(t.Context(), x); err != nil || !again.Identical {
			t.Errorf("made again: %+v, %v", again, err)
		}
	}
	want(plain, "fleet:control", "b", "c", "d")
	want(only, "fleet:only", "a")
	want("", control.DefaultVariant, "b", "c", "d")
	h.stops("fleet")
	want(only, control.DefaultVariant, "b", "c", "d")
	logged := map[string]int{}
	for _, x := range h.logged(4) {
		logged[x.Variant]++
	}
	if logged["fleet:control"] != 1 || logged["fleet:only"] != 1 || logged[control.DefaultVariant] != 2 {
		t.Errorf("the log has variants %v", logged)
	}
}

// TestArmsRankTheirOwnWay: arms may choose sources, which is another ranking of the same items.
func TestArmsRankTheirOwnWay(t *testing.T) {
	h := shelf(t)
	h.runs(control.Experiment{ID: "kind", Placement: "home", Arms: []control.Arm{
		{Name: "popular", Weight: 1, Settings: json.RawMessage(`{"sources":{"popularity":1},"seen":"show","exploration":0,"rotation":false}`)},
		{Name: "category", Weight: 1, Settings: json.RawMessage(`{"sources":{"` + sourceCategory + `":1},"seen":"show","exploration":0,"rotation":false}`)},
	}})
	for _, c := range []struct{ variant, first string }{{"kind:popular", "a"}, {"kind:category", "c"}} {
		who := h.oneOf("home", c.variant)
		h.happen(parseEvent(t, "5m a="+who+" type=view_item items=d category=socks"))
		if a := h.ask(`{"placement":"home","anonymous_id":"` + who + `","dry_run":true,"explain":true}`); a.Variant != c.variant || a.Items[0].ItemID != c.first || a.Explain == nil {
			t.Errorf("%s: %v", a.Variant, ids(a))
		}
	}
}

// TestArmsOfPagesMoreAndRank: all ways to ask agree on the arm, and a list goes on in its own, whoever asks and whatever has begun or
// ended meanwhile.
func TestArmsOfPagesMoreAndRank(t *testing.T) {
	h := shelf(t)
	h.shelf(control.KindPopular, ``)
	before := h.ask(`{"placement":"shelf","limit":1,"anonymous_id":"early"}`)
	h.runs(fleet("shelf"))
	plain, only := h.oneOf("shelf", "fleet:control"), h.oneOf("shelf", "fleet:only")
	for who, variant := range map[string]string{plain: "fleet:control", only: "fleet:only"} {
		page := h.page(`{"anonymous_id":"` + who + `","placements":[{"placement":"popular","limit":1},{"placement":"shelf"}]}`)
		if page.Lists[0].Variant != control.DefaultVariant || page.Lists[1].Variant != variant {
			t.Errorf("a page for %s is in %s and %s", variant, page.Lists[0].Variant, page.Lists[1].Variant)
		}
		if r := h.rank(`{"placement":"shelf","anonymous_id":"` + who + `","item_ids":["b","a"]}`); r.Variant != variant {
			t.Errorf("ranked for %s in %s", variant, r.Variant)
		} else if x, _, err := h.serving.recall(t.Context(), testSite, r.RecID); err != nil || x.Variant != variant {
			t.Errorf("recorded as %+v (%v)", x, err)
		}
	}
	more := func(of Answer, who, variant string, want ...string) Answer {
		t.Helper()
		a := h.ask(`{"placement":"shelf","anonymous_id":"` + who + `","more":"` + of.RecID + `"}`)
		if a.Variant != variant || !slices.Equal(ids(a), want) {
			t.Errorf("more is %v in %s, want %v in %s", ids(a), a.Variant, want, variant)
		}
		return a
	}
	first := h.ask(`{"placement":"shelf","anonymous_id":"` + only + `"}`)
	second := more(first, only, "fleet:only", "c")
	h.happen(parseEvent(t, "1m a="+only+" u="+plain+" type=view_item items=c")) // is somebody of the other arm from now on
	more(first, only, "fleet:only", "c")
	if a := h.ask(`{"placement":"shelf","anonymous_id":"` + only + `"}`); a.Variant != "fleet:control" {
		t.Errorf("the browser of a user of the other arm is in %s", a.Variant)
	}
	if a := h.ask(`{"placement":"popular","more":"` + first.RecID + `"}`); a.Variant != control.DefaultVariant {
		t.Errorf("more on another placement is in %s", a.Variant)
	}
	more(before, only, control.DefaultVariant, "b", "c", "d")
	h.stops("fleet")
	more(second, only, control.DefaultVariant, "b", "d")
}

// TestArmsOfAnotherNode: a node that has not started the experiment follows within a second, has everybody in the same arm, and follows
// when it is stopped.
func TestArmsOfAnotherNode(t *testing.T) {
	a := shelf(t)
	store, err := control.Open(t.Context(), a.controlAt)
	a.must(err)
	t.Cleanup(func() { a.must(store.Close()) })
	second := *a
	second.deps.Control, second.control = store, store
	b, _ := neighbour(t, &second)
	b.refresh()
	ask := func(h *house, who string) string {
		return h.ask(`{"placement":"popular","anonymous_id":"` + who + `","dry_run":true}`).Variant
	}
	if got := ask(b, "x"); got != control.DefaultVariant {
		t.Fatalf("before it begins: %s", got)
	}
	a.runs(fleet("popular"))
	// What is asked later than the age of a cache after the change knows of it, however long the machine stood still in between.
	follows := func(what string, holds func() bool) {
		t.Helper()
		changed := time.Now()
		waitFor(t, what, func() bool {
			age := time.Since(changed)
			held := holds()
			if !held && age > control.CacheAge {
				t.Fatalf("%s: an answer that was asked for %s later does not know of it", what, age)
			}
			return held
		})
	}
	follows("started", func() bool { return ask(b, "x") != control.DefaultVariant })
	for i := range 50 {
		if who := fmt.Sprint("v", i); ask(a, who) != ask(b, who) {
			t.Errorf("%s is in %s on one node and in %s on the other", who, ask(a, who), ask(b, who))
		}
	}
	a.stops("fleet")
	follows("stopped", func() bool { return ask(b, "x") == control.DefaultVariant })
}

// TestArmsUnderLoad: experiments come and go while lists are asked for; each list is whole in one variant.
func TestArmsUnderLoad(t *testing.T) {
	h := shelf(t)
	h.shelf(control.KindPopular, ``)
	stop := make(chan struct{})
	var group sync.WaitGroup
	for worker := range 3 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				a := h.ask(fmt.Sprintf(`{"placement":"shelf","anonymous_id":"w%d-%d","dry_run":true}`, worker, i))
				if only := len(a.Items) == 1; len(a.Items) != 4 && !only || only != (a.Variant != control.DefaultVariant && a.Variant[len(a.Variant)-5:] == ":only") {
					t.Errorf("%v in %s", ids(a), a.Variant)
				}
			}
		})
	}
	for i := range 5 {
		e := fleet("shelf")
		e.ID = fmt.Sprint("e", i)
		h.runs(e)
		h.ask(`{"placement":"shelf","anonymous_id":"me","dry_run":true}`)
		h.stops(e.ID)
	}
	close(stop)
	group.Wait()
}

// TestArmsAllocateNothing: a request pays a look into a table where no experiment runs, and a hash where one does.
func TestArmsAllocateNothing(t *testing.T) {
	h := shelf(t)
	request, v := &Request{Placement: "popular", AnonymousID: "somebody"}, &visitor{}
	for _, running := range []bool{false, true} {
		if running {
			h.runs(fleet("popular"))
		}
		h.serving.experiments.arm(t.Context(), testSite, request, v) // reads the table
		ctx := t.Context()
		if n := testing.AllocsPerRun(100, func() { h.serving.experiments.arm(ctx, testSite, request, v) }); n > 0 {
			t.Errorf("running %t: %g allocations", running, n)
		}
	}
}
