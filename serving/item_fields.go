package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/millrace/millrace/internal/event"
)

// mergeFields merges a patch into the shop's own fields; null removes one, or all of them.
func mergeFields(dst *map[string]any, raw json.RawMessage) *event.Problem {
	if isNull(raw) {
		*dst = nil
		return nil
	}
	var patch map[string]json.RawMessage
	if json.Unmarshal(raw, &patch) != nil {
		return wrongType("an object")
	}
	merged := make(map[string]any, len(*dst)+len(patch))
	for name, value := range *dst {
		merged[name] = value
	}
	for name, value := range patch {
		if isNull(value) {
			delete(merged, name)
			continue
		}
		decoded, p := fieldValue(value)
		if p == nil && (name == "" || len(name) > event.MaxIDBytes) {
			p = tooLarge("the name of a field must have 1 to %d bytes", event.MaxIDBytes)
		}
		if p != nil {
			p.Pointer = "/" + escapePointer(name) + p.Pointer
			return p
		}
		merged[name] = decoded
	}
	if len(merged) > MaxItemFields {
		return tooLarge("has %d entries, the limit is %d", len(merged), MaxItemFields)
	}
	*dst = merged
	if len(merged) == 0 {
		*dst = nil
	}
	return nil
}

// fieldValue accepts a scalar or a list of scalars.
func fieldValue(raw json.RawMessage) (any, *event.Problem) {
	if len(raw) > MaxFieldBytes {
		return nil, tooLarge("has %d bytes, the limit is %d", len(raw), MaxFieldBytes)
	}
	var value any
	if decodeExact(raw, &value) != nil {
		return nil, wrongType("a string, a number, true, false or a list of them")
	}
	entries, isList := value.([]any)
	if !isList {
		entries = []any{value}
	}
	for _, entry := range entries {
		switch entry := entry.(type) {
		case string, bool:
		case json.Number:
			if _, err := entry.Float64(); err != nil {
				return nil, &event.Problem{Code: event.CodeInvalidNumber, Detail: "a number is too large to read"}
			}
		default:
			return nil, wrongType("a string, a number, true, false or a list of them")
		}
	}
	return value, nil
}

// decodeExact decodes exactly one JSON value. Numbers without a type of their own stay as they were
// written: as float64 an integer beyond 2^53, such as an id of another system, would become another one.
func decodeExact(raw []byte, dst any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(dst); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is data behind the JSON value")
	}
	return nil
}
