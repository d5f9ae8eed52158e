package serving

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/filter"
	"github.com/millrace/millrace/internal/httpserver"
)

// TestProblems: every wrong request gets a stable type, says where and what to do, and costs nothing else.
func TestProblems(t *testing.T) {
	h := start(t)
	long := strings.Repeat("x", 129)
	many := func(n int) string { return `["` + strings.Join(numbered(n), `","`) + `"]` }
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		kind, pointer            string
		says                     string // in detail or hint
		headers                  []string
	}{
		{"unknown placement", "POST", "/v1/recommend", `{"placement":"homepage"}`, 404, ProblemUnknownPlacement, "/placement",
			"again, cart, explore, home, item, popular, recent, session, trending", nil},
		{"no placement", "POST", "/v1/recommend", `{}`, 400, httpserver.ProblemInvalidField, "/placement", "name a placement", nil},
		{"bad JSON", "POST", "/v1/recommend", `{"placement":`, 400, httpserver.ProblemInvalidJSON, "", "ends too early", nil},
		{"unknown field", "POST", "/v1/recommend", `{"placement":"home","user":"a"}`, 400, httpserver.ProblemUnknownField, "/user", "anonymous_id", nil},
		{"oversize body", "POST", "/v1/recommend", `{"placement":"` + strings.Repeat("x", MaxRequestBytes) + `"}`, 413,
			httpserver.ProblemBodyTooLarge, "", "262144 bytes", nil},
		{"no key", "POST", "/v1/recommend", `{"placement":"home"}`, 401, ProblemMissingKey, "", "millrace keys list", []string{"Authorization", ""}},
		{"wrong key", "POST", "/v1/recommend", `{"placement":"home"}`, 401, ProblemUnknownKey, "", "millrace keys create", []string{"Authorization", "Bearer sk_wrong"}},
		{"wrong public key", "GET", "/v1/recommend?placement=home&key=pk_wrong", "", 401, ProblemUnknownKey, "", "revoked", []string{"Authorization", ""}},
		{"secret key in the URL", "GET", "/v1/recommend?placement=home&key=" + h.secret, "", 401, httpserver.ProblemSecretInURL, "", "Bearer", []string{"Authorization", ""}},
		{"limit 0", "POST", "/v1/recommend", `{"placement":"home","limit":0}`, 400, httpserver.ProblemInvalidField, "/limit", "1 to 100", nil},
		{"limit 101", "GET", "/v1/recommend?placement=home&limit=101", "", 400, httpserver.ProblemInvalidField, "/limit", "1 to 100", nil},
		{"limit text", "GET", "/v1/recommend?placement=home&limit=ten", "", 400, httpserver.ProblemInvalidField, "/limit", "ten", nil},
		{"unknown parameter", "GET", "/v1/recommend?placement=home&item_id=a", "", 400, httpserver.ProblemUnknownField, "/item_id", "item_ids", nil},
		{"long id", "POST", "/v1/recommend", `{"placement":"session","item_ids":["a","` + long + `"]}`, 400, httpserver.ProblemInvalidField, "/item_ids/1", "128 bytes", nil},
		{"long user", "POST", "/v1/recommend", `{"placement":"home","user_id":"` + long + `"}`, 400, httpserver.ProblemInvalidField, "/user_id", "128 bytes", nil},
		{"many items", "POST", "/v1/recommend", `{"placement":"session","item_ids":` + many(101) + `}`, 400, httpserver.ProblemInvalidField, "/item_ids", "101", nil},
		{"many excluded", "POST", "/v1/recommend", `{"placement":"home","exclude_ids":` + many(1001) + `}`, 400, httpserver.ProblemInvalidField, "/exclude_ids", "1001", nil},
		{"item without item_ids", "POST", "/v1/recommend", `{"placement":"item"}`, 400, httpserver.ProblemInvalidField, "/item_ids", "needs item_ids", nil},
		{"after_event of nobody", "POST", "/v1/recommend", `{"placement":"home","after_event":"e"}`, 400, httpserver.ProblemInvalidField, "/after_event", "anonymous_id", nil},
		{"filter", "POST", "/v1/recommend", `{"placement":"home","filter":"item.prize < 10"}`, 400, ProblemExpression, "/filter", "line 1, column 5", nil},
		{"near filter", "POST", "/v1/recommend", `{"placement":"home","filter":"item.prize < 10"}`, 400, ProblemExpression, "/filter", "did you mean item.price?", nil},
		{"filter by missing context", "GET", "/v1/recommend?placement=home&filter=item.price+%3C+context.budget", "", 400, ProblemExpression, "/filter", `no "budget"`, nil},
		{"long filter", "POST", "/v1/recommend", `{"placement":"home","filter":"` + strings.Repeat("x", filter.MaxBytes+1) + `"}`, 400, ProblemExpression, "/filter", "the limit is 2048", nil},
		{"boost", "GET", "/v1/recommend?placement=home&boost=1&boost=x", "", 400, ProblemExpression, "/boost/1/expr", "not known", nil},
		{"boost without factor", "POST", "/v1/recommend", `{"placement":"home","boost":[{"filter":"item.available"}]}`, 400, ProblemExpression, "/boost/0/by", "0.01 to 100", nil},
		{"boost of nothing", "POST", "/v1/recommend", `{"placement":"home","boost":[{}]}`, 400, ProblemExpression, "/boost/0", "or an expr", nil},
		{"list in context", "POST", "/v1/recommend", `{"placement":"home","context":{"a":[1]}}`, 400, httpserver.ProblemInvalidField, "/context/a", "array", nil},
		{"diversity", "POST", "/v1/recommend", `{"placement":"home","diversity":1.5}`, 400, "invalid-field", "/diversity", "", nil},
		{"unknown item", "GET", "/v1/items/nope", "", 404, ProblemUnknownItem, "", "PUT /v1/items", nil},
		{"patch of an unknown item", "PATCH", "/v1/items/nope", `{"title":"x"}`, 404, ProblemUnknownItem, "", "", nil},
		{"delete of an unknown item", "DELETE", "/v1/items/nope", "", 404, ProblemUnknownItem, "", "", nil},
		{"item with a wrong price", "PUT", "/v1/items/a", `{"price":"cheap"}`, 400, ProblemInvalidItem, "/price", "must be a number", nil},
		{"item with an unknown field", "PUT", "/v1/items/a", `{"colour":"red"}`, 400, ProblemInvalidItem, "/colour", "fields", nil},
		{"item named twice", "PUT", "/v1/items/a", `{"item_id":"b"}`, 400, httpserver.ProblemInvalidField, "/item_id", "another item", nil},
		{"item of null", "PUT", "/v1/items/a", `null`, 400, httpserver.ProblemInvalidField, "", "null", nil},
		{"empty bulk", "POST", "/v1/items:bulk", ` `, 400, httpserver.ProblemInvalidJSON, "", "empty", nil},
		{"broken array", "POST", "/v1/items:bulk", `[{"item_id":"a"},`, 400, httpserver.ProblemInvalidJSON, "", "line 1", nil},
		{"many rows", "POST", "/v1/items:bulk", strings.Repeat("{}\n", MaxBulkRows+1), 413, "too-many-rows", "", "10000", nil},
		{"admin bulk of no site", "POST", "/admin/items:bulk?site=No", `[]`, 400, httpserver.ProblemInvalidField, "/site", "a-z", nil},
		{"bad page token", "GET", "/v1/items?page_token=!", "", 400, httpserver.ProblemInvalidField, "/page_token", "", nil},
		{"unknown visitor", "GET", "/v1/users/anonymous:nobody/features", "", 404, ProblemUnknownVisitor, "", "anonymous:ID", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(c.method, c.path, c.body, c.headers...)
			p := decode[httpserver.Problem](t, bytes.NewReader(w.Body.Bytes()))
			if w.Code != c.status || p.Status != c.status || p.Type != httpserver.ProblemPrefix+c.kind || p.Pointer != c.pointer {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if !strings.Contains(p.Detail+" "+p.Hint, c.says) {
				t.Errorf("does not say %q: %s", c.says, w.Body)
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Errorf("WWW-Authenticate %q with %d", w.Header().Get("WWW-Authenticate"), w.Code)
			}
		})
	}
}

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "id" + strconv.Itoa(i)
	}
	return list
}

