package serving

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

// replayShop has a blend, visitors, items with and without rows, groups, brands and what is sold out.
func replayShop(t *testing.T) *house {
	h := start(t)
	var rows []string
	for i, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		rows = append(rows, `{"item_id":"`+id+`","title":"Item `+id+`","categories":["`+[]string{"camp", "road"}[i%2]+`"],"brand":"`+[]string{"x", "y", "z"}[i%3]+`","price":`+
			[]string{"10", "20", "30.5"}[i%3]+`,"item_group_id":"`+[]string{"", "", "g1", "", "", "g1", "", ""}[i]+`","available":`+[]string{"true", "false"}[i/7]+`}`)
	}
	h.put(rows...)
	h.must(h.serving.similar.fill(t.Context()))
	for range 20 {
		h.orders = append(h.orders, []string{"a", "b"}, []string{"c", "e"}, []string{"f"}, []string{"g"}, []string{"h"})
	}
	var sessions [][]string
	for i := range 60 {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
		sessions = append(sessions, []string{names[i%10], names[(i*3+1)%10], names[(i*7+2)%10], names[(i+1)%10]})
	}
	h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	for _, line := range []string{
		"60m a=fan type=view_item items=a category=camp", "50m a=fan type=view_item items=i category=road", "40m a=fan type=purchase items=b category=camp",
		"5m a=fan type=view_item items=c category=camp", "4m a=fan type=view_item items=d category=road", "30m a=else type=view_item items=j category=camp",
		"20m a=else type=view_item items=e category=road",
	} {
		h.happen(parseEvent(t, line))
	}
	h.refresh()
	h.serving.fullShare = 1
	return h
}

// replayed asks for a list, and makes it again.
func (h *house) replayed(request string) (Answer, *Replay) {
	h.tb.Helper()
	a := h.ask(request)
	r, err := h.serving.Replay(h.tb.Context(), testSite, a.RecID)
	h.must(err)
	return a, r
}

// TestReplay: a list of every kind is made again from its record alone, whatever the house has become since.
func TestReplay(t *testing.T) {
	h := replayShop(t)
	h.must(h.control.PutPlacement(t.Context(), control.Placement{
		Site: testSite, Name: "capped", Kind: control.KindHome, Limit: 6, Settings: json.RawMessage(`{"max_per_brand":1,"seen":"hide","seen_days":1,"diversity":0.4}`),
	}))
	requests := []string{
		`{"placement":"home","anonymous_id":"fan"}`, `{"placement":"session","anonymous_id":"fan"}`, `{"placement":"session","item_ids":["a","c"]}`,
		`{"placement":"item","item_ids":["a"]}`, `{"placement":"cart","item_ids":["a","c"]}`, `{"placement":"popular"}`, `{"placement":"trending"}`,
		`{"placement":"recent","anonymous_id":"fan"}`, `{"placement":"again","anonymous_id":"fan"}`, `{"placement":"explore","anonymous_id":"fan"}`,
		`{"placement":"home"}`, `{"placement":"capped","anonymous_id":"fan"}`, `{"placement":"home","anonymous_id":"fan","diversity":0.7,"limit":5}`,
		`{"placement":"home","anonymous_id":"fan","exclude_ids":["d","e"],"limit":3}`, `{"placement":"home","anonymous_id":"fan","strict":true}`,
		`{"placement":"home","anonymous_id":"fan","filter":"item.price < context.budget","context":{"budget":"25"}}`,
		`{"placement":"home","anonymous_id":"fan","boost":[{"filter":"item.brand == \"y\"","by":7}],"limit":4}`,
	}
	var answers []Answer
	for _, request := range requests {
		answers = append(answers, h.ask(request))
	}
	h.logged(len(requests))
	// What came later must not matter: other rows, other events, another placement, another model, an empty memory.
	h.put(`{"item_id":"a","available":false}`, `{"item_id":"c","brand":"y","price":1000}`, `{"item_id":"d","available":false}`)
	h.happen(parseEvent(t, "1m a=fan type=view_item items=g category=new"))
	h.must(h.control.PutPlacement(t.Context(), control.Placement{Site: testSite, Name: "capped", Kind: control.KindPopular, Limit: 1}))
	h.refresh()
	h.train([][]string{{"a", "h"}, {"h", "a"}})
	h.serving.models.poll(t.Context(), testSite)
	h.serving.recent = newRecentLists()
	families := map[string]bool{}
	for i, a := range answers {
		r, err := h.serving.Replay(t.Context(), testSite, a.RecID)
		if err != nil {
			t.Errorf("%s: %v", requests[i], err)
			continue
		}
		if !r.Identical || !r.Ranking.Identical || !r.Proposals.Identical || r.ModelVersion != a.ModelVersion || r.FoundIn != FoundInLog {
			t.Errorf("%s: %+v", requests[i], r)
		}
		for _, family := range r.Proposals.Compared {
			families[family] = true
		}
	}
	for _, family := range []string{"vstan", "transitions", "basket"} {
		if !families[family] {
			t.Errorf("the proposals of %s were compared in no list: %v", family, families)
		}
	}
}

