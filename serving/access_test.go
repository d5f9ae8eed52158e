package serving

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/ratelimit"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/internal/usertoken"
)

// key makes a key and returns its secret.
func (h *house) key(n control.NewKey) (control.Key, string) {
	h.tb.Helper()
	if n.Site == "" {
		n.Site = testSite
	}
	key, secret, err := h.control.CreateKey(h.tb.Context(), n)
	h.must(err)
	return key, secret
}

func bearer(secret string) []string { return []string{"Authorization", "Bearer " + secret} }

// expect sends a request and wants this status, with this problem where that is not empty.
func (h *house) expect(what string, status int, kind, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	h.tb.Helper()
	w := h.do(method, path, body, headers...)
	if w.Code != status || kind != "" && !strings.Contains(w.Body.String(), `"`+httpserver.ProblemPrefix+kind+`"`) {
		h.tb.Errorf("%s: %d %s, want %d %s", what, w.Code, w.Body, status, kind)
	}
	if (w.Code == http.StatusUnauthorized) != (w.Header().Get("WWW-Authenticate") != "") {
		h.tb.Errorf("%s: WWW-Authenticate %q with %d", what, w.Header().Get("WWW-Authenticate"), w.Code)
	}
	return w
}

// A page is told no more than a list: what is held back, and by which rule, is between a server and Millrace.
func TestPagesAreNotExplained(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"hat"}`)
	page := []string{"Authorization", "", "Origin", testOrigin, httpserver.HeaderKey, h.public}
	const list = `{"placement":"home","anonymous_id":"b1","explain":true}`
	h.expect("by POST", 403, ProblemSecretKey, http.MethodPost, "/v1/recommend", list, page...)
	h.expect("by GET", 403, ProblemSecretKey, http.MethodGet, "/v1/recommend?placement=home&explain=true", "", page...)
	h.expect("of a page", 403, ProblemSecretKey, http.MethodPost, "/v1/recommend:batch", `{"placements":[{"placement":"home"},{"placement":"home","explain":true}]}`, page...)
	h.expect("by a server", 200, "", http.MethodPost, "/v1/recommend", list)
}

// TestUserTokens: a page gets the list of the user whom the shop's server has signed for, of no other, and not for ever.
func TestUserTokens(t *testing.T) {
	h := newHouse(t)
	sealKey := seal.NewKey()
	h.control.UseSealKey(&sealKey)
	h.run()
	h.put(`{"item_id":"hat","title":"Hat"}`, `{"item_id":"bag","title":"Bag"}`)
	h.happen(parseEvent(t, "2m a=phone u=ada type=view_item items=hat"))
	_, former, err := h.control.RotateSigningSecret(t.Context(), testSite, 0)
	h.must(err)
	_, secret, err := h.control.RotateSigningSecret(t.Context(), testSite, time.Hour)
	h.must(err)
	_, otherSecret, err := h.control.RotateSigningSecret(t.Context(), "other", 0)
	h.must(err)
	h.must(h.control.PutPlacement(t.Context(), control.Placement{Site: testSite, Name: "recent", Kind: control.KindRecent, Limit: 5, BrowserReadable: true}))
	sign := func(secret, site, user string, life time.Duration) string {
		return usertoken.Sign(secret, usertoken.Claims{Site: site, User: user, Expires: noon.Add(life)})
	}
	token := sign(secret, testSite, "ada", time.Hour)
	page := func(headers ...string) []string {
		return append([]string{"Authorization", "", "Origin", testOrigin, httpserver.HeaderKey, h.public}, headers...)
	}
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		kind       string
	}{
		{"by field", `{"placement":"recent","user_token":"` + token + `"}`, page(), 200, ""},
		{"by header", `{"placement":"recent"}`, page(HeaderUserToken, token), 200, ""},
		{"with its user", `{"placement":"recent","user_id":"ada","user_token":"` + token + `"}`, page(), 200, ""},
		{"of the secret before", `{"placement":"recent","user_token":"` + sign(former, testSite, "ada", time.Hour) + `"}`, page(), 200, ""},
		{"from a server, which would not need one", `{"placement":"recent","user_token":"` + token + `"}`, nil, 200, ""},
		{"for another user", `{"placement":"recent","user_id":"bob","user_token":"` + token + `"}`, page(), 403, ProblemTokenOther},
		{"without a token", `{"placement":"recent","user_id":"ada"}`, page(), 403, ProblemUserToken},
		{"of another site's secret", `{"placement":"recent","user_token":"` + sign(otherSecret, testSite, "ada", time.Hour) + `"}`, page(), 401, ProblemTokenInvalid},
		{"for another site", `{"placement":"recent","user_token":"` + sign(secret, "other", "ada", time.Hour) + `"}`, page(), 401, ProblemTokenInvalid},
		{"expired", `{"placement":"recent","user_token":"` + sign(secret, testSite, "ada", -2*time.Minute) + `"}`, page(), 401, ProblemTokenExpired},
		{"for a week", `{"placement":"recent","user_token":"` + sign(secret, testSite, "ada", 7*24*time.Hour) + `"}`, page(), 401, ProblemTokenInvalid},
		{"a wrong one from a server", `{"placement":"recent","user_id":"ada","user_token":"x"}`, nil, 401, ProblemTokenInvalid},
		{"from a page of another origin", `{"placement":"recent","user_token":"` + token + `"}`, append(page(), "Origin", "https://evil.example"), 403, ProblemOrigin},
		{"for a placement that is not open", `{"placement":"trending","user_token":"` + token + `"}`, page(), 403, ProblemNotReadable},
	} {
		w := h.expect(c.name, c.status, c.kind, http.MethodPost, "/v1/recommend", c.body, c.headers...)
		if c.status != http.StatusOK {
			continue
		}
		if list := ids(decode[Answer](t, w.Body)); len(list) == 0 || list[0] != "hat" {
			t.Errorf("%s: the list is not hers: %v", c.name, list)
		}
	}
	w := h.do(http.MethodGet, "/v1/recommend?placement=recent&user_token="+token, "", page()...)
	if list := ids(decode[Answer](t, w.Body)); w.Code != http.StatusOK || len(list) == 0 || list[0] != "hat" {
		t.Errorf("by query: %d %v", w.Code, list)
	}
	for path, body := range map[string]string{
		"/v1/recommend:batch": `{"user_token":"%s","placements":[{"placement":"recent"}]}`,
		"/v1/rank":            `{"user_token":"%s","placement":"recent","item_ids":["hat"]}`,
	} {
		h.expect(path, http.StatusOK, "", http.MethodPost, path, fmt.Sprintf(body, token), page()...)
		w := h.expect(path+" with a wrong token", http.StatusUnauthorized, ProblemTokenInvalid, http.MethodPost, path, fmt.Sprintf(body, "x"), page()...)
		if !strings.Contains(w.Body.String(), `"/user_token"`) {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
	batch := h.do(http.MethodPost, "/v1/recommend:batch", `{"user_token":"`+token+`","placements":[{"placement":"recent"}]}`, page()...)
	if lists := decode[PageAnswer](t, batch.Body).Lists; len(lists) != 1 || ids(*lists[0])[0] != "hat" {
		t.Errorf("the lists of the page are not hers: %+v", lists)
	}
	// Nobody learns whether a user exists: the answers for one that does not are the same.
	a := h.do(http.MethodPost, "/v1/recommend", `{"placement":"recent","user_id":"nobody"}`, page()...)
	b := h.do(http.MethodPost, "/v1/recommend", `{"placement":"recent","user_id":"ada"}`, page()...)
	if a.Code != b.Code || a.Body.String() != b.Body.String() {
		t.Errorf("a known user is told from an unknown one:\n%s%s", a.Body, b.Body)
	}
}

// TestScopes: each endpoint answers a key that has its scope alone, and no other; without a scope of its own it would be the
// administrator's.
func TestScopes(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a"}`)
	needs := map[control.Scope][]string{
		control.ScopeRecommend:  {"GET /v1/recommendations/none", "POST /v1/recommend", "GET /v1/recommend?placement=home"},
		control.ScopeItemsRead:  {"GET /v1/items", "GET /v1/items/a"},
		control.ScopeItemsWrite: {"PUT /v1/items/a", "PATCH /v1/items/a", "POST /v1/items:bulk", "DELETE /v1/items/b"},
		control.ScopeUsers: {"GET /v1/users/ada", "PUT /v1/users/ada", "GET /v1/users/ada/features", "GET /v1/users/ada/export", "DELETE /v1/users/ada",
			"GET /v1/erasures/none"},
		control.ScopeModels: {"GET /v1/models", "POST /v1/models/none:promote", "POST /v1/models:rollback"},
		control.ScopeAdmin: {"GET /v1/keys", "POST /v1/keys", "POST /v1/keys/none:rotate", "POST /v1/keys/none:revoke", "GET /v1/signing-secrets",
			"GET /v1/audit", "GET /v1/jobs", "GET /v1/jobs/none", "GET /v1/placements", "GET /v1/placements/home", "PUT /v1/placements/home", "DELETE /v1/placements/none",
			"GET /v1/status"},
	}
	for _, scope := range control.Scopes() {
		_, secret := h.key(control.NewKey{Kind: control.KeySecret, Scopes: []control.Scope{scope}})
		for of, requests := range needs {
			for _, request := range requests {
				method, path, _ := strings.Cut(request, " ")
				w := h.do(method, path, `{"placement":"home"}`, bearer(secret)...)
				refused := w.Code == http.StatusForbidden && strings.Contains(w.Body.String(), httpserver.ProblemPrefix+ProblemScope+`"`)
				if refused != (of != scope) {
					t.Errorf("%s with scope %s: %d %s", request, scope, w.Code, w.Body)
				}
			}
		}
	}
}

