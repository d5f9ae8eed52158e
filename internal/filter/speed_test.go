package filter

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// lean is an item as serving has them: fields, and nothing made for an answer.
type lean struct {
	id, brand  string
	categories []string
	price      float64
	available  bool
}

func (l *lean) TextOf(f Field) string {
	if f == FieldBrand {
		return l.brand
	}
	return l.id
}
func (l *lean) NumberOf(Field) (float64, bool) { return l.price, true }
func (l *lean) BoolOf(Field) bool              { return l.available }
func (l *lean) TimeOf(Field) time.Time         { return noon }
func (l *lean) ListOf(Field) Value             { return Texts(&l.categories) }
func (l *lean) OwnOf(string) Value             { return Number(42) }

// stock is n items of twenty categories and brands.
func stock(n int) []*lean {
	rng := rand.New(rand.NewPCG(1, 2))
	items := make([]*lean, n)
	for i := range items {
		items[i] = &lean{
			id: fmt.Sprintf("item-%d", i), brand: fmt.Sprintf("brand-%d", rng.IntN(20)), price: 100 * rng.Float64(), available: true,
			categories: []string{fmt.Sprintf("category-%d", rng.IntN(20)), fmt.Sprintf("category-%d", rng.IntN(20))},
		}
	}
	return items
}

const threeConditions = `"category-7" in item.categories && item.price < context.budget && item.brand != "brand-3"`

var budget = &Values{Context: map[string]string{"budget": "50"}, Now: noon}

// TestNoAllocation asks everything that the language has of one item.
func TestNoAllocation(t *testing.T) {
	item := shoe()
	item.times[FieldExpiresAt] = noon
	for _, text := range []string{
		threeConditions,
		`now - item.published_at < duration("72h") && item.published_at + duration("1h") < item.expires_at && item.published_at.getHours() == 12`,
		`timestamp(item.fields.released) < now && double(item.fields.size) * 2 > context.budget && item.fields.size in [41, 42]`,
		`item.fields.colours.exists(c, c.startsWith("b") || c in item.labels) && item.categories.all(c, size(c) > 2) && item.title.matches("^Tr.*e$")`,
		`(item.price < 10 ? item.title : item.brand) in ["Fleet", "b", "c", "d", "e", "f", "g", "h"] && context.budget != item.fields.material`,
	} {
		bound := mustCompile(t, text).Bind(budget)
		if n := testing.AllocsPerRun(100, func() { bound.Match(steady{item}) }); n != 0 {
			t.Errorf("%s allocates %v times for an item", text, n)
		}
	}
}

// steady is a thing whose lists and own fields are made once, as those of a row are.
type steady struct{ *thing }

func (s steady) ListOf(f Field) Value {
	if f == FieldLabels {
		return Texts(&steadyLabels)
	}
	return Texts(&steadyCategories)
}

var steadyLabels, steadyCategories = []string{"new"}, []string{"shoes", "outdoor"}

// BenchmarkFilter asks 100,000 items three conditions, and beside it does the same without conditions and with CEL's interpreter.
func BenchmarkFilter(b *testing.B) {
	items := stock(100_000)
	bound := mustCompile(b, threeConditions).Bind(budget)
	each := func(match func(*lean) bool) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			matched := 0
			for b.Loop() {
				matched = 0
				for _, item := range items {
					if match(item) {
						matched++
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(items)), "ns/item")
			b.ReportMetric(float64(matched), "matched")
		}
	}
	b.Run("closures", each(func(item *lean) bool { return bound.Match(item) }))
	b.Run("by-hand", each(func(item *lean) bool {
		return item.price < 50 && item.brand != "brand-3" && (item.categories[0] == "category-7" || item.categories[1] == "category-7")
	}))
	vm := newLeanOracle(b)
	b.Run("interpreter", each(vm))
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(threeConditions); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBind(b *testing.B) {
	p := mustCompile(b, threeConditions)
	b.ReportAllocs()
	for b.Loop() {
		p.Bind(budget)
	}
}