// TestBrowserKey: what a page may ask with a public key, and that it may read the answer.
func TestBrowserKey(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a"}`)
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		kind                     string
	}{
		{"key in the URL", "POST", "/v1/recommend?key=" + h.public, `{"placement":"home","anonymous_id":"b"}`, []string{"Origin", testOrigin}, 200, ""},
		{"key in the header", "GET", "/v1/recommend?placement=home", "", []string{"Origin", testOrigin, httpserver.HeaderKey, h.public}, 200, ""},
		{"same origin, which sends no Origin with GET", "GET", "https://shop.example/v1/recommend?placement=home&key=" + h.public, "",
			[]string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"same origin, plain HTTP in a local network", "GET", "/v1/recommend?placement=home&key=" + h.public, "",
			[]string{"Referer", testOrigin + "/shoes?x=1"}, 200, ""},
		{"another page without an Origin", "GET", "/v1/recommend?placement=home&key=" + h.public, "",
			[]string{"Referer", "https://evil.example/"}, 403, ProblemOrigin},
		{"another origin", "GET", "/v1/recommend?placement=home&key=" + h.public, "", []string{"Origin", "https://evil.example"}, 403, ProblemOrigin},
		{"no origin", "GET", "/v1/recommend?placement=home&key=" + h.public, "", nil, 403, ProblemOrigin},
		{"a placement that is not open", "GET", "/v1/recommend?placement=trending&key=" + h.public, "", []string{"Origin", testOrigin}, 403, ProblemNotReadable},
		{"a named user", "GET", "/v1/recommend?placement=home&user_id=ada&key=" + h.public, "", []string{"Origin", testOrigin}, 403, ProblemUserToken},
		{"the catalogue", "GET", "/v1/items?key=" + h.public, "", []string{"Origin", testOrigin}, 403, ProblemSecretKey},
		{"somebody's features", "GET", "/v1/users/ada/features?key=" + h.public, "", []string{"Origin", testOrigin}, 403, ProblemSecretKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := h.do(c.method, c.path, c.body, append([]string{"Authorization", ""}, c.headers...)...)
			if w.Code != c.status || c.kind != "" && !strings.Contains(w.Body.String(), httpserver.ProblemPrefix+c.kind+`"`) {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			allowed := w.Header().Get("Access-Control-Allow-Origin")
			if len(c.headers) > 0 && c.headers[0] == "Origin" && strings.HasPrefix(c.path, "/v1/recommend") && (allowed == c.headers[1]) != (c.kind != ProblemOrigin) {
				t.Errorf("Access-Control-Allow-Origin %q", allowed)
			}
		})
	}
	w := h.do("OPTIONS", "/v1/recommend", "", "Authorization", "", "Origin", testOrigin)
	if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") != testOrigin ||
		!strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), httpserver.HeaderKey) {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// TestRevokedKeyStops: at once in the process that revoked it.
func TestRevokedKeyStops(t *testing.T) {
	h := start(t)
	key, secret, err := h.control.CreateKey(t.Context(), control.NewKey{Site: testSite, Kind: control.KeySecret})
	h.must(err)
	ask := func() int {
		return h.do("GET", "/v1/recommend?placement=home", "", "Authorization", "Bearer "+secret).Code
	}
	if code := ask(); code != 200 {
		t.Fatalf("before: %d", code)
	}
	h.must(h.control.RevokeKey(t.Context(), testSite, key.ID))
	if code := ask(); code != 401 {
		t.Errorf("after: %d", code)
	}
}

// TestCorruptModelKeepsServing: the version in force stays, the damage is reported once with what to do, and a sound
// version comes into force.
func TestCorruptModelKeepsServing(t *testing.T) {
	var logged bytes.Buffer
	h := newHouse(t)
	h.deps.Log = slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError}))
	h.open()
	h.must(h.serving.loadCatalogue(t.Context()))
	sessions := [][]string{{"tent", "mat"}, {"tent", "mat"}, {"tent", "stove"}}
	sound := h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	damaged := h.train(append(sessions, []string{"tent", "stove"}))
	path := h.registry.Location(testSite + "/" + damaged.Version + "/vstan.arrow")
	content, err := os.ReadFile(path)
	h.must(err)
	content[len(content)/2] ^= 1
	h.must(os.Chmod(path, 0o600))
	h.must(os.WriteFile(path, content, 0o600))
	for range 3 {
		h.serving.models.poll(t.Context(), testSite)
	}
	answer := h.ask(`{"placement":"session","item_ids":["tent"]}`)
	if answer.ModelVersion != sound.Version || answer.Degraded != "none" || len(answer.Items) == 0 {
		t.Errorf("after the damage: %+v", answer)
	}
	log := logged.String()
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "vstan.arrow") || !strings.Contains(log, "millrace train") ||
		!strings.Contains(log, sound.Version+" is in force instead") {
		t.Errorf("logged %s", log)
	}

	newer := h.train(sessions)
	h.serving.models.poll(t.Context(), testSite)
	if answer := h.ask(`{"placement":"session","item_ids":["tent"]}`); answer.ModelVersion != newer.Version {
		t.Errorf("a sound version did not come into force: %+v", answer)
	}
}

