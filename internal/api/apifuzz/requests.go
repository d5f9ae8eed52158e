package apifuzz

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// example is the request that the document itself shows, of what is there.
func (f *fuzzer) example(op *operation) *request {
	rng := rand.New(rand.NewPCG(f.Seed, 0))
	q := f.frame(rng, op, func(p parameter) any {
		if !p.required {
			return nil
		}
		return f.parameter(rng, op, p)
	})
	if op.bodyExample != nil {
		q.body = encode(op.bodyExample)
	}
	return q
}

// make makes a request of any kind.
func (f *fuzzer) make(rng *rand.Rand, op *operation) *request {
	q := f.frame(rng, op, func(p parameter) any {
		if !p.required && rng.IntN(3) > 0 {
			return nil
		}
		return f.parameter(rng, op, p)
	})
	var body any
	if op.body != nil {
		body = f.value(rng, "", op.body, 0)
		if rng.IntN(3) == 0 && op.bodyExample != nil {
			body = op.bodyExample
		}
		q.body = encode(body)
	}
	switch kind := rng.IntN(10); {
	case kind < 5:
	case kind < 8:
		f.breakOne(rng, op, q, body)
	default:
		f.makeHostile(rng, op, q, body)
	}
	return q
}

// parameter makes a value of a parameter: one that is known for the endpoint, else one that keeps to the schema.
func (f *fuzzer) parameter(rng *rand.Rand, op *operation, p parameter) any {
	if known := f.Known[op.id+"."+p.name]; len(known) > 0 {
		return pick(rng, known)
	}
	return f.value(rng, p.name, p.schema, 0)
}

// frame is a request with the parameters that choose gives; nil leaves one out.
func (f *fuzzer) frame(rng *rand.Rand, op *operation, choose func(parameter) any) *request {
	q := &request{kind: valid, method: op.method, path: op.path, headers: http.Header{"Content-Type": {"application/json"}}}
	query := url.Values{}
	for _, p := range op.parameters {
		value := choose(p)
		if value == nil {
			continue
		}
		switch text := plain(value); p.in {
		case "path":
			if text == "" {
				text = "x"
			}
			q.path = strings.ReplaceAll(q.path, "{"+p.name+"}", url.PathEscape(text))
		case "query":
			query.Set(p.name, text)
		case "header":
			q.headers.Set(p.name, text)
		}
	}
	q.query = query.Encode()
	return q
}

// breakOne breaks the request in one place that the document forbids.
func (f *fuzzer) breakOne(rng *rand.Rand, op *operation, q *request, body any) {
	if op.body != nil && rng.IntN(3) > 0 {
		if changed, what := f.breakValue(rng, op.body, clone(body), 0); what != "" {
			q.kind, q.breaks, q.body = broken, "the body: "+what, encode(changed)
			return
		}
	}
	var breakable []parameter
	for _, p := range op.parameters {
		texts := p.schema["type"] == "string" || child(p.schema, "items")["type"] == "string" // in a URL everything is a text
		if p.in == "query" && !texts {
			breakable = append(breakable, p)
		}
	}
	if len(breakable) == 0 || rng.IntN(3) == 0 {
		q.kind, q.breaks = broken, "a parameter that is not documented"
		q.query = strings.TrimPrefix(q.query+"&surprise=1", "&")
		return
	}
	p := breakable[rng.IntN(len(breakable))]
	if value, what := f.breakValue(rng, p.schema, f.value(rng, p.name, p.schema, 0), 0); what != "" && plain(value) != "" {
		query, _ := url.ParseQuery(q.query)
		query.Set(p.name, plain(value))
		q.kind, q.breaks, q.query = broken, "the parameter "+p.name+": "+what, query.Encode()
	}
}

// texts are what has broken programs before.
var texts = []string{
	"", " ", "\x00", "null", "../../etc/passwd", "a/b", "a b", "%00", "%2f", "'; DROP TABLE items;--", "<script>", "😀", "\u202e", "é", "e\u0301", "\n", "\t",
	"{{.}}", "${x}", "-1", "1e999", "NaN", "anonymous:", "anonymous:x", "*", "?", "#", "\ufeff", "\xff\xfe", strings.Repeat("a", 129), strings.Repeat("ü", 128),
	strings.Repeat("x", 5_000),
}

// numbers are at the edges of what programs count with.
var numbers = []string{"0", "-1", "1", "2147483648", "9223372036854775807", "9223372036854775808", "1e308", "1e400", "-0.0", "0.1", "1e-400"}

