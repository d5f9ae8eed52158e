package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// interpreter is CEL's own evaluator over the same language: the oracle of the closures.
func interpreter(tb testing.TB) *cel.Env {
	tb.Helper()
	registry, err := types.NewRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	env, err := newEnvironment(&provider{Registry: registry, get: getField, isSet: isSetField})
	if err != nil {
		tb.Fatal(err)
	}
	return env
}

var errMissing = errors.New("the item has no such value")

// getField reads a field as CEL's interpreter is given it.
func getField(subject any, name string) (any, error) {
	item := subject.(*thing)
	if name == fieldOwn {
		own := map[string]any{}
		for name, value := range item.own {
			own[name] = plain(value)
		}
		return own, nil
	}
	f, _ := fieldNamed(name)
	if !has(item, f) && fields[f].kind != KindList {
		return nil, errMissing
	}
	switch fields[f].kind {
	case KindNumber:
		return *item.price, nil
	case KindBool:
		return item.available, nil
	case KindTime:
		return item.times[f], nil
	case KindList:
		return item.lists[f], nil
	}
	return item.texts[f], nil
}

func isSetField(subject any, name string) bool {
	f, ok := fieldNamed(name)
	return ok && has(subject.(*thing), f)
}

// plain is decoded JSON with numbers as CEL knows them.
func plain(decoded any) any {
	switch v := decoded.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	}
	return decoded
}

// oracle is an expression as CEL's interpreter evaluates it.
type oracle struct {
	program cel.Program
	values  *Values
}

func newOracle(tb testing.TB, env *cel.Env, text string, wanted Kind, values *Values) *oracle {
	tb.Helper()
	checked, failed := check(env, text, wanted)
	if failed != nil {
		tb.Fatalf("%s: %v", text, failed)
	}
	program, err := env.Program(checked)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return &oracle{program, values}
}

// eval is what the expression comes to, nil where it cannot be decided.
func (o *oracle) eval(item *thing) any {
	out, _, err := o.program.Eval(map[string]any{
		varItem: item, varContext: o.values.Context, varUser: o.values.User, varNow: o.values.Now,
	})
	if err != nil {
		return nil
	}
	return out.Value()
}

// TestAsCEL compares closures with CEL's interpreter on random expressions and items.
func TestAsCEL(t *testing.T) { compareWithCEL(t, 1_000, 11) }

// TestLongAsCEL is TestAsCEL for minutes.
func TestLongAsCEL(t *testing.T) {
	long(t)
	compareWithCEL(t, 400_000, uint64(time.Now().UnixNano()))
}

func compareWithCEL(t *testing.T, expressions int, seed uint64) {
	t.Helper()
	env, rng := interpreter(t), rand.New(rand.NewPCG(seed, 3))
	decided, matched, refused, settled := 0, 0, 0, 0
	for range expressions {
		g := &generator{rng: rng, budget: 1 + rng.IntN(12)}
		text := g.condition()
		p, err := Compile(text)
		if err != nil {
			if refused++; refused > expressions/4 {
				t.Fatalf("the generator writes what does not compile: %s: %v", text, err)
			}
			continue
		}
		values := randomValues(rng)
		bound, truth := p.Bind(values), newOracle(t, env, text, KindBool, values)
		for range 4 {
			item := randomThing(rng)
			want := truth.eval(item)
			if want != nil {
				decided++
			}
			if want == true {
				matched++
			}
			if got := bound.Match(item); got != (want == true) {
				t.Fatalf("seed %d: %s\nof %+v\nwith %+v\nis %v, CEL says %v", seed, text, item, values, got, want)
			}
			conditions, rest := bound.Narrow()
			narrow := true
			for _, c := range conditions {
				narrow = narrow && fulfils(item, &c)
			}
			if want == true && !narrow {
				t.Fatalf("seed %d: %s matches %+v, which its conditions %+v do not let through", seed, text, item, conditions)
			}
			if got := narrow && (rest == nil || rest.Match(item)); got != (want == true) {
				t.Fatalf("seed %d: %s\nof %+v\nwith %+v\nis %v by %+v and what is left, CEL says %v", seed, text, item, values, got, conditions, want)
			}
			if rest == nil {
				settled++
			}
		}
	}
	if decided < expressions || matched < expressions/4 || settled < expressions/4 {
		t.Errorf("of %d expressions only %d answers were decided, %d true and %d settled by conditions: the comparison says little", expressions, decided, matched, settled)
	}
}