func TestReadiness(t *testing.T) {
	h := newHouse(t).open()
	if err := h.serving.Ready(); err == nil {
		t.Error("ready before the catalogue is loaded")
	}
	h.must(h.serving.loadCatalogue(t.Context()))
	h.serving.modelsPolled.Store(true)
	if err := h.serving.Ready(); err == nil {
		t.Error("ready before the closed sessions are read, or are known to be out of reach")
	}
	h.serving.overlay.reached.Store(true)
	if err := h.serving.Ready(); err != nil {
		t.Errorf("with a catalogue, no model and Kafka unread: %v", err)
	}
}

// Who meets a bound of the installation is told which, and does not get a fault of the server.
func TestBoundsAreNoFaults(t *testing.T) {
	for err, problem := range map[error]func(error) *httpserver.Problem{
		control.ErrTooManyFeeds: feedProblem, control.ErrLongFeed: feedProblem, control.ErrTooManyKeys: keyProblem,
		control.ErrTooManyPlacements: placementProblem, control.ErrTooManyRules: ruleProblem, control.ErrLongRule: ruleProblem,
	} {
		if p := problem(fmt.Errorf("put it: %w", err)); p.Status != http.StatusBadRequest || p.Cause != nil || p.Detail != err.Error() {
			t.Errorf("%v is answered with %+v", err, p)
		}
	}
}
