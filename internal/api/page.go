package api

import (
	"strings"
)

// ProblemsPage is the catalogue of problems as Markdown, which is checked in as docs/problems.md.
func ProblemsPage() string {
	var page strings.Builder
	page.WriteString(`# Problems

Every error of the HTTP API is a problem (RFC 9457): ` + "`application/problem+json`" + ` with ` + "`type`, `title`, `status`, `detail`, `hint`, `pointer` and\n`request_id`" + `. ` +
		"`type` is `urn:millrace:problem:` and one of the names below; it does not change. This page is made of the code\n(`internal/api/kinds.go`) by `make generate`.\n\n" +
		"| type | status | what happened | what to do |\n| --- | --- | --- | --- |\n")
	for _, kind := range Kinds {
		page.WriteString("| `" + kind.Slug + "` | " + statusText(kind.Status) + " | " + kind.Meaning + " | " + kind.Remedy + " |\n")
	}
	return page.String()
}