// TestLimits: a key over its rate gets 429 with when to come back, from every endpoint, and others are answered.
func TestLimits(t *testing.T) {
	h := newHouse(t)
	h.deps.Limits = ratelimit.NewGuard(ratelimit.Config{KeyRate: 1000, NetworkRate: 5, Now: func() time.Time { return noon }})
	h.run()
	h.put(`{"item_id":"a"}`)
	_, slow := h.key(control.NewKey{Kind: control.KeySecret, Rate: 1})
	var last *httptest.ResponseRecorder
	for range 11 {
		last = h.do(http.MethodPost, "/v1/recommend", `{"placement":"home"}`, bearer(slow)...)
	}
	if last.Code != http.StatusTooManyRequests || last.Header().Get("Retry-After") == "" || last.Header().Get("RateLimit-Remaining") != "0" {
		t.Errorf("over the rate: %d %v %s", last.Code, last.Header(), last.Body)
	}
	h.expect("another endpoint", 429, ratelimit.ProblemTooManyRequests, http.MethodGet, "/v1/items", "", bearer(slow)...)
	h.expect("another key", 200, "", http.MethodPost, "/v1/recommend", `{"placement":"home"}`)
	for range 10 { // whoever tries keys
		h.do(http.MethodGet, "/v1/items", "", bearer("sk_guess")...)
	}
	h.expect("the eleventh guess", 429, ratelimit.ProblemTooManyRequests, http.MethodGet, "/v1/items", "", bearer("sk_guess")...)
	h.expect("a page from there", 429, ratelimit.ProblemTooManyRequests, http.MethodGet, "/v1/recommend?placement=home", "", "Authorization", "", httpserver.HeaderKey, h.public, "Origin", testOrigin)
	h.expect("a server from there", 200, "", http.MethodPost, "/v1/recommend", `{"placement":"home"}`)
}

