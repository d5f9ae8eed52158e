package serving

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// fakeLake has the lists, and the rows of items, that have landed, and of each partition of the items topic what is before landed.
type fakeLake struct {
	lists  map[string]*event.Exposure
	rows   map[string][]*event.CatalogueRow // by site and id, the newest first
	landed map[int32]int64
	err    error
}

func (f fakeLake) LandedItems(_ context.Context, _ int64, partition int32) (int64, error) {
	return f.landed[partition], f.err
}

func (f fakeLake) ItemHistory(_ context.Context, site, id string, below int64, limit int) (found []*event.CatalogueRow, _ error) {
	for _, row := range f.rows[site+":"+id] {
		if (below == 0 || row.Revision < below) && len(found) < limit {
			found = append(found, row)
		}
	}
	return found, f.err
}

func (f fakeLake) FindExposure(_ context.Context, site, recID string, at time.Time) (*event.Exposure, error) {
	x := f.lists[site+":"+recID]
	if x != nil && x.ServedAt.Sub(at).Abs() > time.Second {
		return nil, errors.New("the time that was asked for is not that of the list")
	}
	return x, f.err
}

// campShop is a house with a model of a few sessions.
func campShop(t *testing.T) *house {
	h := start(t)
	h.train([][]string{{"tent", "mat", "stove"}, {"tent", "mat"}, {"tent", "lamp"}})
	h.serving.models.poll(t.Context(), testSite)
	h.put(`{"item_id":"stove","available":false}`, `{"item_id":"mat","title":"Mat"}`, `{"item_id":"lamp"}`)
	return h
}

// TestRecall: a list is found in memory, and after that is gone in the log, and then in the lake, each time as it was shown.
func TestRecall(t *testing.T) {
	h := campShop(t)
	shown := h.ask(`{"placement":"session","anonymous_id":"b1","item_ids":["tent"],"explain":true}`)
	brief := h.ask(`{"placement":"session","anonymous_id":"b1","item_ids":["tent"]}`)
	logged := h.logged(2)
	lake := fakeLake{lists: map[string]*event.Exposure{}}
	for id, x := range logged {
		lake.lists[testSite+":"+id] = x
	}
	check := func(want string) {
		t.Helper()
		for _, a := range []Answer{shown, brief} {
			w := h.do(http.MethodGet, "/v1/recommendations/"+a.RecID, "")
			if w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			got := decode[ServedList](t, w.Body)
			if got.FoundIn != want || got.RecID != a.RecID || len(got.Items) != len(a.Items) || got.Inputs != nil {
				t.Errorf("%+v, want it from %s", got, want)
			}
			for i, it := range got.Items {
				if it.ItemID != a.Items[i].ItemID || it.Score != a.Items[i].Score {
					t.Errorf("position %d is %+v, shown was %+v", i, it, a.Items[i])
				}
			}
			full := a.RecID == shown.RecID
			if dropped := slices.ContainsFunc(got.Candidates, func(c event.ExposureCandidate) bool { return c.Dropped == droppedUnavailable }); dropped != full {
				t.Errorf("candidates of %s: %+v", a.RecID, got.Candidates)
			}
			if slices.Contains(got.Lacks, "candidates") == full {
				t.Errorf("lacks %v of a record with detail %s", got.Lacks, got.Detail)
			}
		}
	}
	check(FoundInMemory)
	h.serving.recent = newRecentLists()
	check(FoundInLog)
	h.serving.topics = deadLog{}
	h.serving.lists = lake
	check(FoundInLake)
}

// TestRecallOfWhatIsNotThere: an unknown list is a problem that says where was looked, and a house of which a part is away says that.
func TestRecallOfWhatIsNotThere(t *testing.T) {
	h := campShop(t)
	unknown := func(recID, kind string, status int) {
		t.Helper()
		w := h.do(http.MethodGet, "/v1/recommendations/"+recID, "")
		if got := decode[struct{ Type string }](t, w.Body).Type; w.Code != status || !strings.HasSuffix(got, kind) {
			t.Errorf("%s: %d %s", recID, w.Code, got)
		}
	}
	unknown("nonsense", ProblemUnknownList, 404)
	unknown("6ba7b810-9dad-41d1-80b4-00c04fd430c8", ProblemUnknownList, 404) // not of version 7
	unknown(event.NewID(noon), ProblemUnknownList, 404)
	h.serving.lists = fakeLake{}
	unknown(event.NewID(noon.Add(time.Hour)), ProblemUnknownList, 404)
	h.serving.lists = fakeLake{err: errors.New("no disk")}
	unknown(event.NewID(noon), ProblemUnavailable, 503)
	h.serving.lists, h.serving.topics = nil, deadLog{}
	unknown(event.NewID(noon), ProblemUnavailable, 503)
}

