// Package beacon holds the browser script. Its source is TypeScript in src; the built files stand in dist and are part of
// the program, so that neither building nor running Millrace needs Node. README.md tells how pages use it.
package beacon

import (
	_ "embed"
	"strings"
)

//go:generate go run ./build

//go:embed dist/millrace.js
var script string

//go:embed dist/millrace.core.js
var core string

//go:embed dist/stub.js
var stub string

// Script returns the built script, minified, as UTF-8.
func Script() []byte {
	return []byte(script)
}

// Core returns the script without what observes the page: page views, and what it is told.
func Core() []byte {
	return []byte(core)
}

// Stub returns what a page holds inline that calls millrace before the script is there: it collects the calls. It is always
// the same for a release, so that a policy can name its hash.
func Stub() string {
	return strings.TrimSpace(stub)
}
