package lake

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/iceberg-go"
)

// Columns that nobody of Millrace has made are refused, by what is wrong with them.
func TestEvolveRefusesOtherColumns(t *testing.T) {
	text, number := iceberg.PrimitiveTypes.String, iceberg.PrimitiveTypes.Int64
	item := func(fields ...iceberg.NestedField) iceberg.Type {
		return &iceberg.ListType{ElementID: 101, ElementRequired: true, Element: &iceberg.StructType{FieldList: fields}}
	}
	own := iceberg.NewSchema(0,
		iceberg.NestedField{ID: 1, Name: "event_id", Type: text, Required: true},
		iceberg.NestedField{ID: 2, Name: "items", Type: item(iceberg.NestedField{ID: 102, Name: "item_id", Type: text, Required: true})},
		iceberg.NestedField{ID: 3, Name: "rating", Type: number},
	)
	replaced := func(i int, f iceberg.NestedField) []iceberg.NestedField {
		fields := slices.Clone(own.Fields())
		fields[i] = f
		return fields
	}
	for name, have := range map[string][]iceberg.NestedField{
		"renamed":                replaced(2, iceberg.NestedField{ID: 3, Name: "stars", Type: number}),
		"another type":           replaced(2, iceberg.NestedField{ID: 3, Name: "rating", Type: text}),
		"made optional":          replaced(0, iceberg.NestedField{ID: 1, Name: "event_id", Type: text}),
		"made required":          replaced(2, iceberg.NestedField{ID: 3, Name: "rating", Type: number, Required: true}),
		"another id":             replaced(2, iceberg.NestedField{ID: 4, Name: "rating", Type: number}),
		"id of another column":   append(slices.Clone(own.Fields()[:2]), iceberg.NestedField{ID: 4, Name: "page", Type: &iceberg.StructType{FieldList: []iceberg.NestedField{{ID: 3, Name: "url", Type: text}}}}),
		"no list":                replaced(1, iceberg.NestedField{ID: 2, Name: "items", Type: text}),
		"another list":           replaced(1, iceberg.NestedField{ID: 2, Name: "items", Type: &iceberg.ListType{ElementID: 109, Element: text}}),
		"required column lost":   own.Fields()[1:],
		"required column inside": replaced(1, iceberg.NestedField{ID: 2, Name: "items", Type: item(iceberg.NestedField{ID: 102, Name: "item_id", Type: text, Required: true}, iceberg.NestedField{ID: 5, Name: "colour", Type: text, Required: true})}),
		"required column more":   append(slices.Clone(own.Fields()), iceberg.NestedField{ID: 5, Name: "mood", Type: text, Required: true}),
	} {
		if _, added, err := evolvedSchema(iceberg.NewSchema(0, have...), own); !errors.Is(err, errOtherColumns) {
			t.Errorf("%s: added %v, error %v", name, added, err)
		}
	}
	more := append(slices.Clone(own.Fields()[:2]), iceberg.NestedField{ID: 5, Name: "mood", Type: text}) // of a newer version
	next, added, err := evolvedSchema(iceberg.NewSchemaWithIdentifiers(3, []int{1}, more...), own)
	if err != nil || !slices.Equal(added, []string{"rating"}) || next.NumFields() != 4 || !slices.Equal(next.IdentifierFieldIDs, []int{1}) {
		t.Errorf("%v was made of %v, added %v, error %v", next, more, added, err)
	}
}

// addMood adds a column to the events, as a newer version would.
func addMood(ctx context.Context, l *Lake) error {
	spec, err := specByName(TableEvents)
	if err != nil {
		return err
	}
	t, err := l.current(ctx, spec)
	if err != nil {
		return err
	}
	tx := t.NewTransaction()
	if err := tx.UpdateSchema(true, false).AddColumn([]string{"mood"}, iceberg.PrimitiveTypes.String, "", false, nil).Commit(); err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

// An erasure by a version that would lose columns of a newer one ends with an error, also where that comes in its midst.
func TestEraseRefusesNewerColumns(t *testing.T) {
	l, s := openTestLake(t), newSampler(23)
	if err := l.Commit(t.Context(), withAnna(s, s.landEvents(0, 0, 20))); err != nil {
		t.Fatal(err)
	}
	before := lakeFigures(t, l)
	l.hook = func(step string) error {
		if step == stepMarked {
			return addMood(t.Context(), l)
		}
		return nil
	}
	for _, when := range []string{"in its midst", "before it"} {
		if _, err := l.Erase(t.Context(), erasedPerson(1)); !errors.Is(err, errNewerColumns) {
			t.Errorf("changed %s: error %v", when, err)
		}
		if after := lakeFigures(t, l); !reflect.DeepEqual(after, before) {
			t.Errorf("changed %s: the rows were\n%+v and are\n%+v", when, before, after)
		}
	}
}