// makeHostile makes a request that nobody well-meaning sends.
func (f *fuzzer) makeHostile(rng *rand.Rand, op *operation, q *request, body any) {
	q.kind = hostile
	switch choice := rng.IntN(7); {
	case choice == 0:
		f.hostileHeaders(rng, q)
	case choice == 1 && strings.Contains(op.path, "{"):
		q.path = op.path
		for _, p := range op.parameters {
			if p.in == "path" {
				raw := []string{url.PathEscape(pick(rng, texts)), "%2F..%2F", "..", "%ff", "a%2Fb", "%E0%A4%A", ".", "a;b", "a:b"}
				q.path = strings.ReplaceAll(q.path, "{"+p.name+"}", pick(rng, raw))
			}
		}
	case choice == 2 || op.body == nil:
		query := q.query
		for range 1 + rng.IntN(3) {
			name := "limit"
			if len(op.parameters) > 0 {
				name = op.parameters[rng.IntN(len(op.parameters))].name
			}
			query += "&" + url.QueryEscape(name) + "=" + pick(rng, []string{url.QueryEscape(pick(rng, texts)), pick(rng, numbers), "%", "%zz", ";"})
		}
		q.query = strings.TrimPrefix(query, "&")
	case choice == 3:
		q.body = hostileBody(rng, q.body)
	default:
		q.body = spoil(rng, body)
	}
}

func (f *fuzzer) hostileHeaders(rng *rand.Rand, q *request) {
	switch rng.IntN(5) {
	case 0:
		q.headers.Set("Content-Type", pick(rng, []string{"", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "a+b;c", ";+"}))
	case 1:
		q.headers.Set("Accept", pick(rng, []string{"text/html", "image/*;q=0", "application/cbor", ",,,;;q=", "*/*"}))
	case 2:
		q.keyless = true
		q.headers.Set("Authorization", pick(rng, []string{"Bearer", "Bearer sk_", "Basic eDp5", "Bearer " + strings.Repeat("x", 2_000), "bearer pk_x"}))
	case 3:
		q.headers.Set("If-Match", pick(rng, []string{`"1"`, "*", `W/"1"`, "x", `""`, strings.Repeat(`"9",`, 300)}))
		q.headers.Set("If-None-Match", "*")
	default:
		q.headers.Set("Origin", pick(rng, []string{"null", "https://evil.example", "x", "https://shop.example:99999"}))
		q.headers.Set("X-Request-Id", pick(rng, texts[5:12]))
	}
}

func hostileBody(rng *rand.Rand, body []byte) []byte {
	switch rng.IntN(9) {
	case 0:
		return nil
	case 1:
		return body[:rng.IntN(len(body)+1)]
	case 2:
		return append(slices.Clone(body), body...)
	case 3:
		return []byte(strings.Repeat("[", 20_000))
	case 4:
		return []byte(strings.Repeat(`{"a":`, 20_000))
	case 5:
		return append([]byte("\xef\xbb\xbf"), body...)
	case 6:
		broken := slices.Clone(body)
		for range 1 + rng.IntN(4) {
			if len(broken) > 0 {
				broken[rng.IntN(len(broken))] = byte(rng.Uint32())
			}
		}
		return broken
	case 7:
		return []byte(`"` + strings.Repeat("x", 300_000) + `"`)
	default:
		return []byte(pick(rng, []string{"null", "true", "1", `""`, "[]", "{}", "[null]", `{"":null}`, "\x00", "[[]]", "[{}]"}))
	}
}

// spoil puts something hostile in the place of one value of a body.
func spoil(rng *rand.Rand, body any) []byte {
	const mark = "spoilt-here"
	spoilt := replaceOne(rng, clone(body), mark)
	texts := []string{"null", "[]", "{}", "true", `""`, pick(rng, numbers), string(encode(pick(rng, texts))), `[[[[1]]]]`, `{"a":{"b":null}}`, `"\ud800"`}
	return []byte(strings.Replace(string(encode(spoilt)), `"`+mark+`"`, pick(rng, texts), 1))
}

func replaceOne(rng *rand.Rand, value any, with string) any {
	switch v := value.(type) {
	case map[string]any:
		if names := sortedKeys(v); len(names) > 0 && rng.IntN(4) > 0 {
			name := names[rng.IntN(len(names))]
			v[name] = replaceOne(rng, v[name], with)
			return v
		}
	case []any:
		if len(v) > 0 && rng.IntN(4) > 0 {
			i := rng.IntN(len(v))
			v[i] = replaceOne(rng, v[i], with)
			return v
		}
	}
	return with
}

func pick(rng *rand.Rand, of []string) string { return of[rng.IntN(len(of))] }

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		return []byte("null") // values are made of JSON
	}
	return text
}

func clone(value any) any {
	var copied any
	decoder := json.NewDecoder(strings.NewReader(string(encode(value))))
	decoder.UseNumber()
	if decoder.Decode(&copied) != nil {
		return nil
	}
	return copied
}

// plain is a value as a parameter has it.
func plain(value any) string {
	if values, ok := value.([]any); ok {
		parts := make([]string, len(values))
		for i, v := range values {
			parts[i] = strings.ReplaceAll(plain(v), ",", "")
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(value)
}
