package filter

import (
	"strings"
	"testing"
	"time"
)

// FuzzCompile gives the compiler any text: it must not panic, not take long, and what it accepts must be as CEL has it.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		threeConditions, `item.labels.exists(x, x == context.a ? true : has(user.b))`, `timestamp(context.since) + duration("1h") < now`, `item.fields["a b"] in [1, "x"]`,
		strings.Repeat("(", 60), strings.Repeat("!", 300) + "true", strings.Repeat("a?", 200), strings.Repeat("-", 1000) + "1 < 2", `item.title.matches("(a{1000}){1000}")`,
		strings.Repeat("item.price < 5 && ", 100) + "true", `["a"][0] == "a"`, "\xff", `context`, `"` + strings.Repeat(`\x41`, 400) + `" == item.brand`,
		strings.Repeat("[", 40) + strings.Repeat("]", 40) + " == 1", `true ? item : now`, `item.categories.all(has, has)`, `9223372036854775808 < 1`, `1e999 < 2`,
	} {
		f.Add(text)
	}
	env := interpreter(f)
	item := shoe()
	values := &Values{Context: map[string]string{"a": "1"}, User: map[string]string{"b": "true"}, Now: noon}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		p, err := Compile(text)
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("took %v", took)
		}
		if err != nil {
			return
		}
		bound := p.Bind(values)
		if got, want := bound.Match(item), newOracle(t, env, text, KindBool, values).eval(item); got != (want == true) {
			t.Fatalf("%s is %v, CEL says %v", text, got, want)
		}
		bound.Narrow()
	})
}