// TestKeyEndpoints: keys are made, listed, rotated and ended over HTTP, and none makes one that may do more than itself.
func TestKeyEndpoints(t *testing.T) {
	h := start(t)
	_, admin := h.key(control.NewKey{Kind: control.KeySecret, Scopes: []control.Scope{control.ScopeAdmin, control.ScopeRecommend}, Rate: 100})
	theirs, _ := h.key(control.NewKey{Site: "other", Kind: control.KeySecret})
	strong, _ := h.key(control.NewKey{Kind: control.KeySecret})
	for _, c := range []struct {
		name, body string
		status     int
		kind       string
	}{
		{"what it has", `{"kind":"secret","scopes":["recommend"],"rate":100}`, 201, ""},
		{"a read key", `{"kind":"read","origins":["https://shop.example"],"rate":5}`, 201, ""},
		{"everything", `{"kind":"secret","rate":100}`, 403, ProblemMoreRights},
		{"another scope", `{"kind":"secret","scopes":["users"],"rate":100}`, 403, ProblemMoreRights},
		{"a write key", `{"kind":"write","rate":100}`, 403, ProblemMoreRights},
		{"a faster one", `{"kind":"secret","scopes":["recommend"]}`, 403, ProblemMoreRights},
		{"an unknown scope", `{"kind":"secret","scopes":["fly"],"rate":1}`, 400, httpserver.ProblemInvalidField},
		{"an unknown kind", `{"kind":"root"}`, 400, httpserver.ProblemInvalidField},
		{"an end that has passed", `{"kind":"secret","scopes":["recommend"],"rate":1,"expires_at":"2001-01-01T00:00:00Z"}`, 400, httpserver.ProblemInvalidField},
		{"another site", `{"kind":"secret","site":"other"}`, 400, httpserver.ProblemUnknownField},
	} {
		h.expect(c.name, c.status, c.kind, http.MethodPost, "/v1/keys", c.body, bearer(admin)...)
	}
	made := decode[shownKey](t, h.expect("made", 201, "", http.MethodPost, "/v1/keys", `{"kind":"secret","scopes":["recommend"],"rate":9,"label":"x"}`, bearer(admin)...).Body)
	h.expect("it works", 200, "", http.MethodPost, "/v1/recommend", `{"placement":"home","dry_run":true}`, bearer(made.Secret)...)
	rotated := decode[shownKey](t, h.expect("rotated", 200, "", http.MethodPost, "/v1/keys/"+made.ID+":rotate?overlap_seconds=60", "", bearer(admin)...).Body)
	for _, secret := range []string{made.Secret, rotated.Secret} {
		h.expect("both work", 200, "", http.MethodPost, "/v1/recommend", `{"placement":"home","dry_run":true}`, bearer(secret)...)
	}
	h.expect("a stronger one", 403, ProblemMoreRights, http.MethodPost, "/v1/keys/"+strong.ID+":rotate", "", bearer(admin)...)
	for _, id := range []string{theirs.ID, "key_none"} {
		h.expect("rotate "+id, 404, ProblemNoSuchKey, http.MethodPost, "/v1/keys/"+id+":rotate", "", bearer(admin)...)
		h.expect("revoke "+id, 404, ProblemNoSuchKey, http.MethodPost, "/v1/keys/"+id+":revoke", "", bearer(admin)...)
	}
	list := h.expect("list", 200, "", http.MethodGet, "/v1/keys", "", bearer(admin)...).Body.String()
	if !strings.Contains(list, made.ID) || strings.Contains(list, theirs.ID) || strings.Contains(list, made.Secret) || strings.Contains(list, rotated.Secret) {
		t.Errorf("listed %s", list)
	}
	h.expect("revoked", 200, "", http.MethodPost, "/v1/keys/"+made.ID+":revoke", "", bearer(admin)...)
	h.expect("it is over", 401, ProblemUnknownKey, http.MethodPost, "/v1/recommend", `{"placement":"home"}`, bearer(rotated.Secret)...)
	h.expect("signing secrets", 200, "", http.MethodGet, "/v1/signing-secrets", "", bearer(admin)...)
	h.expect("no seal key", 503, ProblemNoSealKey, http.MethodPost, "/v1/signing-secrets:rotate", "", bearer(admin)...)
	_, onlyAdmin := h.key(control.NewKey{Kind: control.KeySecret, Scopes: []control.Scope{control.ScopeAdmin}})
	h.expect("who reads no lists signs no tokens", 403, ProblemMoreRights, http.MethodPost, "/v1/signing-secrets:rotate", "", bearer(onlyAdmin)...)

	log := decode[auditPage](t, h.expect("audit", 200, "", http.MethodGet, "/v1/audit?limit=2", "", bearer(admin)...).Body)
	if len(log.Entries) != 2 || log.NextPageToken == "" {
		t.Errorf("the log is %+v", log)
	}
	all := h.expect("audit", 200, "", http.MethodGet, "/v1/audit", "", bearer(admin)...).Body.String()
	if !strings.Contains(all, "key.rotate") || !strings.Contains(all, admin[:7]+"...") || strings.Contains(all, theirs.ID) || strings.Contains(all, admin) {
		t.Errorf("the log says %s", all)
	}
}

