package serving

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

//go:embed status.html
var statusHTML string

//go:embed status.css
var statusStyle string

var statusTemplate = template.Must(template.New("status").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(statusStyle) }, //nolint:gosec // a file of ours
	"percent": func(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" },
	"moment": func(t time.Time) string {
		return t.UTC().Format("2006-01-02 15:04:05 MST")
	},
}).Parse(statusHTML))

// statusPolicy lets the page have its own style and nothing else.
var statusPolicy = func() string {
	sum := sha256.Sum256([]byte(statusStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// statusPage is what status.html shows.
type statusPage struct {
	At    time.Time
	Ready error
	Node  nodeStatus
	Up    time.Duration
	Sites []status
}

// HandleStatus answers with a page for the operator of this node: all its sites, and what its neighbours said last. It asks for no key,
// because a browser sends none, so it belongs on the listener of metrics.
func (s *Serving) HandleStatus(w http.ResponseWriter, r *http.Request) {
	page := statusPage{At: time.Now(), Ready: s.Ready(), Node: s.nodeStatus()}
	page.Up = page.At.Sub(page.Node.StartedAt).Round(time.Second)
	for _, site := range s.sitesNow(r.Context()) {
		page.Sites = append(page.Sites, s.siteStatus(r.Context(), site))
	}
	var out bytes.Buffer
	if err := statusTemplate.Execute(&out, page); err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", statusPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(out.Bytes()) // a reader who left is nobody's error
}

// sitesNow are the sites, without waiting for a control store that is away.
func (s *Serving) sitesNow(ctx context.Context) []string {
	if s.controlSeen.outage.Load() != nil {
		return s.knownSites()
	}
	return s.sites(ctx)
}
