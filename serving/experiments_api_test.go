package serving

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// TestExperimentsAreRefusedWithTheirPlace: what is wrong with a draft is said with its place and what to do.
func TestExperimentsAreRefusedWithTheirPlace(t *testing.T) {
	h := start(t)
	h.expect("a placement", 200, "", http.MethodPut, "/v1/placements/facts", `{"kind":"popular","limit":4}`)
	arms := func(second string) string { return `"arms":[{"name":"control","weight":1},` + second + `]` }
	for _, c := range []struct{ what, body, kind, says string }{
		{"an unknown placement", `{"placement":"gone",` + arms(`{"name":"b","weight":1}`) + `}`, ProblemUnknownPlacement, `"pointer":"/placement"`},
		{"no placement", `{` + arms(`{"name":"b","weight":1}`) + `}`, httpserver.ProblemInvalidField, `placement`},
		{"one arm", `{"placement":"home","arms":[{"name":"a","weight":1}]}`, httpserver.ProblemInvalidField, `"pointer":"/arms"`},
		{"too many arms", `{"placement":"home","arms":[` + strings.Repeat(`{"name":"a","weight":1},`, control.MaxArms) + `{"name":"b","weight":1}]}`, httpserver.ProblemInvalidField, `"pointer":"/arms"`},
		{"a name twice", `{"placement":"home",` + arms(`{"name":"control","weight":1}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/name"`},
		{"a reserved name", `{"placement":"home",` + arms(`{"name":"default","weight":1}`) + `}`, httpserver.ProblemInvalidField, `call it control`},
		{"a bad name", `{"placement":"home",` + arms(`{"name":"B:c","weight":1}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/name"`},
		{"no weight", `{"placement":"home",` + arms(`{"name":"b"}`) + `}`, httpserver.ProblemInvalidField, `weight`},
		{"a weight of 0", `{"placement":"home",` + arms(`{"name":"b","weight":0}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/weight"`},
		{"a negative weight", `{"placement":"home",` + arms(`{"name":"b","weight":-3}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/weight"`},
		{"a broken weight", `{"placement":"home",` + arms(`{"name":"b","weight":0.5}`) + `}`, httpserver.ProblemInvalidField, `not an integer`},
		{"a list too long", `{"placement":"home",` + arms(`{"name":"b","weight":1,"limit":101}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/limit"`},
		{"an unknown setting", `{"placement":"home",` + arms(`{"name":"b","weight":1,"settings":{"divresity":1}}`) + `}`, httpserver.ProblemUnknownField, `"pointer":"/arms/1/settings/divresity"`},
		{"a setting beyond its limits", `{"placement":"home",` + arms(`{"name":"b","weight":1,"settings":{"diversity":7}}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/settings/diversity"`},
		{"a setting that the kind has not", `{"placement":"facts",` + arms(`{"name":"b","weight":1,"settings":{"exploration":0.1}}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/settings/exploration"`},
		{"a filter that nobody understands", `{"placement":"home",` + arms(`{"name":"b","weight":1,"settings":{"filter":"item.prize < 3"}}`) + `}`, ProblemExpression, `"pointer":"/arms/1/settings/filter"`},
		{"settings that are no object", `{"placement":"home",` + arms(`{"name":"b","weight":1,"settings":[1]}`) + `}`, httpserver.ProblemInvalidField, `"pointer":"/arms/1/settings"`},
		{"an unknown field", `{"placement":"home","state":"running",` + arms(`{"name":"b","weight":1}`) + `}`, httpserver.ProblemUnknownField, `"pointer":"/state"`},
	} {
		w := h.do(http.MethodPut, "/v1/experiments/which", c.body)
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), httpserver.ProblemPrefix+c.kind+`"`) || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %s with %s", c.what, w.Code, w.Body, c.kind, c.says)
		}
	}
	h.expect("a bad id", 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/experiments/A", `{}`)
	h.expect("none was stored", 404, ProblemUnknownExperiment, http.MethodGet, "/v1/experiments/which", "")
}

// TestExperimentsByHTTP goes the way of an operator: draft, change what was read, start, find that it stays as it is and so does its
// placement, stop, begin another, delete.
func TestExperimentsByHTTP(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a"}`, `{"item_id":"b"}`, `{"item_id":"c"}`)
	const (
		path, next = "/v1/experiments/which", "/v1/experiments/next"
		body       = `{"name":"Which","placement":"popular","arms":[{"name":"control","weight":50},{"name":"short","weight":50,"limit":1,"settings":{"diversity":0.5,"sources":null}}]}`
		placement  = `{"kind":"popular","limit":2}`
	)
	for _, c := range []struct {
		method, path, body, header, value string
		status                            int
		says                              string
	}{
		{"GET", path, "", "", "", 404, ProblemUnknownExperiment},
		{"POST", path + ":start", "", "", "", 404, ProblemUnknownExperiment},
		{"POST", path + ":stop", "", "", "", 404, ProblemUnknownExperiment},
		{"DELETE", path, "", "", "", 404, ProblemUnknownExperiment},
		{"PUT", path, body, "If-Match", `"1"`, 412, ProblemChanged},
		{"PUT", path, body, "If-None-Match", "*", 200, `"state":"draft"`},
		{"PUT", path, body, "If-None-Match", "*", 412, ProblemChanged},
		{"PUT", path, body, "If-Match", `"1"`, 200, `"revision":2`},
		{"POST", path + ":stop", "", "", "", 409, "start it first"},
		{"POST", path + ":start", "", "If-Match", `"1"`, 412, ProblemChanged},
		{"PUT", "/v1/placements/popular", placement, "", "", 200, `"limit":2`},
		{"POST", path + ":start", "", "If-Match", `"2"`, 200, `"state":"running"`},
		{"POST", path + ":start", "", "", "", 200, `"revision":3`},
		{"PUT", path, body, "", "", 409, "begin another under a new id"},
		{"DELETE", path, "", "", "", 409, "what runs stays as it is"},
		{"PUT", "/v1/placements/popular", placement, "", "", 409, "POST /v1/experiments/which:stop ends it"},
		{"DELETE", "/v1/placements/popular", "", "", "", 409, ProblemPlacementTested},
		{"PUT", next, body, "", "", 200, `"state":"draft"`},
		{"POST", next + ":start", "", "", "", 409, ProblemPlacementTested},
		{"GET", "/v1/experiments", "", "", "", 200, `"experiment_id":"which"`},
		{"POST", path + ":stop", "", "If-Match", `"2"`, 412, ProblemChanged},
		{"POST", path + ":stop", "", "If-Match", `"3"`, 200, `"stopped_at":`},
		{"POST", path + ":stop", "", "", "", 200, `"revision":4`},
		{"POST", path + ":start", "", "", "", 409, "begin another under a new id"},
		{"GET", path, "", "", "", 200, `"settings":{"diversity":0.5,"sources":null}`},
		{"PUT", "/v1/placements/popular", placement, "", "", 200, `"limit":2`},
		{"POST", next + ":start", "", "", "", 200, `"state":"running"`},
		{"DELETE", path, "", "If-Match", `"3"`, 412, ProblemChanged},
		{"DELETE", path, "", "", "", 204, ""},
		{"GET", path, "", "", "", 404, ProblemUnknownExperiment},
		{"GET", "/v1/audit", "", "", "", 200, `"experiment.stop"`},
	} {
		w := h.do(c.method, c.path, c.body, c.header, c.value)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
	}
	if a := h.ask(`{"placement":"popular","anonymous_id":"` + h.oneOf("popular", "next:short") + `"}`); a.Variant != "next:short" || len(a.Items) != 1 {
		t.Errorf("%v in %s", ids(a), a.Variant)
	}
}

// TestExperimentsStartOnThePlacementAsItIs: a draft that suits its placement no longer is not started.
func TestExperimentsStartOnThePlacementAsItIs(t *testing.T) {
	h := start(t)
	h.expect("a placement", 200, "", http.MethodPut, "/v1/placements/side", `{"kind":"home","limit":4}`)
	h.expect("a draft", 200, "", http.MethodPut, "/v1/experiments/which", `{"placement":"side","arms":[{"name":"a","weight":1},{"name":"b","weight":1,"settings":{"exploration":0.2}}]}`)
	h.expect("another kind", 200, "", http.MethodPut, "/v1/placements/side", `{"kind":"popular","limit":4}`)
	h.expect("start", 400, httpserver.ProblemInvalidField, http.MethodPost, "/v1/experiments/which:start", "")
	h.expect("deletion", 204, "", http.MethodDelete, "/v1/placements/side", "")
	h.expect("start without a placement", 404, ProblemUnknownPlacement, http.MethodPost, "/v1/experiments/which:start", "")
	h.expect("the placement again", 200, "", http.MethodPut, "/v1/placements/side", `{"kind":"home","limit":4}`)
	h.expect("start with it", 200, "", http.MethodPost, "/v1/experiments/which:start", "")
}
