// Package apifuzz asks every endpoint of an OpenAPI document what it promises to answer: with requests that keep to the document,
// with requests that break it in one place, and with hostile ones. It is seeded, so a finding can be met again.
package apifuzz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Target is what is asked.
type Target struct {
	Handler http.Handler
	// Secret is a secret key in force. It is asked for again after an answer 401, because requests may revoke keys.
	Secret func() string
	// Known are values of fields and parameters by name, of which there is something: item ids, visitors. One of the form
	// operationId.parameter holds what this endpoint alone is asked with.
	Known map[string][]string
	// Slow is the time that no answer may take.
	Slow time.Duration
	Seed uint64
	For  time.Duration
	// Lenient are operationIds whose bodies take more than they document: a broken one need not be refused.
	Lenient []string
	// Unanswered are operationIds that cannot succeed on this target.
	Unanswered []string
	// MayFail is set where it does not matter whether each endpoint ever succeeds.
	MayFail bool
	// Workers ask at the same time; 0 means 1.
	Workers int
}

// Report is what was asked.
type Report struct {
	Requests  int
	Statuses  map[string]map[int]int // by operationId and status
	Slowest   time.Duration
	SlowestOf string
}

func (r *Report) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d requests, the slowest answer after %s (%s)\n", r.Requests, r.Slowest.Round(time.Millisecond), r.SlowestOf)
	for _, id := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&out, "  %s:", id)
		for _, status := range slices.Sorted(maps.Keys(r.Statuses[id])) {
			fmt.Fprintf(&out, " %d x %d", status, r.Statuses[id][status])
		}
		out.WriteString("\n")
	}
	return out.String()
}

// fuzzer is a run.
type fuzzer struct {
	Target
	tb         testing.TB
	document   map[string]any
	operations []*operation

	mu     sync.Mutex
	secret string
	known  map[string][]string
	report Report
	failed map[string]int // findings of one kind, of which the first few are told
}

// Run asks for as long as the target says, at least each endpoint once as the document's own example has it, and fails tb with what
// it finds. The document is asked for at /openapi.json.
func Run(tb testing.TB, target Target) *Report {
	tb.Helper()
	f := &fuzzer{Target: target, tb: tb, known: map[string][]string{}, failed: map[string]int{}, report: Report{Statuses: map[string]map[int]int{}}}
	for name, values := range target.Known {
		f.known[name] = slices.Clone(values)
	}
	f.secret = target.Secret()
	f.load()
	for _, op := range f.operations {
		f.ask(op, f.example(op))
	}
	var workers sync.WaitGroup
	end := time.Now().Add(target.For)
	for w := range max(target.Workers, 1) {
		rng := rand.New(rand.NewPCG(target.Seed, uint64(w)))
		workers.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				op := f.operations[(n+w)%len(f.operations)]
				f.ask(op, f.make(rng, op))
			}
		})
	}
	workers.Wait()
	for _, op := range f.operations {
		if !target.MayFail && !slices.ContainsFunc(slices.Collect(maps.Keys(f.report.Statuses[op.id])), func(status int) bool { return status < 300 }) && !slices.Contains(f.Unanswered, op.id) {
			tb.Errorf("%s never succeeded: %v", op.id, f.report.Statuses[op.id])
		}
	}
	return &f.report
}

// load reads the document.
func (f *fuzzer) load() {
	w := httptest.NewRecorder()
	f.Handler.ServeHTTP(w, httptest.NewRequestWithContext(f.tb.Context(), http.MethodGet, "/openapi.json", nil))
	document, err := jsonschema.UnmarshalJSON(w.Body)
	if err != nil {
		f.tb.Fatalf("the document: %d %v", w.Code, err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		f.tb.Fatal(err)
	}
	f.document, _ = document.(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(child(f.document, "paths"))) {
		methods := child(child(f.document, "paths"), path)
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			f.operations = append(f.operations, newOperation(f, compiler, path, method, child(methods, method)))
		}
	}
}

