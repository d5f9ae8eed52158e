// Package agent reduces a User-Agent header to what is kept of it.
package agent

import (
	"strings"

	"github.com/mileusna/useragent"
)

// Agent is what a User-Agent header is reduced to.
type Agent struct {
	Family string // Chrome, Safari, Googlebot; at most maxFamilyBytes
	Device string // desktop, mobile or tablet; empty where unknown
	Bot    bool   // a crawler or a headless browser, by what it says of itself
}

// maxFamilyBytes bounds a name that any client may invent.
const maxFamilyBytes = 64

// maxAgentBytes bounds what is parsed: real headers have less than 300 bytes.
const maxAgentBytes = 1 << 10

// Parse reads a header; whatever it holds, the result is bounded.
func Parse(header string) Agent {
	if len(header) > maxAgentBytes {
		header = header[:maxAgentBytes]
	}
	ua := useragent.Parse(header)
	a := Agent{Family: strings.ToValidUTF8(ua.Name[:min(len(ua.Name), maxFamilyBytes)], ""), Bot: ua.Bot || loadCrawlers().match(header)}
	switch {
	case ua.Tablet:
		a.Device = "tablet"
	case ua.Mobile:
		a.Device = "mobile"
	case ua.Desktop:
		a.Device = "desktop"
	}
	return a
}