// tampered is the record of a list as somebody has changed it.
func (h *house) tampered(recID string, change func(x *event.Exposure, in *inputs)) *Replay {
	h.tb.Helper()
	x, _, err := h.serving.recall(h.tb.Context(), testSite, recID)
	h.must(err)
	var in inputs
	h.must(json.Unmarshal(x.Inputs, &in))
	change(x, &in)
	x.Inputs, err = json.Marshal(&in)
	h.must(err)
	r, err := h.serving.replay(h.tb.Context(), x)
	h.must(err)
	return r
}

// TestReplayNoticesWhatDiffers: a record that was tampered with, and another version of the model, give no identical list.
func TestReplayNoticesWhatDiffers(t *testing.T) {
	h := replayShop(t)
	a, r := h.replayed(`{"placement":"session","anonymous_id":"fan"}`)
	if !r.Identical {
		t.Fatalf("%+v", r)
	}
	other := h.train([][]string{{"a", "h"}, {"h", "c", "e", "a"}, {"d", "e"}})
	for _, c := range []struct {
		name               string
		change             func(x *event.Exposure, in *inputs)
		ranking, proposals bool
	}{
		{"nothing", func(*event.Exposure, *inputs) {}, true, true},
		{"a score", func(x *event.Exposure, _ *inputs) { x.Items[1].Score *= 1.0000001 }, false, true},
		{"an item", func(x *event.Exposure, _ *inputs) { x.Items[0].ItemID = "zzz" }, false, true},
		{"two places", func(x *event.Exposure, _ *inputs) { x.Items[0], x.Items[1] = x.Items[1], x.Items[0] }, false, true},
		{"a shorter list", func(x *event.Exposure, _ *inputs) { x.Items = x.Items[:1] }, false, true},
		{"a row", func(_ *event.Exposure, in *inputs) { in.Rows[0].Available = !in.Rows[0].Available }, false, true},
		{"a proposal", func(_ *event.Exposure, in *inputs) { in.Stages[0].Sources[0].Scores[0] *= 2 }, false, false},
		{"a missing proposal", func(_ *event.Exposure, in *inputs) {
			s := &in.Stages[0].Sources[0]
			s.IDs, s.Scores, s.Origins = s.IDs[1:], s.Scores[1:], s.Origins[1:]
		}, false, false},
		{"another version", func(x *event.Exposure, _ *inputs) { x.ModelVersion = other.Version }, true, false},
		{"an unknown version", func(x *event.Exposure, _ *inputs) { x.ModelVersion = "20010101-000000-1" }, true, false},
		{"the profile", func(_ *event.Exposure, in *inputs) { in.Known, in.Request.ItemIDs = false, []string{"e"} }, true, false},
	} {
		r := h.tampered(a.RecID, c.change)
		if r.Ranking.Identical != c.ranking && c.name != "the profile" || r.Proposals.Identical != c.proposals || r.Identical != (c.ranking && c.proposals) {
			t.Errorf("%s: ranking %+v, proposals %+v", c.name, r.Ranking, r.Proposals)
		}
		if told := len(r.Ranking.Differences) + len(r.Proposals.Differences); r.Identical != (told == 0) {
			t.Errorf("%s: %d differences are told", c.name, told)
		}
	}
}

// TestReplaySaysWhatCannotBeComputed: where closed sessions lay over the version, the families that they changed are named.
func TestReplaySaysWhatCannotBeComputed(t *testing.T) {
	h := replayShop(t)
	a, _ := h.replayed(`{"placement":"home","anonymous_id":"fan"}`)
	r := h.tampered(a.RecID, func(_ *event.Exposure, in *inputs) { in.FreshSessions = 7 })
	for _, family := range []string{"vstan", "transitions"} {
		if !slices.ContainsFunc(r.Proposals.NotCompared, func(s string) bool { return strings.HasPrefix(s, family+": 7 sessions") }) {
			t.Errorf("%s is not named: %+v", family, r.Proposals)
		}
	}
	if !r.Proposals.Identical {
		t.Errorf("%+v", r.Proposals)
	}
}

// TestReplayOfACompactRecord: it is an error that says what to do, as it is of a list that is unknown.
func TestReplayOfACompactRecord(t *testing.T) {
	h := replayShop(t)
	h.serving.fullShare = 0
	a := h.ask(`{"placement":"home","anonymous_id":"fan"}`)
	if _, err := h.serving.Replay(t.Context(), testSite, a.RecID); !errors.Is(err, ErrCompactRecord) {
		t.Errorf("%v", err)
	}
	if _, err := h.serving.Replay(t.Context(), "other", a.RecID); !errors.Is(err, ErrUnknownList) {
		t.Errorf("another site: %v", err)
	}
	for body, status := range map[string]int{
		`{"site":"default","rec_id":"` + a.RecID + `"}`: 422, `{"site":"default","rec_id":"x"}`: 404, `{"site":"NO","rec_id":"x"}`: 400,
	} {
		if w := h.do(http.MethodPost, "/admin/recommendations:replay", body); w.Code != status {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
