package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/millrace/millrace/internal/httpserver"
)

// JSON is the body of a request, embedded in the input of its endpoint. It is read strictly, within the endpoint's
// MaxBodyBytes, and then held against the limits in the tags of T.
type JSON[T any] struct {
	Value T
}

// payload is a JSON of any type.
type payload interface {
	valueType() reflect.Type
}

func (*JSON[T]) valueType() reflect.Type { return reflect.TypeFor[T]() }

// Resolve reads the body; huma calls it after it has read the parameters.
func (b *JSON[T]) Resolve(ctx huma.Context) []error {
	m := metadataOf(ctx.Operation())
	r, w := humachi.Unwrap(ctx)
	p := httpserver.ReadBody(w, r, ctx.Operation().MaxBodyBytes, func(body []byte) *httpserver.Problem {
		if p := httpserver.DecodeJSON(body, &b.Value); p != nil {
			return p
		}
		return m.checkBody(body)
	})
	if p != nil {
		return []error{p}
	}
	return nil
}

// checkBody holds a body against the limits that its schema documents. It decodes once more, which only endpoints do that
// nobody waits for.
func (m *metadata) checkBody(body []byte) *httpserver.Problem {
	if m.body == nil {
		return nil
	}
	var value any
	if p := httpserver.DecodeJSON(body, &value); p != nil { // a number beyond all bounds, where the type keeps the text
		return p
	}
	result := &huma.ValidateResult{}
	huma.Validate(m.api.huma.OpenAPI().Components.Schemas, m.body, huma.NewPathBuffer([]byte("body"), len("body")), huma.ModeWriteToServer, value, result)
	if len(result.Errors) == 0 {
		return nil
	}
	return problemOf(result.Errors)
}

// bodyOf is the type of the body in an input, nil where it has none.
func bodyOf[I any]() reflect.Type {
	t := reflect.TypeFor[I]()
	for i := range t.NumField() {
		if body, ok := reflect.New(t.Field(i).Type).Interface().(payload); ok {
			return body.valueType()
		}
	}
	return nil
}

var providerType = reflect.TypeFor[huma.SchemaProvider]()

// describesItself reports whether a type has a schema of its own and enforces it by itself.
func describesItself(t reflect.Type) bool {
	return t.Implements(providerType) || reflect.PointerTo(t).Implements(providerType)
}
