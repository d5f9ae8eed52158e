package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// breaks says what a client of the document before could rely on and cannot with the one after: a path, method, parameter, field or
// value that is gone, a field or parameter that is needed now, another type, a tighter limit of what is sent.
func breaks(before, after map[string]any) []string {
	d := &differences{before: before, after: after, seen: map[string]bool{}}
	for _, path := range keys(before, "paths") {
		for method, operation := range object(object(before, "paths"), path) {
			old, _ := operation.(map[string]any)
			now := object(object(object(after, "paths"), path), method)
			where := strings.ToUpper(method) + " " + path
			if now == nil {
				d.add("%s is gone", where)
				continue
			}
			d.operation(where, old, now)
		}
	}
	slices.Sort(d.found)
	return d.found
}

type differences struct {
	before, after map[string]any
	seen          map[string]bool // pairs of components that were compared
	found         []string
}

func (d *differences) add(format string, args ...any) {
	d.found = append(d.found, fmt.Sprintf(format, args...))
}

func (d *differences) operation(where string, old, now map[string]any) {
	parameters := map[string]map[string]any{}
	for _, p := range list(now["parameters"]) {
		parameters[fmt.Sprint(p["in"], " ", p["name"])] = p
	}
	for _, p := range list(old["parameters"]) {
		name := fmt.Sprint(p["in"], " ", p["name"])
		found, ok := parameters[name]
		delete(parameters, name)
		if !ok {
			d.add("%s: the parameter %s is gone", where, name)
			continue
		}
		if found["required"] == true && p["required"] != true {
			d.add("%s: the parameter %s is needed now", where, name)
		}
		d.schema(where+" "+name, object(p, "schema"), object(found, "schema"), true)
	}
	for name, p := range parameters {
		if p["required"] == true {
			d.add("%s: the new parameter %s is needed", where, name)
		}
	}
	if object(old, "requestBody") == nil && object(now, "requestBody")["required"] == true {
		d.add("%s: a body is needed now", where)
	}
	d.contents(where+" body", object(old, "requestBody"), object(now, "requestBody"), true)
	for status, response := range object(old, "responses") {
		r, _ := response.(map[string]any)
		if found := object(object(now, "responses"), status); found != nil {
			d.contents(where+" "+status, r, found, false)
		} else if strings.HasPrefix(status, "2") {
			d.add("%s: the answer %s is gone", where, status)
		}
	}
}

func (d *differences) contents(where string, old, now map[string]any, sent bool) {
	for _, kind := range keys(old, "content") {
		found := object(object(now, "content"), kind)
		if found == nil {
			d.add("%s: %s is gone", where, kind)
			continue
		}
		d.schema(where, object(object(object(old, "content"), kind), "schema"), object(found, "schema"), sent)
	}
}

// schema compares what is sent to the server (sent), which may get wider, or what it answers, which may get more.
func (d *differences) schema(where string, old, now map[string]any, sent bool) {
	if pair := fmt.Sprint(old["$ref"], now["$ref"], sent); old["$ref"] != nil && now["$ref"] != nil {
		if d.seen[pair] {
			return
		}
		d.seen[pair] = true
	}
	old, now = resolve(d.before, old), resolve(d.after, now)
	if before, after := fmt.Sprint(old["type"]), fmt.Sprint(now["type"]); before != after && now["type"] != nil {
		d.add("%s: the type was %s and is %s", where, before, after)
		return
	}
	d.values(where, old, now, sent)
	d.fields(where, old, now, sent)
	if items := object(old, "items"); items != nil {
		d.schema(where+"[]", items, object(now, "items"), sent)
	}
	if values := object(old, "additionalProperties"); values != nil {
		d.schema(where+"{}", values, object(now, "additionalProperties"), sent)
	}
}

