// Package beacon holds the browser script. Its source is TypeScript in src; the built file stands in dist and is part of
// the program, so that neither building nor running Millrace needs Node. README.md tells how pages use it.
package beacon

import _ "embed"

//go:generate go run ./build

//go:embed dist/millrace.js
var script string

// Script returns the built script, minified, as UTF-8.
func Script() []byte {
	return []byte(script)
}