// fulfils is what an index must do with a condition, one item at a time.
func fulfils(s Subject, c *Condition) bool {
	switch c.Op {
	case OpAll, OpAny:
		for i := range c.Of {
			if fulfils(s, &c.Of[i]) != (c.Op == OpAll) {
				return c.Op == OpAny
			}
		}
		return c.Op == OpAll
	case OpEvery:
		return true
	case OpIn, OpOut:
		for _, text := range c.Texts {
			list, wanted := s.ListOf(c.Field), Text(text)
			if text != "" && s.TextOf(c.Field) == text || fields[c.Field].kind == KindList && list.holds(&wanted) {
				return c.Op == OpIn
			}
		}
		return c.Op == OpOut && (fields[c.Field].kind == KindList || has(s, c.Field))
	case OpRange:
		key := keyOf(s, c.Field)
		return c.Low <= key && key <= c.High
	case OpTrue, OpFalse:
		return s.BoolOf(c.Field) == (c.Op == OpTrue)
	}
	return false
}

func keyOf(s Subject, f Field) int64 {
	switch {
	case !has(s, f):
		return NoKey
	case fields[f].kind == KindTime:
		return KeyOfTime(s.TimeOf(f))
	}
	number, _ := s.NumberOf(f)
	return KeyOfNumber(number)
}

// TestFactorAsCEL compares the values of number expressions.
func TestFactorAsCEL(t *testing.T) {
	env, rng := interpreter(t), rand.New(rand.NewPCG(5, 3))
	for range 500 {
		g := &generator{rng: rng, budget: 1 + rng.IntN(8)}
		text := g.number()
		p, err := CompileFactor(text)
		if err != nil {
			continue
		}
		values := randomValues(rng)
		bound, truth := p.Bind(values), newOracle(t, env, text, KindNumber, values)
		for range 4 {
			item := randomThing(rng)
			got, ok := bound.Factor(item)
			if want, decided := truth.eval(item).(float64); ok != decided || ok && got != want && (got == got || want == want) {
				t.Fatalf("%s\nof %+v\nis %v %v, CEL says %v %v", text, item, got, ok, want, decided)
			}
		}
	}
}

// generator writes expressions that are well typed, nearly always. Budget is how many operators are left.
type generator struct {
	rng     *rand.Rand
	budget  int
	inMacro bool
}

func (g *generator) pick(options ...string) string { return options[g.rng.IntN(len(options))] }

// more reports whether another operator may be written.
func (g *generator) more() bool {
	g.budget--
	return g.budget > 0
}

func (g *generator) condition() string {
	if !g.more() {
		return g.pick("item.available", "true", "false", "has(item.price)", "has(item.brand)", "has(item.labels)", "has(item.fields.size)",
			"context.flag", "has(context.budget)", "item.fields.vegan", `"shoes" in item.categories`, "item.price < context.budget",
			`item.brand == "Fleet"`, `user.tier == "gold"`, "context.text in item.labels", `item.brand in ["Fleet", "Other", context.text]`)
	}
	compare := g.pick("==", "!=", "<", "<=", ">", ">=")
	switch g.rng.IntN(15) {
	case 0, 1, 2:
		return fmt.Sprintf("(%s && %s)", g.condition(), g.condition())
	case 3, 4:
		return fmt.Sprintf("(%s || %s)", g.condition(), g.condition())
	case 5:
		return "!(" + g.condition() + ")"
	case 6:
		return fmt.Sprintf("(%s ? %s : %s)", g.condition(), g.condition(), g.condition())
	case 7, 8:
		return fmt.Sprintf("(%s %s %s)", g.number(), compare, g.number())
	case 9:
		return fmt.Sprintf("(%s %s %s)", g.text(), compare, g.text())
	case 10:
		return fmt.Sprintf("(%s %s %s)", g.time(), compare, g.time())
	case 11:
		return fmt.Sprintf("(%s %s %s)", g.any(), g.pick("==", "!=", "<", ">"), g.pick(g.any(), g.text(), g.number(), "true", "context.n", "context.text"))
	case 12:
		return fmt.Sprintf("(%s in %s)", g.pick(g.text(), g.number(), "context.text", "context.n", g.any()), g.list())
	case 13:
		if !g.inMacro {
			return g.macro()
		}
		return fmt.Sprintf("(%s %s %s)", g.duration(), compare, g.duration())
	}
	return fmt.Sprintf("%s.%s(%s)", g.text(), g.pick("contains", "startsWith", "endsWith", "matches"), g.pick(`"s"`, `"Fl"`, `"^.e"`, `""`))
}

