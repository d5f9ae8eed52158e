package serving

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api/apifuzz"
	"github.com/millrace/millrace/internal/control"
)

// neighbourMark is in texts of the neighbour alone.
const neighbourMark = "Zwetschge"

// otherSite is another site of the house with the same ids as the one that is fuzzed, and what there is of it, by the name of the
// parameter that asks for it.
type otherSite struct {
	*house
	made map[string][]string
}

// newOtherSite moves in. Each of its records has neighbourMark in a text.
func newOtherSite(t *testing.T, of *house) *otherSite {
	h := *of
	h.site, h.newest, h.profiles, h.items = "neighbour", maps.Clone(of.newest), maps.Clone(of.profiles), maps.Clone(of.items)
	n := &otherSite{house: &h, made: map[string][]string{"item_id": {"tent", "mat", "stove", "shoe-1"}, "user_id": {"ada"}, "visitor": {"ada", "anonymous:fan"}}}
	var key control.Key
	key, h.secret = of.key(control.NewKey{Site: h.site, Kind: control.KeySecret, Label: neighbourMark})
	job, err := h.control.StartJob(t.Context(), "train", h.site, neighbourMark)
	h.must(err)
	for _, id := range n.made["item_id"] {
		h.put(fmt.Sprintf(`{"item_id":%q,"title":"%s %s","categories":["%s"],"price":77}`, id, neighbourMark, id, neighbourMark))
	}
	h.happen(parseEvent(t, "10m a=fan u=ada type=view_item items=tent category="+neighbourMark))
	h.happen(parseEvent(t, "5m a=fan type=purchase items=mat"))
	manifest := h.train([][]string{{"tent", "mat"}, {"tent", "mat", "stove"}, {"mat", "shoe-1"}})
	h.serving.models.poll(t.Context(), h.site)
	h.refresh()
	for _, name := range []string{"home", "popular"} {
		h.expect("placement", 200, "", http.MethodPut, "/v1/placements/"+name, `{"kind":"popular","limit":3,"browser_readable":true,"settings":{"filter":"item.price != 1.5"}}`)
	}
	h.expect("feed", 200, "", http.MethodPut, "/v1/feeds/main", `{"place":"https://shop.example/`+neighbourMark+`.xml","every_minutes":60}`)
	h.expect("user", 200, "", http.MethodPut, "/v1/users/ada", `{"attributes":{"tier":"`+neighbourMark+`"}}`)
	h.expect("signing secret", 200, "", http.MethodPost, "/v1/signing-secrets:rotate", "")
	erasure := decode[control.Erasure](t, h.expect("erasure", 202, "", http.MethodDelete, "/v1/users/gone", "").Body)
	_, err = h.control.PutRule(t.Context(), control.Rule{Site: h.site, ID: "main", Enabled: true, Filter: `item.price > 1 || item.title != "` + neighbourMark + `"`}, "")
	h.must(err)
	h.expect("experiment", 200, "", http.MethodPut, "/v1/experiments/main", `{"name":"`+neighbourMark+`","placement":"home","arms":[{"name":"a","weight":1},{"name":"b","weight":1,"limit":2}]}`)
	h.expect("its start", 200, "", http.MethodPost, "/v1/experiments/main:start", "")
	list := h.ask(`{"placement":"home","anonymous_id":"fan","user_id":"ada","explain":true}`)
	for name, id := range map[string]string{
		"key": key.ID, "job": job.ID, "version": manifest.Version, "name": "home", "feed": "main", "rule": "main", "experiment": "main", "erasure": erasure.ID, "rec_id": list.RecID,
	} {
		n.made[name] = []string{id}
	}
	return n
}

// asked are the values of the parameter in the path of an endpoint.
func (n *otherSite) asked(path, parameter string) []string {
	switch {
	case strings.HasPrefix(path, "/v1/items"):
		return n.made["item_id"]
	case strings.HasPrefix(path, "/v1/users/{id}/"):
		return n.made["visitor"]
	case strings.HasPrefix(path, "/v1/users"):
		return n.made["user_id"]
	case strings.HasPrefix(path, "/v1/jobs"):
		return n.made["job"]
	case strings.HasPrefix(path, "/v1/erasures"):
		return n.made["erasure"]
	case strings.HasPrefix(path, "/v1/feeds"):
		return n.made["feed"]
	case strings.HasPrefix(path, "/v1/rules"):
		return n.made["rule"]
	case strings.HasPrefix(path, "/v1/experiments"):
		return n.made["experiment"]
	}
	return n.made[parameter]
}

