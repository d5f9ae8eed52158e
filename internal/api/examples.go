package api

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// maxExampleDepth bounds examples that are made of nested types.
const maxExampleDepth = 12

// exampleOf makes an example of a schema: of the examples of its fields, where they have one.
func (a *API) exampleOf(s *huma.Schema, depth int) any {
	if s = a.schema(s); depth > maxExampleDepth {
		return nil
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Default != nil:
		return s.Default
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		return a.exampleObject(s, depth)
	case huma.TypeArray:
		if one := a.exampleOf(s.Items, depth+1); one != nil {
			return []any{one}
		}
		return []any{}
	case huma.TypeString:
		if s.Format == "date-time" {
			return "2026-03-02T12:00:00Z"
		}
		return "..."
	case huma.TypeInteger, huma.TypeNumber:
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 0
	case huma.TypeBoolean:
		return false
	}
	return nil
}

func (a *API) exampleObject(s *huma.Schema, depth int) any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if value := a.exampleOf(s.Properties[name], depth+1); value != nil {
			object[name] = value
		} else if slices.Contains(s.Required, name) {
			object[name] = map[string]any{}
		}
	}
	if values, ok := s.AdditionalProperties.(*huma.Schema); ok && len(s.Properties) == 0 {
		if value := a.exampleOf(values, depth+1); value != nil {
			object["name"] = value
		}
	}
	return object
}

// illustrate gives the body and the answers of success an example, where the endpoint has none of its own.
func (a *API) illustrate(op *huma.Operation) {
	contents := []map[string]*huma.MediaType{}
	if op.RequestBody != nil {
		contents = append(contents, op.RequestBody.Content)
	}
	for status, response := range op.Responses {
		if code, err := strconv.Atoi(status); err == nil && code < http.StatusMultipleChoices {
			contents = append(contents, response.Content)
		}
	}
	for _, content := range contents {
		for _, media := range content {
			if media.Example == nil && media.Schema != nil {
				media.Example = a.exampleOf(media.Schema, 0)
			}
		}
	}
}

func statusText(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }
