// Package api makes HTTP endpoints of Go types, and their OpenAPI document of the same types. A role describes an endpoint
// (Endpoint), names the types of its input and its answer, and gives a function between them; huma reads parameters and
// writes the document. What is Millrace's own here: bodies are read by the strict reader of httpserver (JSON), every error is
// one of the problems in the catalogue (Kinds), and an endpoint that must not pay for any of it is described by its types and
// served by a bare handler (Describe).
//
// An endpoint:
//
//	type renameInput struct {
//		ID string `path:"id" maxLength:"128" doc:"The item." example:"shoe-1"`
//		DryRun bool `query:"dry_run" doc:"Only say what would change."`
//		api.JSON[renameBody] // the body; in.Value
//	}
//
//	type renameBody struct {
//		Title string `json:"title" maxLength:"1024" doc:"The new title." example:"Trail shoe"`
//		Note  string `json:"note,omitempty" doc:"For the history."` // omitempty makes a field optional
//	}
//
//	type renameOutput struct {
//		ETag string `header:"ETag"`
//		Body itemAnswer // left out where nothing is answered (204); `Status int` beside it sets another status
//	}
//
//	api.Register(a, api.Endpoint{
//		ID: "renameItem", Method: http.MethodPost, Path: "/v1/items/{id}:rename", Tag: api.TagItems,
//		Summary: "Rename an item", Description: "...", Access: api.SecretKey, Guard: guard,
//		MaxBodyBytes: 4 << 10, Body: `{"title":"Trail shoe"}`, Answer: `{...}`, Problems: []string{"unknown-item"},
//	}, func(ctx context.Context, in *renameInput) (*renameOutput, *httpserver.Problem) { ... })
//
// Only exported fields count, also of embedded structs. Limits stand in the tags (maxLength, maxItems, minimum, maximum, enum, pattern): they are documented and enforced there. Where a
// type describes itself (huma.SchemaProvider), or an endpoint is bare, its own code enforces them.
package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/httpserver"
)

// API is the endpoints of one router and their document. Endpoints are registered before the router serves.
type API struct {
	router chi.Router
	huma   huma.API
	log    *slog.Logger
}

// Guard decides whether a request may be answered and returns the context that the endpoint's function gets. It may set
// headers of the answer, also of a problem.
type Guard func(w http.ResponseWriter, r *http.Request) (context.Context, *httpserver.Problem)

// metadata is what an endpoint's requests need to know of it.
type metadata struct {
	api     *API
	guard   Guard
	bare    http.HandlerFunc
	body    *huma.Schema // nil where the body's type enforces its own limits
	queries []string     // the parameters that a request may have
}

const metadataKey = "millrace"

func metadataOf(op *huma.Operation) *metadata {
	m, _ := op.Metadata[metadataKey].(*metadata)
	return m
}

// adapter mounts bare handlers as they are, so that they cost nothing, and the others through huma.
type adapter struct {
	huma.Adapter
	router chi.Router
}

func (a adapter) Handle(op *huma.Operation, handle func(huma.Context)) {
	if m := metadataOf(op); m != nil && m.bare != nil {
		a.router.MethodFunc(op.Method, op.Path, m.bare)
		return
	}
	a.Adapter.Handle(op, handle)
}

// setHuma sets what huma keeps for the whole process: our problems as its errors, and arrays that are never null.
var setHuma = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(_ int, _ string, errs ...error) huma.StatusError { return problemOf(errs) }
})

// New makes the API of a router.
func New(r chi.Router, log *slog.Logger) *API {
	setHuma()
	config := huma.DefaultConfig("Millrace", Version)
	config.OpenAPI = document()
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // ours are in pages.go
	config.CreateHooks = nil                                             // the link to `$schema`
	config.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	a := &API{router: r, log: log}
	config.Transformers = []huma.Transformer{a.completeProblem}
	a.huma = huma.NewAPI(config, adapter{humachi.NewAdapter(r), r})
	a.huma.OpenAPI().Components.Schemas.Schema(problemType, true, "")
	a.huma.UseMiddleware(admit)
	return a
}

var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(v)
	},
	Unmarshal: json.Unmarshal, // never called: JSON reads the bodies
}

// admit asks the endpoint's guard and refuses parameters that it does not have.
func admit(ctx huma.Context, next func(huma.Context)) {
	m := metadataOf(ctx.Operation())
	r, w := humachi.Unwrap(ctx)
	if m.guard != nil {
		guarded, p := m.guard(w, r)
		if p != nil {
			httpserver.WriteProblem(w, r, *p)
			return
		}
		ctx = huma.WithContext(ctx, guarded)
	}
	if p := unknownParameter(r.URL.Query(), m.queries); p != nil {
		httpserver.WriteProblem(w, r, *p)
		return
	}
	next(ctx)
}

// Register serves an endpoint by a function. I is a struct of parameters, with an embedded JSON[T] where there is a body;
// O a struct of headers and a Body. Tags are huma's. A registration that contradicts itself panics at the start.
func Register[I, O any](a *API, e Endpoint, handle func(ctx context.Context, in *I) (*O, *httpserver.Problem)) {
	m := &metadata{api: a, guard: e.Guard}
	operation := e.operation(a, m, bodyOf[I]())
	huma.Register(a.huma, operation, func(ctx context.Context, in *I) (*O, error) {
		if out, p := handle(ctx, in); p == nil {
			return out, nil
		} else {
			return nil, p
		}
	})
	a.describe(e, m, bodyOf[I]())
}

// Describe puts an endpoint into the document that a bare handler serves: it guards, reads and answers by itself, in the
// form that the types say.
func Describe[I, O any](a *API, e Endpoint, handler http.HandlerFunc) {
	m := &metadata{api: a, bare: handler}
	if !e.OwnParameters {
		m.bare = func(w http.ResponseWriter, r *http.Request) {
			if p := unknownParameter(r.URL.Query(), m.queries); p != nil {
				httpserver.WriteProblem(w, r, *p)
				return
			}
			handler(w, r)
		}
	}
	huma.Register(a.huma, e.operation(a, m, bodyOf[I]()), func(context.Context, *I) (*O, error) {
		return nil, nil //nolint:nilnil // never called: the adapter mounts the bare handler
	})
	a.describe(e, m, bodyOf[I]())
}

// Router is where the endpoints are, for paths that are no endpoints.
func (a *API) Router() chi.Router { return a.router }

// Preflight answers a browser's question before its request to a path. It is no endpoint, so the document does not have it.
func (a *API) Preflight(path string, handler http.HandlerFunc) { a.router.Options(path, handler) }
