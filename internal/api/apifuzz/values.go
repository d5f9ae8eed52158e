package apifuzz

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds values of nested types.
const maxDepth = 6

func sortedKeys(of map[string]any) []string { return slices.Sorted(maps.Keys(of)) }

// resolve follows a reference.
func (f *fuzzer) resolve(schema map[string]any) map[string]any {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	at := f.document
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = child(at, name)
	}
	return at
}

// value makes a value that keeps to a schema, of known ones where there are some of the name.
func (f *fuzzer) value(rng *rand.Rand, name string, schema map[string]any, depth int) any {
	schema = f.resolve(schema)
	if values, ok := schema["enum"].([]any); ok {
		return values[rng.IntN(len(values))]
	}
	switch kind := typeOf(schema); kind {
	case "object":
		return f.object(rng, schema, depth)
	case "array":
		return f.array(rng, name, schema, depth)
	case "integer", "number":
		return f.numberOf(rng, schema, kind == "integer")
	case "boolean":
		return rng.IntN(2) == 0
	case "string":
		return f.text(rng, name, schema)
	}
	return []any{nil, "x", 1, true, []any{"x"}, map[string]any{"x": 1}}[rng.IntN(6)]
}

// typeOf is the type of a schema, without null.
func typeOf(schema map[string]any) string {
	switch kind := schema["type"].(type) {
	case string:
		return kind
	case []any:
		for _, k := range kind {
			if k != "null" {
				return fmt.Sprint(k)
			}
		}
	}
	return ""
}

func (f *fuzzer) object(rng *rand.Rand, schema map[string]any, depth int) any {
	object := map[string]any{}
	required, _ := schema["required"].([]any)
	for _, name := range sortedKeys(child(schema, "properties")) {
		if slices.Contains(required, any(name)) || depth < maxDepth && rng.IntN(3) == 0 {
			object[name] = f.value(rng, name, child(child(schema, "properties"), name), depth+1)
		}
	}
	if values := child(schema, "additionalProperties"); child(schema, "properties") == nil && depth < maxDepth {
		for i := range rng.IntN(3) {
			object["k"+strconv.Itoa(i)] = f.value(rng, "", values, depth+1)
		}
	}
	return object
}

func (f *fuzzer) array(rng *rand.Rand, name string, schema map[string]any, depth int) any {
	most := 4.0
	if n, ok := number(schema["maxItems"]); ok {
		most = min(most, n)
		if rng.IntN(20) == 0 {
			most = n // as many as there may be
		}
	}
	least, _ := number(schema["minItems"])
	if depth > maxDepth {
		most = least
	}
	values := make([]any, max(int(least), rng.IntN(int(most)+1)))
	for i := range values {
		values[i] = f.value(rng, strings.TrimSuffix(name, "s"), child(schema, "items"), depth+1)
	}
	return values
}

func (f *fuzzer) numberOf(rng *rand.Rand, schema map[string]any, whole bool) any {
	low, ok := number(schema["minimum"])
	if !ok {
		low = 0
	}
	high, ok := number(schema["maximum"])
	if !ok {
		high = low + 100
	}
	x := low + rng.Float64()*(high-low)
	if edge := rng.IntN(6); edge < 2 {
		x = []float64{low, high}[edge]
	}
	if whole {
		return int64(x)
	}
	return x
}