// TestRecallOfOthers: a list of another site is unknown, and so is one of a person who was erased, in every place.
func TestRecallOfOthers(t *testing.T) {
	h := campShop(t)
	shown := h.ask(`{"placement":"session","anonymous_id":"b1","item_ids":["tent"]}`)
	h.logged(1)
	_, other, err := h.control.CreateKey(t.Context(), control.NewKey{Site: "other", Kind: control.KeySecret})
	h.must(err)
	key := erasure.NewKey()
	h.must(h.control.UseErasureKey(t.Context(), &key))
	for _, place := range []string{FoundInMemory, FoundInLog} {
		if w := h.do(http.MethodGet, "/v1/recommendations/"+shown.RecID, "", "Authorization", "Bearer "+other); w.Code != 404 {
			t.Errorf("another site got it from %s: %d %s", place, w.Code, w.Body)
		}
		if w := h.do(http.MethodGet, "/v1/recommendations/"+shown.RecID, ""); w.Code != 200 {
			t.Errorf("%s: %d %s", place, w.Code, w.Body)
		}
		h.serving.recent = newRecentLists()
	}
	again := h.ask(`{"placement":"session","anonymous_id":"b1","item_ids":["tent"]}`)
	_, err = h.control.RequestErasure(t.Context(), erasure.Who{Site: testSite, Browser: "b1"})
	h.must(err)
	for _, a := range []Answer{shown, again} { // in the log, and in memory
		if w := h.do(http.MethodGet, "/v1/recommendations/"+a.RecID, ""); w.Code != 404 {
			t.Errorf("a list of an erased person is shown: %d %s", w.Code, w.Body)
		}
	}
}

// TestFindRecord: a search ends where records are too late to be the list, and not before.
func TestFindRecord(t *testing.T) {
	records := []kafka.Record{
		{Key: []byte("a"), Time: noon, Value: []byte(`{"rec_id":"a"}`)}, {Key: []byte("b"), Time: noon.Add(time.Minute), Value: []byte(`{"rec_id":"b"}`)},
	}
	for _, c := range []struct {
		key    string
		latest time.Time
		found  bool
		over   bool
	}{{"a", noon, true, true}, {"b", noon.Add(time.Minute), true, true}, {"c", noon.Add(time.Minute), false, false}, {"c", noon, false, true}} {
		x, over, err := findRecord(records, c.key, c.latest)
		if err != nil || (x != nil) != c.found || over != c.over || x != nil && x.RecID != c.key {
			t.Errorf("%+v: %+v, %v, %v", c, x, over, err)
		}
	}
}

// TestExplain: an explained answer says what spoke for each item and what was dropped, and is recorded in full unless it is a dry run.
func TestExplain(t *testing.T) {
	h := campShop(t)
	h.happen(parseEvent(t, "5m a=b1 type=view_item items=tent category=camping"))
	h.refresh()
	a := h.ask(`{"placement":"home","anonymous_id":"b1","explain":true,"exclude_ids":["lamp"]}`)
	e := a.Explain
	if e == nil || !e.Visitor.Known || !slices.Equal(e.Visitor.Items, []string{"tent"}) || len(e.Visitor.Categories) != 1 ||
		e.Visitor.Categories[0].Category != "camping" || e.Applied.Excluded != 1 || e.Applied.Bought != ItemsHidden || len(e.Items) != len(a.Items) {
		t.Fatalf("%+v", e)
	}
	for i, it := range e.Items {
		sum := 0.0
		for _, part := range it.Parts {
			sum += part.Score
		}
		if it.ItemID != a.Items[i].ItemID || it.Score != a.Items[i].Score || len(it.Parts) == 0 || it.Dropped != "" || sum < it.Score-1e-9 {
			t.Errorf("position %d: %+v", i, it)
		}
	}
	for id, why := range map[string]string{"stove": droppedUnavailable} {
		if !slices.ContainsFunc(e.Considered, func(c ExplainedItem) bool { return c.ItemID == id && c.Dropped == why && len(c.Parts) > 0 }) {
			t.Errorf("considered %+v do not say that %s was %s", e.Considered, id, why)
		}
	}
	var stages []string
	for _, s := range e.Stages {
		stages = append(stages, s.Stage)
	}
	if len(stages) < 4 || !slices.Equal(stages[:4], []string{stageVisitor, stageCandidates, stageRank, stageRerank}) {
		t.Errorf("stages %v", stages)
	}
	dry := h.ask(`{"placement":"home","anonymous_id":"b1","explain":true,"dry_run":true}`)
	if dry.Explain == nil || h.ask(`{"placement":"home"}`).Explain != nil {
		t.Error("an explanation is there where none was asked, or the other way round")
	}
	if w := h.do(http.MethodGet, "/v1/recommendations/"+dry.RecID, ""); w.Code != 404 {
		t.Errorf("a dry run is recorded: %d", w.Code)
	}
}
