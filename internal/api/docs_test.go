package api

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// TestDocsPage: the page shows each endpoint with what it takes, and loads nothing from anywhere else.
func TestDocsPage(t *testing.T) {
	h := boxes(slog.New(slog.DiscardHandler))
	w := ask(h, http.MethodGet, PathDocs, "")
	page := w.Body.String()
	for _, want := range []string{
		`id="putBox"`, "/boxes/{id}", `href="#type-Box"`, "at most 9; otherwise 3", "one of red, blue", "-X PUT &#39;http://127.0.0.1:8080/boxes/", `id="problem-invalid-field"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	for _, other := range []string{"<script", "style=", `src="`, `href="http`} {
		if strings.Contains(page, other) {
			t.Errorf("the page has %q, which its policy forbids", other)
		}
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'") {
		t.Errorf("policy %q", policy)
	}
	if style := ask(h, http.MethodGet, PathDocsStyle, ""); style.Code != http.StatusOK || style.Header().Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("style sheet: %d %v", style.Code, style.Header())
	}
}