func (d *differences) values(where string, old, now map[string]any, sent bool) {
	kept, _ := now["enum"].([]any)
	had, _ := old["enum"].([]any)
	for _, value := range had {
		if sent && kept != nil && !slices.Contains(kept, value) {
			d.add("%s: the value %v is gone", where, value)
		}
	}
	if !sent {
		return
	}
	if had == nil && kept != nil {
		d.add("%s: only %v is taken now", where, kept)
	}
	for name, lower := range map[string]bool{
		"maximum": true, "maxLength": true, "maxItems": true, "minimum": false, "minLength": false, "minItems": false,
	} {
		before, had := old[name].(float64)
		after, has := now[name].(float64)
		if has && (!had || lower && after < before || !lower && after > before) {
			d.add("%s: %s was %v and is %v", where, name, old[name], after)
		}
	}
	if now["pattern"] != nil && now["pattern"] != old["pattern"] {
		d.add("%s: the pattern is %v now", where, now["pattern"])
	}
}

func (d *differences) fields(where string, old, now map[string]any, sent bool) {
	needed, _ := now["required"].([]any)
	wasNeeded, _ := old["required"].([]any)
	for _, name := range needed {
		if sent && !slices.Contains(wasNeeded, name) {
			d.add("%s: the field %s is needed now", where, name)
		}
	}
	for _, name := range wasNeeded {
		if !sent && !slices.Contains(needed, name) {
			d.add("%s: the field %s may be absent now", where, name)
		}
	}
	for _, name := range keys(old, "properties") {
		if found := object(object(now, "properties"), name); found != nil {
			d.schema(where+"."+name, object(object(old, "properties"), name), found, sent)
		} else {
			d.add("%s: the field %s is gone", where, name)
		}
	}
}

func resolve(document, schema map[string]any) map[string]any {
	ref, ok := schema["$ref"].(string)
	if !ok {
		return schema
	}
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		document = object(document, name)
	}
	return document
}

func object(of map[string]any, name string) map[string]any {
	value, _ := of[name].(map[string]any)
	return value
}

func keys(of map[string]any, name string) []string {
	return slices.Sorted(maps.Keys(object(of, name)))
}

func list(value any) (objects []map[string]any) {
	values, _ := value.([]any)
	for _, v := range values {
		if o, ok := v.(map[string]any); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// TestBreaks: each change that a client would notice is told, and none that it would not.
func TestBreaks(t *testing.T) {
	const before = `{"paths":{"/a":{"get":{"parameters":[{"in":"query","name":"n","schema":{"type":"integer","maximum":9}}],
		"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/In"}}}},
		"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Out"}}}}}}}},
		"components":{"schemas":{"In":{"type":"object","required":["x"],"properties":{"x":{"type":"string","enum":["a","b"]},"y":{"type":"string"}}},
		"Out":{"type":"object","required":["z"],"properties":{"z":{"type":"array","items":{"type":"string"}}}}}}}`
	for _, c := range []struct{ name, old, now, says string }{
		{"nothing", "", "", ""},
		{"a path", `"/a":{`, `"/b":{`, "GET /a is gone"},
		{"a parameter", `"name":"n"`, `"name":"m"`, "query n is gone"},
		{"a lower maximum", `"maximum":9`, `"maximum":8`, "maximum was 9 and is 8"},
		{"a higher maximum", `"maximum":9`, `"maximum":10`, ""},
		{"a needed parameter", `"name":"n"`, `"required":true,"name":"n"`, "is needed now"},
		{"a new needed field", `"required":["x"]`, `"required":["x","y"]`, "the field y is needed now"},
		{"a field less needed", `"required":["x"]`, `"required":[]`, ""},
		{"a value gone", `["a","b"]`, `["a"]`, "the value b is gone"},
		{"a value more", `["a","b"]`, `["a","b","c"]`, ""},
		{"another type inside an answer", `"items":{"type":"string"}`, `"items":{"type":"integer"}`, "the type was string and is integer"},
		{"a field of an answer gone", `"properties":{"z"`, `"properties":{"w"`, "the field z is gone"},
		{"a field of an answer optional", `"required":["z"]`, `"required":[]`, "may be absent now"},
		{"an optional field more", `"y":{"type":"string"}`, `"y":{"type":"string"},"w":{"type":"string"}`, ""},
		{"an answer gone", `"200"`, `"202"`, "the answer 200 is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := decodeObject(t, []byte(before))
			now := decodeObject(t, []byte(strings.Replace(before, c.old, c.now, 1)))
			found := breaks(old, now)
			if (c.says == "") != (len(found) == 0) || !strings.Contains(strings.Join(found, "\n"), c.says) {
				t.Errorf("found %q", found)
			}
		})
	}
}
