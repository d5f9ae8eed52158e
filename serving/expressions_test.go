package serving

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// shelf is a shop of four items, which are wanted in the order of their names.
func shelf(t *testing.T) *house {
	t.Helper()
	h := start(t)
	h.put(
		`{"item_id":"a","categories":["shoes"],"brand":"Fleet","price":90}`,
		`{"item_id":"b","categories":["shoes"],"brand":"Other","price":40,"labels":["new","vegan"],"fields":{"sizes":[41,42]}}`,
		`{"item_id":"c","categories":["socks"],"brand":"Fleet","price":9,"fields":{"sizes":[38]}}`,
		`{"item_id":"d","categories":["socks"]}`,
	)
	for i, id := range []string{"a", "b", "c", "d"} {
		for range 9 - 2*i {
			h.happen(parseEvent(t, "5m a=v type=view_item items="+id))
		}
	}
	h.refresh()
	return h
}

// TestFiltersAndBoosts asks for the same popular list with several expressions.
func TestFiltersAndBoosts(t *testing.T) {
	h := shelf(t)
	for _, c := range []struct {
		request string
		want    []string
	}{
		{`"limit":4`, []string{"a", "b", "c", "d"}},
		{`"filter":"\"shoes\" in item.categories"`, []string{"a", "b"}},
		{`"filter":"\"shoes\" in item.categories && item.price < context.budget","context":{"budget":50}`, []string{"b"}},
		{`"filter":"\"shoes\" in item.categories && item.price < context.budget","context":{"budget":"50"}`, []string{"b"}},
		{`"filter":"context.vegan == (\"vegan\" in item.labels)","context":{"vegan":true}`, []string{"b"}},
		{`"filter":"item.price > 0"`, []string{"a", "b", "c"}}, // d has no price
		{`"filter":"!(item.price > 0)"`, nil},
		{`"filter":"context.size in item.fields.sizes","context":{"size":"42"}`, []string{"b"}},
		{`"filter":"item.item_id == \"d\"","exclude_ids":["d"]`, nil},
		{`"boost":[{"filter":"\"socks\" in item.categories","by":100}]`, []string{"c", "d", "a", "b"}},
		{`"boost":[{"filter":"item.brand == \"Fleet\"","by":0.01}]`, []string{"b", "d", "a", "c"}},
		{`"boost":[{"expr":"item.price < 10 ? 50 : 1"}]`, []string{"c", "a", "b", "d"}}, // d keeps its score
		{`"boost":[{"filter":"item.item_id == \"d\"","by":10},{"filter":"item.item_id == \"d\"","by":0.1}]`, []string{"a", "b", "c", "d"}},
		{`"boost":[{"filter":"item.item_id == \"d\"","by":100}],"filter":"item.brand != \"Fleet\""`, []string{"b"}},
	} {
		answer := h.ask(`{"placement":"popular",` + c.request + `}`)
		if got := ids(answer); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.request, got, c.want)
		}
	}
}

// TestFilterByURL asks by query parameters, whose values are all texts.
func TestFilterByURL(t *testing.T) {
	h := shelf(t)
	query := url.Values{
		"placement": {"popular"}, "filter": {`item.price < context.budget`}, "context.budget": {"50"},
		"boost": {`item.price < 10 ? 50.0 : 1.0`, `"socks" in item.categories ? 1.0 : 0.9`},
	}
	w := h.do(http.MethodGet, "/v1/recommend?"+query.Encode(), "")
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	if got := ids(decode[Answer](t, w.Body)); !slices.Equal(got, []string{"c", "b"}) {
		t.Errorf("%v, want c and b", got)
	}
}

// TestPlacementFilters: the filter of a placement goes with that of the request, and so do boosts.
func TestPlacementFilters(t *testing.T) {
	h := shelf(t)
	h.must(h.control.PutPlacement(t.Context(), control.Placement{
		Site: testSite, Name: "cheap", Kind: control.KindPopular, Limit: 4,
		Settings: json.RawMessage(`{"filter":"item.price < context.budget","boost":[{"filter":"item.item_id == \"c\"","by":20}]}`),
	}))
	for request, want := range map[string][]string{
		`"context":{"budget":50}`:                                                {"c", "b"},
		`"context":{"budget":100},"filter":"item.brand == \"Fleet\""`:            {"c", "a"},
		`"context":{"budget":100},"boost":[{"expr":"item.price > 80 ? 90 : 1"}]`: {"a", "c", "b"},
		`"limit":3`: nil, // without a budget nothing can be decided
	} {
		if got := ids(h.ask(`{"placement":"cheap",` + request + `}`)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", request, got, want)
		}
	}
}

// TestFilterIsRecorded looks into the exposure of a filtered list.
func TestFilterIsRecorded(t *testing.T) {
	h := shelf(t)
	h.serving.fullShare = 1
	h.ask(`{"placement":"popular","filter":"item.price < context.budget","context":{"budget":50,"sale":true},"boost":[{"filter":"item.price < 20","by":2}]}`)
	x := h.firstExposure()
	if x.Request.Filter != "item.price < context.budget" || !slices.Equal(x.Request.Boosts, []string{"(item.price < 20) ? 2 : 1.0"}) {
		t.Errorf("recorded request %+v", x.Request)
	}
	if x.Request.Context["budget"] != "50" || x.Request.Context["sale"] != "true" {
		t.Errorf("recorded context %v", x.Request.Context)
	}
	dropped := map[string]string{}
	for _, c := range x.Candidates {
		dropped[c.ItemID] = c.Dropped
	}
	if dropped["a"] != droppedFilter || dropped["d"] != droppedFilter || dropped["b"] != "" {
		t.Errorf("recorded candidates %v", dropped)
	}
}

// TestFilterOfWhatEventsSay filters items that the catalogue has no row of.
func TestFilterOfWhatEventsSay(t *testing.T) {
	h := start(t)
	h.happen(parseEvent(t, "5m a=v type=view_item items=x category=shoes name=Boot"))
	h.happen(parseEvent(t, "4m a=v type=view_item items=y category=socks"))
	h.refresh()
	for filter, want := range map[string][]string{
		`\"shoes\" in item.categories`:  {"x"},
		`item.title == \"Boot\"`:        {"x"},
		`!has(item.title)`:              {"y"},
		`item.item_id in [\"y\",\"z\"]`: {"y"},
		`item.fields.size > 3`:          nil,
	} {
		if got := ids(h.ask(`{"placement":"popular","filter":"` + filter + `"}`)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", filter, got, want)
		}
	}
}

// firstExposure waits for a record of the topic.
func (h *house) firstExposure() *event.Exposure {
	h.tb.Helper()
	x := &event.Exposure{}
	waitFor(h.tb, "an exposure", func() bool {
		for p := range int32(2) {
			result, err := h.client.Fetch(h.tb.Context(), kafka.FetchRequest{Topic: event.TopicExposures, Partition: p, MaxWait: time.Millisecond})
			h.must(err)
			if len(result.Records) > 0 {
				h.must(event.UnmarshalExposure(result.Records[0].Value, x))
				return true
			}
		}
		return false
	})
	return x
}
