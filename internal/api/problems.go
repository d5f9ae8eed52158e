package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace/millrace/internal/httpserver"
)

var problemType = reflect.TypeFor[httpserver.Problem]()

// problemOf makes our one form of errors of what huma found: a problem as it is, a parameter or field that breaks its
// schema as an invalid field.
func problemOf(errs []error) *httpserver.Problem {
	for _, err := range errs {
		var p *httpserver.Problem
		if errors.As(err, &p) {
			return p
		}
	}
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if errors.As(err, &detail) {
			return invalidField(detail)
		}
	}
	return httpserver.Fault(errors.Join(errs...))
}

// invalidField names the place as the caller sees it: a JSON pointer into the body, or the name of the parameter. Where
// stands in huma's location first: body.items[0].id, query.limit, path.id, header.If-Match.
func invalidField(detail *huma.ErrorDetail) *httpserver.Problem {
	p := &httpserver.Problem{Type: httpserver.ProblemInvalidField, Title: "Invalid value", Status: http.StatusBadRequest}
	where, name, _ := strings.Cut(detail.Location, ".")
	name, inList, _ := strings.Cut(name, "[")
	switch {
	case where == "path":
		p.Detail = "the " + name + " in the path: " + detail.Message
	case where == "header":
		p.Detail = "the header " + name + ": " + detail.Message
	case detail.Location == "body":
		p.Detail = "the body: " + detail.Message
	default:
		if inList != "" {
			name += "[" + inList
		}
		p.Pointer = "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(name)
		p.Detail = name + ": " + detail.Message
	}
	if text, ok := detail.Value.(string); ok && where != "body" && text != "" {
		p.Detail += fmt.Sprintf(", not %.100q", text)
	}
	return p
}

// unknownParameter refuses a parameter that an endpoint does not have. A key may always stand there.
func unknownParameter(given url.Values, known []string) *httpserver.Problem {
	for name := range given {
		if name == httpserver.KeyParameter || slices.Contains(known, name) {
			continue
		}
		p := &httpserver.Problem{
			Type: httpserver.ProblemUnknownField, Title: "Unknown parameter", Status: http.StatusBadRequest,
			Pointer: "/" + httpserver.EscapePointer(name), Detail: fmt.Sprintf("%q is not a parameter of this request", name),
			Hint: "this request takes no parameters",
		}
		if len(known) > 0 {
			p.Hint = "known parameters: " + strings.Join(known, ", ")
		}
		return p
	}
	return nil
}

// completeProblem fills in what a problem gets from its request, and logs the cause of one that is our fault.
func (a *API) completeProblem(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*httpserver.Problem)
	if !ok {
		return v, nil
	}
	r, w := humachi.Unwrap(ctx)
	if p.Cause != nil {
		a.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", p.Cause,
			"request_id", r.Header.Get(httpserver.HeaderRequestID))
	}
	return p.Complete(w.Header(), r), nil
}