// shows is every answer to a GET of the document that is the neighbour's own, by its path.
func (n *otherSite) shows(handler http.Handler) map[string]string {
	n.tb.Helper()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	n.must(json.Unmarshal(n.get(handler, "/openapi.json").Body.Bytes(), &document))
	shown := map[string]string{}
	for path, methods := range document.Paths {
		if methods["get"] == nil || path == "/v1/recommend" { // that makes a list, below
			continue
		}
		head, rest, found := strings.Cut(path, "{")
		parameter, tail, _ := strings.Cut(rest, "}")
		values := []string{""}
		if found {
			if values = n.asked(path, parameter); len(values) == 0 {
				n.tb.Errorf("GET %s: say in asked what the neighbour has of it", path)
			}
		}
		for _, value := range values {
			target := head + url.PathEscape(value) + tail
			w := n.get(handler, target)
			if w.Code != http.StatusOK {
				n.tb.Errorf("the neighbour's GET %s: %d %s", target, w.Code, w.Body)
			}
			shown[target] = w.Body.String()
			if path == "/v1/status" { // what the node counts is of all its sites
				own := decode[status](n.tb, w.Body)
				own.Node = nil
				shown[target] = fmt.Sprintf("%+v", own)
			}
		}
	}
	for _, placement := range []string{"home", "popular"} {
		list := decode[Answer](n.tb, n.get(handler, "/v1/recommend?dry_run=true&anonymous_id=fan&placement="+placement).Body)
		shown[placement] = fmt.Sprint(list.ModelVersion, list.Variant, list.ServedBy, list.Items)
	}
	return shown
}

func (n *otherSite) get(handler http.Handler, target string) *httptest.ResponseRecorder {
	n.tb.Helper()
	r := httptest.NewRequestWithContext(n.tb.Context(), http.MethodGet, target, nil)
	r.Header.Set("Authorization", "Bearer "+n.secret)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// TestSitesAreApart asks for a moment; TestLongSitesAreApart for a minute.
func TestSitesAreApart(t *testing.T) { sitesAreApart(t, 700*time.Millisecond) }

func TestLongSitesAreApart(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_LONG") == "" {
		t.Skip("set MILLRACE_TEST_LONG=1 to let a site ask for its neighbour's for a minute")
	}
	sitesAreApart(t, time.Minute)
}

// sitesAreApart: whatever one site asks with its own key, of whichever id, also of those of its neighbour, no answer has a text of the
// neighbour, and the neighbour finds everything as it was. Endpoints are those of the document: a new one is asked too.
func sitesAreApart(t *testing.T, long time.Duration) {
	t.Helper()
	h, target := fuzzed(t)
	n := newOtherSite(t, h)
	h.happen(parseEvent(t, "3m a=stays type=view_item items=mat"))
	own := decode[control.Erasure](t, h.expect("erasure", 202, "", http.MethodDelete, "/v1/users/gone", "").Body)
	for parameter, values := range map[string][]string{
		"id": slices.Concat(n.made["key"], n.made["job"], n.made["erasure"]), "rec_id": n.made["rec_id"], "more": n.made["rec_id"], "rotateKey.id": n.made["key"],
		"revokeKey.id": n.made["key"], "getJob.id": n.made["job"], "stopExperiment.id": n.made["experiment"], "deleteExperiment.id": n.made["experiment"], "putExperiment.id": n.made["experiment"], "getErasure.id": append(n.made["erasure"], own.ID),
		"version": n.made["version"], "getUserFeatures.id": {"anonymous:stays"}, "eraseUser.id": {"ada", "anonymous:fan"},
	} {
		target.Known[parameter] = slices.Concat(target.Known[parameter], values)
	}
	before := n.shows(target.Handler)
	for path, shown := range before {
		if strings.HasPrefix(path, "/v1/items/") && !strings.Contains(shown, neighbourMark) {
			t.Fatalf("the neighbour does not see its own: %s: %s", path, shown)
		}
	}
	handler := target.Handler
	target.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, r)
		if strings.Contains(recorded.Body.String(), neighbourMark) {
			t.Errorf("%s %s shows the neighbour's: %s", r.Method, r.URL, recorded.Body)
		}
		maps.Copy(w.Header(), recorded.Header())
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(recorded.Body.Bytes()) // a recorder, too
	})
	target.For, target.Slow, target.Seed, target.MayFail = long, 5*time.Second, 7, true // success is what TestFuzzAPI wants
	t.Log(apifuzz.Run(t, target))
	after := n.shows(handler)
	for path, shown := range before {
		if after[path] != shown {
			t.Errorf("the neighbour's %s was\n%s\nand is\n%s", path, shown, after[path])
		}
	}
}