func (g *generator) macro() string {
	over := g.list()
	g.inMacro = true
	defer func() { g.inMacro = false }()
	inner := g.pick(`x == "shoes"`, `x == context.text`, `x != "new"`, `x in item.labels`, `x == item.fields.size`, `size(x) > 3`, g.condition(),
		g.condition()+" && x == item.brand")
	return fmt.Sprintf("%s.%s(x, %s)", over, g.pick("exists", "all"), inner)
}

func (g *generator) number() string {
	if !g.more() {
		return g.pick("item.price", "50", "49.9", "0", "-1.5", "2u", "double(context.budget)", "double(context.text)", "size(item.labels)", "double(item.fields.size)",
			"item.categories.size()", "double(user.limit)")
	}
	switch g.rng.IntN(5) {
	case 0:
		return "size(" + g.text() + ")"
	case 1:
		return fmt.Sprintf("(%s ? %s : %s)", g.condition(), g.number(), g.number())
	case 2:
		return fmt.Sprintf("%s.%s(%s)", g.time(), g.pick(getters...), g.pick("", `"Europe/Berlin"`, `"America/New_York"`))
	case 3:
		return "-" + g.number()
	}
	return fmt.Sprintf("(%s %s %s)", g.number(), g.pick("+", "-", "*", "/"), g.pick(g.number(), "context.n", "item.fields.size"))
}

func (g *generator) text() string {
	if !g.more() {
		return g.pick("item.brand", "item.title", "item.item_id", "item.url", "item.currency", `"Fleet"`, `"größe"`, `""`, "item.categories[0]", "item.labels[1]",
			`["a", "shoes"][1]`)
	}
	return fmt.Sprintf("(%s ? %s : %s)", g.condition(), g.text(), g.text())
}

func (g *generator) time() string {
	if !g.more() {
		return g.pick("now", "item.published_at", "item.expires_at", `timestamp("2026-03-01T10:30:00.123456789+01:00")`, "timestamp(context.since)",
			"timestamp(item.fields.released)", "timestamp(context.text)", `timestamp("9999-12-31T23:59:59Z")`)
	}
	return fmt.Sprintf("(%s %s %s)", g.time(), g.pick("+", "-"), g.duration())
}

func (g *generator) duration() string {
	if !g.more() {
		return g.pick(`duration("36h")`, `duration("1ms")`, `duration("-2000000h")`, "duration(context.days)", `duration("2562047h")`)
	}
	if g.rng.IntN(2) == 0 {
		return fmt.Sprintf("(%s - %s)", g.time(), g.time())
	}
	return fmt.Sprintf("(%s %s %s)", g.duration(), g.pick("+", "-"), g.duration())
}

func (g *generator) any() string {
	return g.pick("item.fields.size", "item.fields.material", "item.fields.vegan", "item.fields.colours", `item.fields["sizes"]`, "item.fields.mixed", "item.fields.sizes[0]",
		"item.fields.colours[1]")
}

func (g *generator) list() string {
	return g.pick("item.categories", "item.labels", "item.fields.colours", "item.fields.sizes", "item.fields.mixed", "item.fields.material", `["shoes", "new"]`,
		`[1, 42, 49.9]`, `[context.text, "Fleet"]`, `["a","b","c","d","e","f","g","Fleet","shoes"]`, `[context.n, context.budget]`)
}

