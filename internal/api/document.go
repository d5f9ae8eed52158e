package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/internal/httpserver"
)

// Names of the ways to send a key.
const (
	schemeSecret = "secretKey"
	schemeHeader = "keyHeader"
	schemePublic = "publicKey"
)

// Version is that of the interface: the second number counts additions, the first would count breaks.
const Version = "1.0.0"

// Paths of the document.
const (
	PathJSON = "/openapi.json"
	PathYAML = "/openapi.yaml"
	// PathJSON30 is the same for tools that do not know 3.1 yet, such as most generators of Go clients.
	PathJSON30 = "/openapi-3.0.json"

	PathDocs = "/docs"

	PathDocsStyle = "/docs/style.css"
)

const about = `Millrace takes the events of a shop, learns from them, and recommends items.

A server sends its secret key (` + "`sk_...`" + `) as a bearer token. A web page sends its public key (` + "`pk_...`" + `) as the parameter
` + "`key`" + `. A key belongs to one site, and a request sees that site alone.

Times are RFC 3339 in UTC. Ids are opaque strings of 1 to 128 bytes. Unknown fields and parameters are refused. Every error is a problem
(RFC 9457) with a stable ` + "`type`" + `, a pointer to what was wrong, a hint and the request id.`

// document is what the document says before any endpoint.
func document() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Millrace", Version: Version, Description: about,
			License: &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The server that this document came from"}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				schemeSecret: {Type: "http", Scheme: "bearer", Description: "A secret key (sk_...), from a server. A scope says what a key must be allowed."},
				schemeHeader: {Type: "apiKey", In: "header", Name: httpserver.HeaderKey, Description: "The same key in a header of its own."},
				schemePublic: {Type: "apiKey", In: "query", Name: httpserver.KeyParameter, Description: "A public key (pk_...), from a web page of an allowed origin."},
			},
		},
		Tags: []*huma.Tag{
			{Name: TagRecommend, Description: "Lists for visitors."},
			{Name: TagItems, Description: "The items that may be recommended. A write is in force at once on the node that answers, within a second on others."},
			{Name: TagUsers, Description: "What is known of a person, and how to forget it."},
			{Name: TagPlacements, Description: "Where lists are shown, and what merchandisers decide about them."},
			{Name: TagExperiments, Description: "What is compared on placements."},
			{Name: TagKeys, Description: "Who may do what."},
			{Name: TagModels, Description: "The trained versions of a site."},
			{Name: TagStatus, Description: "How the server is."},
			{Name: TagEvents, Description: "What visitors do."},
		},
	}
}

// JSON is the document, indented, in the order of its paths.
func (a *API) JSON() ([]byte, error) {
	body, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return append(body, '\n'), nil
}

// Mount serves the document, and the page that people read. Both are made at each request of the endpoints that are there
// then: nobody waits for them.
func (a *API) Mount() {
	a.serve(PathJSON, "application/json", a.JSON)
	a.serve(PathJSON30, "application/json", a.huma.OpenAPI().Downgrade)
	a.serve(PathYAML, "application/yaml", a.huma.OpenAPI().YAML)
	a.serve(PathDocs, "text/html; charset=utf-8", a.docs)
	a.serve(PathDocsStyle, "text/css; charset=utf-8", func() ([]byte, error) { return docsStyle, nil })
}

func (a *API) serve(path, contentType string, content func() ([]byte, error)) {
	a.router.Get(path, func(w http.ResponseWriter, r *http.Request) {
		body, err := content()
		if err != nil {
			a.log.ErrorContext(r.Context(), "a page of the documentation cannot be made", "path", path, "error", err)
			httpserver.WriteProblem(w, r, httpserver.Internal())
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // tools in a browser read the document; it is the same for everybody
		_, _ = w.Write(body)                      // the client may be gone
	})
}
