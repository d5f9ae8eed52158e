package serving

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Context is what the shop knows of the moment, by name. Its values are texts, as in a query string: a number or bool of JSON is
// kept as it would be written there, and an expression reads it as what it compares it with. So a list means the same whichever
// way it was asked for, and its record says all that was asked.
type Context map[string]string

// UnmarshalJSON takes texts, numbers, true and false.
func (c *Context) UnmarshalJSON(raw []byte) error {
	var given map[string]any
	if err := decodeExact(raw, &given); err != nil {
		return &json.UnmarshalTypeError{Value: "value", Type: reflect.TypeFor[map[string]string]()}
	}
	if given == nil {
		*c = nil
		return nil
	}
	context := make(Context, len(given))
	for name, value := range given {
		text, ok := contextText(value)
		if !ok {
			return wrongContext(given)
		}
		context[name] = text
	}
	*c = context
	return nil
}

// contextText is a scalar of JSON as it would be written in a query string.
func contextText(value any) (text string, ok bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return strconv.FormatBool(value), true
	}
	return "", false
}

// wrongContext names the first entry that is no scalar, by name, so that a mistake is always told in the same words.
func wrongContext(given map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := contextText(given[name]); !ok {
			what := map[bool]string{true: "null", false: "array or object"}[given[name] == nil]
			return &json.UnmarshalTypeError{Value: what, Type: reflect.TypeFor[string](), Field: name}
		}
	}
	return nil
}

// Schema says that values are scalars.
func (Context) Schema(huma.Registry) *huma.Schema {
	limit := maxContext
	return &huma.Schema{
		Type: huma.TypeObject, MaxProperties: &limit,
		AdditionalProperties: &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeNumber}, {Type: huma.TypeBoolean}}},
	}
}