func randomValues(rng *rand.Rand) *Values {
	v := &Values{Context: map[string]string{}, User: map[string]string{}, Now: noon}
	put := func(to map[string]string, name string, options ...string) {
		if i := rng.IntN(len(options) + 1); i > 0 {
			to[name] = options[i-1]
		}
	}
	put(v.Context, "budget", "50", "49.9", "nan", "1e400", "much")
	put(v.Context, "flag", "true", "0", "perhaps")
	put(v.Context, "text", "shoes", "Fleet", "new", "42", "")
	put(v.Context, "n", "42", "1", "x")
	put(v.Context, "since", "2026-03-01T00:00:00Z", "2026-03-01 00:00", "2026-3-1T00:00:00Z", "2026-03-01T1:00:00Z", "2026-03-01T00:00:00,5Z")
	put(v.Context, "days", "72h", "3d", "-1h30m")
	put(v.User, "tier", "gold", "silver")
	put(v.User, "limit", "100", "-Inf")
	return v
}

func randomThing(rng *rand.Rand) *thing {
	item := &thing{texts: map[Field]string{FieldItemID: "i1"}, times: map[Field]time.Time{}, lists: map[Field][]string{}, own: map[string]any{}, available: rng.IntN(2) == 0}
	text := func(f Field, options ...string) {
		if i := rng.IntN(len(options) + 1); i > 0 {
			item.texts[f] = options[i-1]
		}
	}
	text(FieldBrand, "Fleet", "Other", "größe")
	text(FieldTitle, "Trail shoe", "Fleet", "s")
	text(FieldURL, "https://shop.example/s")
	text(FieldCurrency, "EUR")
	if rng.IntN(4) > 0 {
		price := []float64{49.9, 50, 0, 1e9}[rng.IntN(4)]
		item.price = &price
	}
	for _, f := range []Field{FieldPublishedAt, FieldExpiresAt} {
		if rng.IntN(2) == 0 {
			item.times[f] = noon.Add(time.Duration(rng.IntN(200)-100) * time.Hour)
		}
	}
	for _, f := range []Field{FieldCategories, FieldLabels} {
		for range rng.IntN(3) {
			item.lists[f] = append(item.lists[f], []string{"shoes", "new", "Fleet", "42"}[rng.IntN(4)])
		}
	}
	own := func(name string, options ...any) {
		if i := rng.IntN(len(options) + 1); i > 0 {
			item.own[name] = options[i-1]
		}
	}
	own("size", json.Number("42"), json.Number("1"), "42", true)
	own("material", "mesh", "Fleet") // not "": CEL's interpreter finds exists and all of an empty text decided
	own("vegan", true, false, "true")
	own("colours", []any{"red", "shoes"}, []any{}, "red", []any{"Fleet"})
	own("sizes", []any{json.Number("42"), json.Number("1")}, []any{true}, []any{"42"})
	own("mixed", []any{"shoes", json.Number("42"), true})
	own("released", "2026-02-01T00:00:00Z", "soon", json.Number("5"))
	return item
}

func long(t *testing.T) {
	t.Helper()
	if os.Getenv("MILLRACE_TEST_LONG") == "" {
		t.Skip("takes minutes: MILLRACE_TEST_LONG=1 runs it")
	}
}

// newLeanOracle evaluates threeConditions by CEL's interpreter.
func newLeanOracle(tb testing.TB) func(*lean) bool {
	tb.Helper()
	registry, err := types.NewRegistry()
	if err != nil {
		tb.Fatal(err)
	}
	env, err := newEnvironment(&provider{Registry: registry, get: func(subject any, field string) (any, error) {
		switch item := subject.(*lean); field {
		case "brand":
			return item.brand, nil
		case "price":
			return item.price, nil
		default:
			return item.categories, nil
		}
	}})
	if err != nil {
		tb.Fatal(err)
	}
	checked, failed := check(env, threeConditions, KindBool)
	if failed != nil {
		tb.Fatal(failed)
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		tb.Fatal(err)
	}
	return func(item *lean) bool {
		out, _, err := program.Eval(map[string]any{varItem: item, varContext: budget.Context, varNow: noon})
		return err == nil && out == types.True
	}
}