// TestPlacementEndpoints: a placement is written where it stands as it was read, is in force at once, and goes back to the standard.
func TestPlacementEndpoints(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"a"}`, `{"item_id":"b"}`, `{"item_id":"c"}`)
	read := h.expect("read", 200, "", http.MethodGet, "/v1/placements/popular", "")
	tag := read.Header().Get("ETag")
	write := `{"kind":"popular","limit":2,"browser_readable":true}`
	written := h.expect("write", 200, "", http.MethodPut, "/v1/placements/popular", write, "If-Match", tag)
	if p := decode[control.Placement](t, written.Body); p.Limit != 2 || written.Header().Get("ETag") == tag {
		t.Errorf("written %+v", p)
	}
	if got := h.ask(`{"placement":"popular"}`); len(got.Items) != 2 {
		t.Errorf("%d items, it is in force with 2", len(got.Items))
	}
	h.expect("a write over another", 412, ProblemChanged, http.MethodPut, "/v1/placements/popular", write, "If-Match", tag)
	h.expect("one that is there", 412, ProblemChanged, http.MethodPut, "/v1/placements/popular", write, "If-None-Match", "*")
	h.expect("a new one", 200, "", http.MethodPut, "/v1/placements/side", `{"kind":"item","limit":4,"settings":{}}`, "If-None-Match", "*")
	h.expect("a bad kind", 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/placements/x", `{"kind":"banner","limit":4}`)
	h.expect("settings that are no object", 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/placements/x", `{"kind":"home","limit":4,"settings":[1]}`)
	h.expect("settings that are unknown", 400, httpserver.ProblemUnknownField, http.MethodPut, "/v1/placements/x", `{"kind":"home","limit":4,"settings":{"colour":1}}`)
	h.expect("a bad name", 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/placements/No", write)
	h.expect("delete what was changed", 412, ProblemChanged, http.MethodDelete, "/v1/placements/popular", "", "If-Match", tag)
	h.expect("delete", 204, "", http.MethodDelete, "/v1/placements/popular", "", "If-Match", written.Header().Get("ETag"))
	h.expect("delete the new one", 204, "", http.MethodDelete, "/v1/placements/side", "")
	h.expect("delete it again", 404, ProblemUnknownPlacement, http.MethodDelete, "/v1/placements/side", "")
	if w := h.do(http.MethodGet, "/v1/placements/popular", ""); w.Header().Get("ETag") != tag {
		t.Errorf("the standard did not come back: %s", w.Body)
	}
	if list := decode[placementList](t, h.do(http.MethodGet, "/v1/placements", "").Body); len(list.Placements) != len(control.Kinds()) {
		t.Errorf("%d placements", len(list.Placements))
	}
}

// TestModelEndpoints: a version is in force with the answer, and so is the one before after going back.
func TestModelEndpoints(t *testing.T) {
	h := start(t)
	h.put(`{"item_id":"tent"}`, `{"item_id":"mat"}`)
	h.expect("nothing to go back to", 409, ProblemNoEarlierModel, http.MethodPost, "/v1/models:rollback", "")
	sessions := [][]string{{"tent", "mat"}, {"tent", "mat"}}
	first, second := h.train(sessions), h.train(sessions)
	ctx, cancel := t.Context(), make(chan struct{})
	go func() { // who polls for champions while the endpoints ask for a look
		for {
			select {
			case done := <-h.serving.models.refreshes:
				h.serving.models.poll(ctx, testSite)
				close(done)
			case <-cancel:
				return
			}
		}
	}()
	defer close(cancel)
	inForce := func() string { return h.ask(`{"placement":"session","item_ids":["tent"]}`).ModelVersion }
	for _, c := range []struct{ path, want string }{
		{"/v1/models/" + first.Version + ":promote", first.Version}, {"/v1/models:rollback", second.Version},
	} {
		body := decode[championBody](t, h.expect(c.path, 200, "", http.MethodPost, c.path, "").Body)
		if body.Champion != c.want || inForce() != c.want || body.Former == c.want {
			t.Errorf("%s: %+v, in force is %s", c.path, body, inForce())
		}
	}
	h.expect("an unknown version", 404, ProblemUnknownModel, http.MethodPost, "/v1/models/2001:promote", "")
	log := decode[auditPage](t, h.do(http.MethodGet, "/v1/audit", "").Body)
	said := map[string]bool{}
	for _, e := range log.Entries {
		said[e.Action+" "+e.Target] = e.ActorKind == control.ActorKey
	}
	if !said["model.promote "+first.Version] || !said["model.rollback "+second.Version] {
		t.Errorf("the log says %v", said)
	}
}

func TestJobEndpoints(t *testing.T) {
	h := start(t)
	job, err := h.control.StartJob(t.Context(), "train", testSite, "nightly")
	h.must(err)
	theirs, err := h.control.StartJob(t.Context(), "train", "other", "nightly")
	h.must(err)
	if list := decode[jobList](t, h.expect("list", 200, "", http.MethodGet, "/v1/jobs?state=running", "").Body); len(list.Jobs) != 1 || list.Jobs[0].ID != job.ID {
		t.Errorf("listed %+v", list)
	}
	if got := decode[control.Job](t, h.expect("get", 200, "", http.MethodGet, "/v1/jobs/"+job.ID, "").Body); got.Detail != "nightly" {
		t.Errorf("got %+v", got)
	}
	h.expect("another site's", 404, ProblemUnknownJob, http.MethodGet, "/v1/jobs/"+theirs.ID, "")
}

// TestUserAttributes: what a shop says of a user is in force with the answer, bounded, and gone with an erasure.
func TestUserAttributes(t *testing.T) {
	h := newHouse(t)
	key := erasure.NewKey()
	h.must(h.control.UseErasureKey(t.Context(), &key))
	h.run()
	tier := func() any {
		t.Helper()
		values, err := h.serving.attributes.of(t.Context(), testSite, "ada")
		h.must(err)
		return values["tier"]
	}
	if got := tier(); got != nil {
		t.Errorf("before: %v", got)
	}
	for _, want := range []string{"silver", "gold"} {
		h.expect("put", 200, "", http.MethodPut, "/v1/users/ada", `{"attributes":{"tier":"`+want+`","age":42,"vip":true}}`)
		if got := tier(); got != want {
			t.Errorf("in force is %v, want %s", got, want)
		}
	}
	if got := decode[control.UserAttributes](t, h.expect("get", 200, "", http.MethodGet, "/v1/users/ada", "").Body); string(got.Attributes) != `{"age":42,"tier":"gold","vip":true}` {
		t.Errorf("got %s", got.Attributes)
	}
	many := map[string]int{}
	for i := range MaxAttributes + 1 {
		many[fmt.Sprintf("a%d", i)] = i
	}
	tooMany, err := json.Marshal(map[string]any{"attributes": many})
	h.must(err)
	for name, body := range map[string]string{
		"too many": string(tooMany), "a list": `{"attributes":{"a":[1]}}`, "null": `{"attributes":{"a":null}}`, "a bad name": `{"attributes":{"A b":1}}`,
		"a long text": `{"attributes":{"a":"` + strings.Repeat("x", maxAttributeBytes+1) + `"}}`, "no attributes": `{}`,
	} {
		h.expect(name, 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/users/ada", body)
	}
	h.expect("a browser", 400, httpserver.ProblemInvalidField, http.MethodPut, "/v1/users/anonymous:b", `{"attributes":{}}`)
	h.expect("nobody", 404, ProblemUnknownUser, http.MethodGet, "/v1/users/bob", "")
	h.expect("erase", 202, "", http.MethodDelete, "/v1/users/ada", "")
	h.expect("erased", 404, ProblemUnknownUser, http.MethodGet, "/v1/users/ada", "")
	if got := tier(); got != nil {
		t.Errorf("after the erasure: %v", got)
	}
	for i := range 2 * attributesKept {
		h.serving.attributes.keep(attributesOf{testSite, fmt.Sprint(i)}, readAttributes{})
	}
	if n := len(h.serving.attributes.known); n > attributesKept {
		t.Errorf("%d users are in memory, the limit is %d", n, attributesKept)
	}
	if log := h.do(http.MethodGet, "/v1/audit", "").Body.Bytes(); bytes.Contains(log, []byte(`"ada"`)) {
		t.Errorf("the audit log names a user: %s", log)
	}
}
