package serving

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/httpserver"
)

// sameDecoded holds the reading of a body whose list is cut out against the general decoder.
func sameDecoded(t *testing.T, body []byte) {
	t.Helper()
	var want, got Request
	expected := httpserver.DecodeJSON(body, &want)
	before := string(body)
	problem := longList{"exclude_ids", &got.ExcludeIDs}.decode(body, &got)
	if string(body) != before {
		t.Fatalf("the body %s became %s", before, body)
	}
	if !reflect.DeepEqual(problem, expected) {
		t.Fatalf("%s: %+v, want %+v", body, problem, expected)
	}
	if expected == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %+v, want %+v", body, got, want)
	}
}

// longBodies are as long as those that lists are cut out of. Cut says of which they are.
func longBodies() []struct {
	body string
	cut  bool
} {
	long := strings.Repeat(`"item-17", `, 100)
	return []struct {
		body string
		cut  bool
	}{
		{`{"placement":"home","exclude_ids":[` + long + `"a"],"limit":3}`, true},
		{` { "exclude_ids" : [ ` + long + ` "a" ] } `, true},
		{`{"context":{"exclude_ids":["x\"}"],"b":[1,{}]},"exclude_ids":[` + long + `"é 漢",""]}`, true},
		{`{"exclude_ids":[` + long + `"a\u0041"]}`, false},
		{`{"exclude_ids":[` + long + `"a` + "\xff" + `"]}`, false},
		{`{"exclude_ids":[` + long + `"a` + "\n" + `"]}`, false},
		{`{"exclude_ids":[` + long + `null]}`, false},
		{`{"exclude_ids":[` + long + `7]}`, false},
		{`{"exclude_ids":[` + long + `]}`, false},
		{`{"exclude_ids":[` + long + `"a"}`, false},
		{`{"exclude_ids":[` + long + `"a`, false},
		{`{"exclude_ids":[` + long + `"a"],}`, false},
		{`{"exclude_ids":[` + long + `"a"]`, true},              // which the decoder finds fault with, in both
		{`{"exclude_ids":[` + long + `"a"]} {}`, true},          // likewise
		{`{"limit":"3","exclude_ids":[` + long + `"a"]}`, true}, // likewise
		{`{"limt":3,"exclude_ids":[` + long + `"a"]}`, true},    // likewise
		{`{"exclude_ids":[` + long + `"a"],"exclude_ids":["b"]}`, false},
		{`{"exclude_ids":[` + long + `"a"],"Exclude_IDs":["b"]}`, false},
		{`{"exclude_ids":[` + long + `"a"],"exclude\u005fids":["b"]}`, false},
		{`{"exclude_ids":[` + long + `"a"],"exclude_idſ":["b"]}`, false},
		{`{"placement":"` + long[1:8] + strings.Repeat("x", 2_000) + `","exclude_ids":[]}`, false},
		{`{"placement":"` + strings.Repeat("x", 2_000) + `","exclude_ids":null}`, false},
		{`{"context":{"exclude_ids":[` + long + `"a"]}}`, false},
		{`[{"exclude_ids":[` + long + `"a"]}]`, false},
		{`{"exclude_ids":` + strings.Repeat(" ", 2_000), false},
		{`{"exclude_ids"` + strings.Repeat(" ", 2_000), false},
		{`{"` + strings.Repeat("x", 2_000), false},
		{strings.Repeat(" ", 2_000), false},
	}
}

func TestListsAreCutOutOfBodies(t *testing.T) {
	for _, c := range longBodies() {
		sameDecoded(t, []byte(c.body))
		texts, rest, ok := cutList([]byte(c.body), "exclude_ids")
		if ok != c.cut {
			t.Errorf("%s is cut %t: %q", c.body, ok, texts)
		}
		if ok && strings.Contains(string(rest), "item-17") {
			t.Errorf("%s leaves %s", c.body, rest)
		}
	}
}

// FuzzLongList: whatever a body holds, it is read as the general decoder reads it, and refused in the same words.
func FuzzLongList(f *testing.F) {
	for _, c := range longBodies() {
		f.Add([]byte(c.body), false)
		f.Add([]byte(strings.ReplaceAll(c.body, `"item-17", `, "")), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, pad bool) {
		if pad && len(body) < longListBytes { // white space changes nothing, and lets short bodies be cut
			body = append(body, strings.Repeat(" ", longListBytes)...)
		}
		sameDecoded(t, body)
	})
}

// A wrong id of a long list is named by its place, and a list that is too long by its limit, as in a short one.
func TestLongListsAreChecked(t *testing.T) {
	h := start(t)
	many := strings.Repeat(`"item-17",`, MaxExcludeIDs)
	for _, c := range []struct{ body, pointer, slug string }{
		{`{"placement":"home","exclude_ids":[` + many + `"a"]}`, "/exclude_ids", httpserver.ProblemInvalidField},
		{`{"placement":"home","exclude_ids":[` + many[:len(many)-10] + `""]}`, "/exclude_ids/999", httpserver.ProblemInvalidField},
		{`{"placement":"home","exclude_ids":[` + many[:len(many)-10] + `7]}`, "/exclude_ids/999", httpserver.ProblemInvalidField},
		{`{"placement":"home","exclude_ids":[` + many[:len(many)-10] + `"a"],"limt":3}`, "/limt", httpserver.ProblemUnknownField},
	} {
		w := h.do(http.MethodPost, "/v1/recommend", c.body)
		p := decode[httpserver.Problem](t, w.Body)
		if w.Code != http.StatusBadRequest || p.Pointer != c.pointer || !strings.HasSuffix(p.Type, c.slug) {
			t.Errorf("a body that ends in %s: %d %+v", c.body[len(c.body)-30:], w.Code, p)
		}
	}
	if w := h.do(http.MethodPost, "/v1/recommend", `{"placement":"home","exclude_ids":[`+many[:len(many)-1]+`]}`); w.Code != http.StatusOK {
		t.Errorf("as many as may be, with repetitions: %d %s", w.Code, w.Body)
	}
}