// ask sends a request and holds the answer against the document.
func (f *fuzzer) ask(op *operation, q *request) {
	f.mu.Lock()
	r, err := q.build(f.secret)
	f.mu.Unlock()
	if err != nil {
		return // no HTTP client would send it
	}
	w := httptest.NewRecorder()
	began := time.Now()
	func() {
		defer func() {
			if cause := recover(); cause != nil {
				f.find(op, q, "it panicked: %v", cause)
				w.Code = 0
			}
		}()
		f.Handler.ServeHTTP(w, r)
	}()
	took := time.Since(began)
	f.mu.Lock()
	f.report.Requests++
	if took > f.report.Slowest {
		f.report.Slowest, f.report.SlowestOf = took, op.id
	}
	if f.report.Statuses[op.id] == nil {
		f.report.Statuses[op.id] = map[int]int{}
	}
	f.report.Statuses[op.id][w.Code]++
	f.mu.Unlock()
	if took > f.Slow {
		f.find(op, q, "it took %s", took)
	}
	if w.Code != 0 {
		f.check(op, q, w)
	}
	if w.Code == http.StatusUnauthorized && !q.keyless {
		f.renew()
	}
}

func (f *fuzzer) renew() {
	secret := f.Secret()
	f.mu.Lock()
	f.secret = secret
	f.mu.Unlock()
}

// find tells of a finding, the first three of each kind.
func (f *fuzzer) find(op *operation, q *request, format string, args ...any) {
	f.mu.Lock()
	kind := op.id + format
	f.failed[kind]++
	n := f.failed[kind]
	f.mu.Unlock()
	if n <= 3 {
		f.tb.Errorf("%s (%s): %s\n  %s", op.id, q.kind, fmt.Sprintf(format, args...), q)
	}
}

// check holds an answer against the document.
func (f *fuzzer) check(op *operation, q *request, w *httptest.ResponseRecorder) {
	switch {
	case w.Code >= http.StatusInternalServerError && !slices.Contains(f.Unanswered, op.id):
		f.find(op, q, "it answered %d: %.300s", w.Code, w.Body)
	case q.kind == broken && w.Code < 300 && !slices.Contains(f.Lenient, op.id):
		f.find(op, q, "a request that breaks the document (%s) was answered with %d", q.breaks, w.Code)
	}
	answer, ok := op.answers[w.Code]
	if !ok {
		if q.kind != hostile || w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusMovedPermanently {
			f.find(op, q, "its document has no answer %d: %.300s", w.Code, w.Body)
		}
		return
	}
	if answer.contentType == "" {
		if w.Body.Len() > 0 {
			f.find(op, q, "it answered %d with a body, which it does not document: %.100s", w.Code, w.Body)
		}
		return
	}
	if got := w.Header().Get("Content-Type"); got != answer.contentType {
		f.find(op, q, "it answered %d as %q, documented is %q", w.Code, got, answer.contentType)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		f.find(op, q, "it answered %d with what is no JSON: %v", w.Code, err)
		return
	}
	if err := answer.schema.Validate(value); err != nil {
		f.find(op, q, "its answer %d is not what it documents: %v\n  %.500s", w.Code, err, w.Body)
	}
	f.checkProblem(op, q, answer, value)
	if w.Code < 300 {
		f.learn(value)
	}
}

// checkProblem wants a problem to be among those that the endpoint documents.
func (f *fuzzer) checkProblem(op *operation, q *request, answer answer, value any) {
	problem, _ := value.(map[string]any)
	if answer.contentType != "application/problem+json" {
		return
	}
	slug := strings.TrimPrefix(fmt.Sprint(problem["type"]), "urn:millrace:problem:")
	generic := slug == "not-found" || slug == "method-not-allowed"
	if !strings.Contains(answer.text, "`"+slug+"`") && (!generic || q.kind != hostile) {
		f.find(op, q, "it answered the problem %s, which it does not document with %v: "+answer.text, slug, problem["status"])
	}
	if problem["request_id"] == nil || problem["title"] == "" {
		f.find(op, q, "its problem lacks request_id or title: %v", problem)
	}
}

// maxKnown bounds the values that are remembered of a name.
const maxKnown = 40

// learn remembers the texts of an answer by their names, so that ids that were made are asked for.
func (f *fuzzer) learn(value any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.learnLocked("", value, 0)
}

func (f *fuzzer) learnLocked(name string, value any, depth int) {
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			if depth < 4 {
				f.learnLocked(key, child, depth+1)
			}
		}
	case []any:
		for _, child := range v[:min(len(v), 3)] {
			f.learnLocked(name, child, depth+1)
		}
	case string:
		if len(f.known[name]) < maxKnown && len(v) < 200 && v != "" && !slices.Contains(f.known[name], v) {
			f.known[name] = append(f.known[name], v)
		}
	}
}

func child(of map[string]any, name string) map[string]any {
	value, _ := of[name].(map[string]any)
	return value
}

// number reads a number of the document.
func number(value any) (float64, bool) {
	n, ok := value.(json.Number)
	if !ok {
		return 0, false
	}
	x, err := n.Float64()
	return x, err == nil
}
