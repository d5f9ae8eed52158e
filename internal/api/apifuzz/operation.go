package apifuzz

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// operation is one endpoint of the document.
type operation struct {
	id, method, path string
	parameters       []parameter
	body             map[string]any // its schema; nil without one
	bodyExample      any
	answers          map[int]answer
}

type parameter struct {
	name, in string
	required bool
	schema   map[string]any
}

// answer is what an endpoint documents for a status; contentType is empty where there is no body.
type answer struct {
	contentType, text string
	schema            *jsonschema.Schema
}

func newOperation(f *fuzzer, compiler *jsonschema.Compiler, path, method string, doc map[string]any) *operation {
	op := &operation{id: fmt.Sprint(doc["operationId"]), method: strings.ToUpper(method), path: path, answers: map[int]answer{}}
	parameters, _ := doc["parameters"].([]any)
	for _, p := range parameters {
		p, _ := p.(map[string]any)
		op.parameters = append(op.parameters, parameter{
			name: fmt.Sprint(p["name"]), in: fmt.Sprint(p["in"]), required: p["required"] == true, schema: child(p, "schema"),
		})
	}
	if content := child(child(child(doc, "requestBody"), "content"), "application/json"); content != nil {
		op.body, op.bodyExample = child(content, "schema"), content["example"]
	}
	for status, response := range child(doc, "responses") {
		code, err := strconv.Atoi(status)
		if err != nil {
			f.tb.Fatalf("%s documents an answer %q", op.id, status)
		}
		r, _ := response.(map[string]any)
		documented := answer{text: fmt.Sprint(r["description"])}
		for contentType := range child(r, "content") {
			documented.contentType = contentType
			pointer := []string{"paths", path, method, "responses", status, "content", contentType, "schema"}
			for i := range pointer {
				pointer[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(pointer[i]))
			}
			documented.schema, err = compiler.Compile("openapi.json#/" + strings.Join(pointer, "/"))
			if err != nil {
				f.tb.Fatalf("the answer %s of %s: %v", status, op.id, err)
			}
		}
		op.answers[code] = documented
	}
	return op
}

// Kinds of requests.
const (
	valid   = "valid"
	broken  = "broken in one place"
	hostile = "hostile"
)

// request is one that is about to be sent.
type request struct {
	kind, breaks string
	method       string
	path         string // escaped, without the query
	query        string // escaped
	body         []byte
	headers      http.Header
	keyless      bool // it does not bring the secret key
}

func (q *request) build(secret string) (*http.Request, error) {
	target := q.path
	if q.query != "" {
		target += "?" + q.query
	}
	r, err := http.NewRequestWithContext(context.Background(), q.method, "http://api.test"+target, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for name, values := range q.headers {
		r.Header[name] = values
	}
	if !q.keyless {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	r.RemoteAddr, r.RequestURI = "192.0.2.1:1234", target
	return r, nil
}

// String is the request as it can be sent again.
func (q *request) String() string {
	return fmt.Sprintf("%s %.300s?%.300s %v\n  %.600q", q.method, q.path, q.query, q.headers, q.body)
}