func (f *fuzzer) text(rng *rand.Rand, name string, schema map[string]any) any {
	if schema["format"] == "date-time" {
		return pick(rng, []string{"2026-03-02T12:00:00Z", "2026-01-31T12:00:00.123+02:00", "1999-12-31T23:59:59Z"})
	}
	f.mu.Lock()
	known := f.known[name]
	if name == "id" { // an id may be of anything that was made
		for _, of := range []string{"item_id", "user_id", "rec_id", "name"} {
			known = append(known[:len(known):len(known)], f.known[of]...)
		}
	}
	f.mu.Unlock()
	if len(known) > 0 && rng.IntN(5) > 0 {
		return known[rng.IntN(len(known))]
	}
	if examples, ok := schema["examples"].([]any); ok && rng.IntN(2) == 0 {
		return examples[0]
	}
	text := pick(rng, []string{"a", "shoe-1", "Trail shoe", "2026", "é", "a.b_c-d", "x" + strconv.Itoa(rng.IntN(1000))})
	if most, ok := number(schema["maxLength"]); ok {
		if rng.IntN(20) == 0 {
			text = strings.Repeat("y", int(min(most, 10_000)))
		}
		if runes := []rune(text); len(runes) > int(most) {
			text = string(runes[:int(most)])
		}
	}
	if least, ok := number(schema["minLength"]); ok && len(text) < int(least) {
		text += strings.Repeat("z", int(least))
	}
	return text
}

// breakValue breaks a value in one place; what says how, and is empty where the schema forbids nothing.
func (f *fuzzer) breakValue(rng *rand.Rand, schema map[string]any, value any, depth int) (broken any, what string) {
	schema = f.resolve(schema)
	switch v := value.(type) {
	case map[string]any:
		return f.breakObject(rng, schema, v, depth)
	case []any:
		if most, ok := number(schema["maxItems"]); ok && rng.IntN(2) == 0 {
			v = make([]any, int(most)+1)
			for i := range v {
				v[i] = f.value(rng, "", child(schema, "items"), depth+1)
				if text, ok := v[i].(string); ok {
					v[i] = text + strconv.Itoa(i) // equal ones may count once
				}
			}
			return v, fmt.Sprintf("%d entries", len(v))
		}
		if len(v) > 0 {
			i := rng.IntN(len(v))
			v[i], what = f.breakValue(rng, child(schema, "items"), v[i], depth+1)
			return v, what
		}
	}
	return breakScalar(rng, schema, value)
}

func (f *fuzzer) breakObject(rng *rand.Rand, schema, object map[string]any, depth int) (broken any, what string) {
	required, _ := schema["required"].([]any)
	switch choice := rng.IntN(4); {
	case choice == 0 && schema["additionalProperties"] == false:
		object["surprise"] = 1
		return object, "an unknown field"
	case choice == 1 && len(required) > 0:
		name := fmt.Sprint(required[rng.IntN(len(required))])
		delete(object, name)
		return object, name + " is missing"
	}
	for _, i := range rng.Perm(len(object)) {
		name := sortedKeys(object)[i]
		property := child(child(schema, "properties"), name)
		if property == nil {
			continue
		}
		if object[name], what = f.breakValue(rng, property, object[name], depth+1); what != "" {
			return object, name + ": " + what
		}
	}
	return object, ""
}

func breakScalar(rng *rand.Rand, schema map[string]any, value any) (broken any, what string) {
	if values, ok := schema["enum"].([]any); ok {
		return "no-such-value", fmt.Sprintf("none of %v", values)
	}
	kind := typeOf(schema)
	if most, ok := number(schema["maxLength"]); ok && kind == "string" && rng.IntN(2) == 0 && most < 100_000 {
		return strings.Repeat("z", int(most)+1), fmt.Sprintf("%d characters", int(most)+1)
	}
	if most, ok := number(schema["maximum"]); ok && rng.IntN(2) == 0 {
		return json.Number(strconv.FormatFloat(most+1, 'f', -1, 64)), "beyond the maximum"
	}
	if least, ok := number(schema["minimum"]); ok && rng.IntN(2) == 0 {
		return json.Number(strconv.FormatFloat(least-1, 'f', -1, 64)), "below the minimum"
	}
	switch kind {
	case "integer", "number", "boolean":
		return "no", "a text"
	case "string":
		return 7, "a number"
	case "array":
		return map[string]any{"a": 1}, "an object"
	}
	return value, ""
}
