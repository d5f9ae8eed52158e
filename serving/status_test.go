package serving

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
)

// sulkingControl does not list keys while it has an error.
type sulkingControl struct {
	*control.Store
	err error
}

func (c *sulkingControl) Keys(ctx context.Context, site string) ([]control.Key, error) {
	if c.err != nil {
		return nil, c.err
	}
	return c.Store.Keys(ctx, site)
}

// TestStatusOfExperiments: the status and the page of a node name what runs, and how many visitors each arm has.
func TestStatusOfExperiments(t *testing.T) {
	h := start(t)
	look := func() ([]runningExperiment, string) {
		s := decode[status](t, h.expect("status", 200, "", http.MethodGet, "/v1/status", "").Body)
		w := httptest.NewRecorder()
		h.serving.HandleStatus(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/status", nil))
		return s.Experiments, w.Body.String()
	}
	if running, page := look(); running == nil || len(running) > 0 || strings.Contains(page, "fleet") {
		t.Errorf("before any runs: %v %s", running, page)
	}
	e := fleet("home")
	e.Name, e.Arms[0].Weight, e.Arms[1].Weight = "One <brand>", 3, 1
	h.runs(e)
	running, page := look()
	if len(running) != 1 || len(running[0].Arms) != 2 {
		t.Fatalf("%+v", running)
	}
	x := running[0]
	if x.ID != "fleet" || x.Name != e.Name || x.Placement != "home" || x.Since.IsZero() || x.Arms[0] != (armShare{"control", 0.75}) || x.Arms[1] != (armShare{"only", 0.25}) {
		t.Errorf("%+v", x)
	}
	for _, part := range []string{"fleet", "One &lt;brand&gt;", "control 75.0 %", "only 25.0 %", x.Since.UTC().Format("2006-01-02 15:04:05")} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s: %s", part, page)
		}
	}
	h.stops("fleet")
	if running, page := look(); len(running) > 0 || strings.Contains(page, "fleet") {
		t.Errorf("after it was stopped: %v %s", running, page)
	}
}

// TestStatus: the status says how the site and the node do, since when a neighbour is away, and what that means; what the neighbour said,
// which may name other sites, stands on the operator's page alone, where nothing of it is markup.
func TestStatus(t *testing.T) {
	h := newHouse(t)
	sulking := &sulkingControl{Store: h.control}
	h.deps.Control, h.deps.Version = sulking, "1.2.3"
	h.run()
	h.put(`{"item_id":"hat"}`)
	version := h.train([][]string{{"hat", "bag"}}).Version
	h.serving.models.poll(t.Context(), testSite)
	_, err := h.serving.base.look(t.Context())
	h.must(err)
	h.serving.sites(t.Context())
	h.ask(`{"placement":"home","strict":true,"filter":"item.price > 5"}`) // no item has a price
	look := func() (status, map[string]neighbourStatus) {
		s := decode[status](t, h.expect("status", 200, "", http.MethodGet, "/v1/status", "").Body)
		by := map[string]neighbourStatus{}
		for _, n := range s.Node.Neighbours {
			by[n.Name] = n
		}
		return s, by
	}
	page := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.serving.HandleStatus(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/status", nil))
		return w
	}
	s, by := look()
	if s.ModelVersion != version || s.CatalogueItems != 1 || s.Node.Version != "1.2.3" || s.Node.Empty != 1 || s.Node.ExposuresLimit != maxExposureQueue || s.Node.StartedAt.IsZero() {
		t.Errorf("%+v %+v", s, s.Node)
	}
	for _, name := range []string{"control store", "online store", "model registry"} {
		if n := by[name]; n.State != "answers" || !n.Since.IsZero() || n.Means != "" {
			t.Errorf("%s: %+v", name, n)
		}
	}
	sulking.err = errors.New("<b>site secret-shop</b> is locked")
	h.serving.sites(t.Context())
	_, by = look()
	first := by["control store"]
	h.serving.sites(t.Context())
	gone, stop := context.WithCancel(t.Context())
	stop()
	_, _ = h.serving.base.look(gone) // who leaves says nothing of the store
	w := h.do(http.MethodGet, "/v1/status", "")
	if strings.Contains(w.Body.String(), "secret-shop") {
		t.Errorf("a site reads what is another's: %s", w.Body)
	}
	_, by = look()
	if n := by["control store"]; n.State != "away" || n.Since.IsZero() || !n.Since.Equal(first.Since) || !strings.Contains(n.Means, "as they were last read") {
		t.Errorf("away: %+v, first %+v", n, first)
	}
	if n := by["online store"]; n.State != "answers" {
		t.Errorf("a question that was taken back: %+v", n)
	}
	shown := page()
	body := shown.Body.String()
	if !strings.Contains(body, "&lt;b&gt;site secret-shop") || strings.Contains(body, "<b>") || !strings.Contains(body, version) || !strings.Contains(body, "1.2.3") {
		t.Errorf("the page: %s", body)
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
	sum := sha256.Sum256([]byte(style[1]))
	if policy := shown.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %s does not let the style in", policy)
	}
	sulking.err = nil
	h.serving.sites(t.Context())
	if _, by = look(); by["control store"].State != "answers" {
		t.Errorf("back: %+v", by["control store"])
	}
}
