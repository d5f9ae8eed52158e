package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/internal/httpserver"
)

// Access says which keys an endpoint takes, for the document; the guard enforces it.
type Access int

const (
	// SecretKey endpoints are for the shop's servers.
	SecretKey Access = iota
	// AnyKey endpoints also answer web pages with a public key.
	AnyKey
	// Open endpoints need no key.
	Open
)

// Tags group the endpoints in the document.
const (
	TagRecommend   = "Recommendations"
	TagItems       = "Catalogue"
	TagUsers       = "Users"
	TagPlacements  = "Placements and rules"
	TagExperiments = "Experiments"
	TagKeys        = "Keys"
	TagModels      = "Models"
	TagStatus      = "Status"
	TagEvents      = "Events"
)

// Endpoint is what the types of an endpoint do not say. ID, Method, Path, Tag, Summary and Description are needed.
type Endpoint struct {
	ID           string // operationId, which generated clients are named by: getItem
	Method, Path string // of package http; a pattern of chi with {id}
	Tag          string // one of the tags
	Summary      string // a heading: "Read an item"
	Description  string // Markdown: what it does, when, and what not
	Access       Access // which keys it takes
	Scope        string // what a secret key must be allowed; "" is nothing in particular
	Guard        Guard  // authenticates; nil for Open and bare endpoints
	Status       int    // of success; 0 is 200 with a Body, 204 without
	Created      bool   // also answers 201, with the same body
	MaxBodyBytes int64  // needed with a body
	// OwnParameters is set where a bare handler reads the parameters and decides itself about unknown ones.
	OwnParameters bool
	Body, Answer  string   // examples, as JSON
	Problems      []string // slugs of the catalogue that this endpoint answers beyond those of its access and input
}

// operation is the endpoint as huma takes it.
func (e Endpoint) operation(a *API, m *metadata, body reflect.Type) huma.Operation {
	if body != nil && e.MaxBodyBytes <= 0 {
		panic("endpoint " + e.ID + " has a body and no MaxBodyBytes")
	}
	op := huma.Operation{
		OperationID: e.ID, Method: e.Method, Path: e.Path, Tags: []string{e.Tag}, Summary: e.Summary, Description: e.Description,
		DefaultStatus: e.Status, MaxBodyBytes: e.MaxBodyBytes, Security: e.security(),
		Metadata: map[string]any{metadataKey: m}, Responses: map[string]*huma.Response{},
	}
	if body != nil && !describesItself(body) {
		m.body = a.huma.OpenAPI().Components.Schemas.Schema(body, true, e.ID+"Body")
		a.schema(m.body).PrecomputeMessages()
	}
	return op
}

// schema follows a reference into the components.
func (a *API) schema(s *huma.Schema) *huma.Schema {
	if s.Ref == "" {
		return s
	}
	return a.huma.OpenAPI().Components.Schemas.SchemaFromRef(s.Ref)
}

func (e Endpoint) security() []map[string][]string {
	scopes := []string{}
	if e.Scope != "" {
		scopes = append(scopes, e.Scope)
	}
	switch e.Access {
	case Open:
		return []map[string][]string{}
	case AnyKey:
		return []map[string][]string{{schemeSecret: scopes}, {schemeHeader: scopes}, {schemePublic: {}}}
	default:
		return []map[string][]string{{schemeSecret: scopes}, {schemeHeader: scopes}}
	}
}

// describe completes the document by what huma does not do: the body, which JSON reads, examples, and problems. huma has
// read the parameters now.
func (a *API) describe(e Endpoint, m *metadata, body reflect.Type) {
	op := a.operation(e.Method, e.Path)
	if n := slices.IndexFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "path" }); strings.Contains(e.Path, "{") && n < 0 {
		panic("endpoint " + e.ID + " reads nothing of its path: huma sees exported fields only, so embed no unexported struct")
	}
	for _, parameter := range op.Parameters {
		if parameter.In == "query" {
			m.queries = append(m.queries, parameter.Name)
		}
	}
	if body != nil {
		op.RequestBody = &huma.RequestBody{
			Required: true, Description: fmt.Sprintf("At most %d bytes.", e.MaxBodyBytes),
			Content: map[string]*huma.MediaType{"application/json": {
				Schema:  a.huma.OpenAPI().Components.Schemas.Schema(body, true, e.ID+"Body"),
				Example: e.example(e.Body),
			}},
		}
	}
	if e.Answer != "" {
		for _, content := range op.Responses[strconv.Itoa(op.DefaultStatus)].Content {
			content.Example = e.example(e.Answer)
		}
	}
	a.illustrate(op)
	if e.Created {
		created := *op.Responses[strconv.Itoa(op.DefaultStatus)]
		created.Description = http.StatusText(http.StatusCreated)
		op.Responses[strconv.Itoa(http.StatusCreated)] = &created
	}
	e.describeProblems(a, op, body != nil)
}

func (e Endpoint) example(text string) any {
	if text == "" {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(fmt.Sprintf("an example of endpoint %s is no JSON: %v", e.ID, err))
	}
	return value
}

// operation is what the document says of a method and path.
func (a *API) operation(method, path string) *huma.Operation {
	item := a.huma.OpenAPI().Paths[path]
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	panic("an endpoint with the method " + method)
}

// describeProblems lists for each status which problems have it.
func (e Endpoint) describeProblems(a *API, op *huma.Operation, body bool) {
	delete(op.Responses, "default") // huma's, which says nothing of the statuses
	slugs := append([]string{httpserver.ProblemInternal}, e.Problems...)
	if !e.OwnParameters || len(op.Parameters) > 0 || body {
		slugs = append(slugs, httpserver.ProblemUnknownField)
	}
	if e.Access != Open {
		slugs = append(slugs, "missing-key", "unknown-key", httpserver.ProblemSecretInURL, "unavailable", "scope-needed", "too-many-requests")
	}
	if e.Access == SecretKey {
		slugs = append(slugs, "secret-key-needed")
	}
	if e.Scope != "" {
		slugs = append(slugs, "scope-needed")
	}
	if len(op.Parameters) > 0 || body {
		slugs = append(slugs, httpserver.ProblemInvalidField)
	}
	if body {
		slugs = append(slugs, httpserver.ProblemInvalidJSON, httpserver.ProblemTrailingData, httpserver.ProblemUnreadable, httpserver.ProblemBodyTooLarge)
	}
	byStatus := map[int][]string{}
	for _, slug := range slugs {
		kind, ok := kindOf(slug)
		if !ok {
			panic(fmt.Sprintf("endpoint %s answers the problem %s, which is not in the catalogue (internal/api/kinds.go)", e.ID, slug))
		}
		if !slices.Contains(byStatus[kind.Status], "`"+slug+"`") {
			byStatus[kind.Status] = append(byStatus[kind.Status], "`"+slug+"`")
		}
	}
	for status, names := range byStatus {
		slices.Sort(names)
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status) + ": " + strings.Join(names, ", "),
			Content: map[string]*huma.MediaType{"application/problem+json": {
				Schema: a.huma.OpenAPI().Components.Schemas.Schema(problemType, true, ""),
			}},
		}
	}
}
