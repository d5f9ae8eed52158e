package agent

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for header, want := range map[string]Agent{
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36": {"Chrome", "mobile", false},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15": {"Safari", "desktop", false},
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                              {"Googlebot", "", true},
		"": {},
	} {
		if got := Parse(header); got != want {
			t.Errorf("Parse(%q) = %+v, want %+v", header, got, want)
		}
	}
	if got := Parse(strings.Repeat("é", maxAgentBytes)); len(got.Family) > maxFamilyBytes {
		t.Errorf("family of %d bytes", len(got.Family))
	}
}
