package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// columnIDs are all fields of a table's events by path, nested ones too, with id, type and nullability.
func columnIDs(t *testing.T, l *Lake) []string {
	t.Helper()
	current, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	lines := describeFields("", current.Schema().Fields())
	slices.Sort(lines)
	return lines
}

// A table that an older version has made gets what it lacks when today's opens it, under the ids of today, whatever lands
// beside; both go on landing then, and every row says what its writer knew.
func TestEvolve(t *testing.T) { onEachStore(t, testEvolve) }

func testEvolve(t *testing.T, fresh func() Config) {
	cfg, s := fresh(), newSampler(61)
	older := openOlder(t, cfg)
	var want []eventRow
	land := func(l *Lake, offset int, as func(EventRow) EventRow) error {
		in := s.landEvents(0, offset, 20)
		for _, r := range in.Events {
			want = append(want, eventRow{})
			if err := want[len(want)-1].fill(as(r)); err != nil {
				return err
			}
		}
		return l.Commit(t.Context(), in)
	}
	today := func(r EventRow) EventRow { return r }
	if err := land(older, 0, asOlder); err != nil {
		t.Fatal(err)
	}
	if lines := columnIDs(t, older); slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "`rating`") }) {
		t.Fatalf("the older version has the columns of today:\n%s", strings.Join(lines, "\n"))
	}
	var group errgroup.Group // openers race with each other and with a landing
	opened := make([]*Lake, 4)
	for i := range opened {
		group.Go(func() (err error) { opened[i], err = Open(t.Context(), cfg); return err })
	}
	group.Go(func() error { return land(older, 20, asOlder) })
	err := group.Wait()
	for _, l := range opened {
		if l != nil {
			t.Cleanup(func() { _ = l.Close() })
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	l := opened[0]
	if got, all := columnIDs(t, l), columnIDs(t, openLake(t, fresh())); !slices.Equal(got, all) {
		t.Errorf("the table has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
	current, err := l.current(t.Context(), eventsSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(current.Metadata().Schemas()); n != 2 {
		t.Errorf("%d schemas, want the older and today's", n)
	}
	if mapping := current.Properties()[table.DefaultNameMappingKey]; !strings.Contains(mapping, `"rating"`) {
		t.Errorf("the name mapping lacks the new columns: %s", mapping)
	}
	for n, err := range []error{land(l, 40, today), land(older, 60, asOlder), land(openOlder(t, cfg), 80, asOlder), land(l, 100, today)} {
		if err != nil {
			t.Fatalf("landing %d: %v", n, err)
		}
	}
	check := func(when string, want figures) {
		t.Helper()
		if got := lakeFigures(t, l)[TableEvents]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s the lake has\n%+v, want\n%+v", when, got, want)
		}
	}
	check("landed by both,", figuresOf(want))
	checkColumns(t, l, want)
	for name, done := range compact(t, l) {
		if name == TableEvents && done.FilesWritten == 0 {
			t.Error("nothing was merged")
		}
	}
	check("compacted,", figuresOf(want))
	checkColumns(t, l, want)
}

// checkColumns reads the columns that were added as Scan does, which finds them in each file by id.
func checkColumns(t *testing.T, l *Lake, rows []eventRow) {
	t.Helper()
	got, want := make(map[string]int), make(map[string]int)
	for batch, err := range l.Scan(t.Context(), ScanRequest{Table: TableEvents, Columns: olderLacks}) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(batch.NumRows()) {
			variants := batch.Column(2).(*array.List)
			from, to := variants.ValueOffsets(i)
			got[fmt.Sprint(batch.Column(0).ValueStr(i), batch.Column(1).ValueStr(i), array.NewSlice(variants.ListValues(), from, to))]++
		}
	}
	null := func(text *string) string {
		if text == nil {
			return array.NullValueStr
		}
		return *text
	}
	for _, r := range rows {
		rating, token, variants := array.NullValueStr, array.NullValueStr, []string{}
		if r.Rating != nil {
			rating = fmt.Sprint(*r.Rating)
		}
		if r.Rec != nil {
			token = null(r.Rec.Token)
		}
		for _, item := range r.Items {
			if item.ItemVariant == nil {
				variants = append(variants, array.NullValueStr)
			} else {
				variants = append(variants, fmt.Sprintf("%q", *item.ItemVariant))
			}
		}
		want[fmt.Sprint(rating, token, variants)]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("the added columns are\n%v, want\n%v", got, want)
	}
}

// A commit of columns that fails, or went through without an answer, is made once.
func TestEvolveAfterFault(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	openOlder(t, cfg)
	for _, through := range []bool{false, true} {
		l, err := open(t.Context(), cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		faulty := &faultyCatalog{catalog: l.catalog, through: through}
		l.catalog = faulty
		err = l.openTable(t.Context(), eventsSpec(t), nil)
		if faulty.commits != 1 || (err == nil) != through || err != nil && !errors.Is(err, errFault) {
			t.Errorf("through %t: error %v after %d commits", through, err, faulty.commits)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// faultyCatalog fails every commit, before it or after it.
type faultyCatalog struct {
	catalog
	through bool
	commits int
}

func (c *faultyCatalog) version(meta table.Metadata, at string) table.CatalogIO {
	return faultyVersion{c.catalog.version(meta, at), c}
}

type faultyVersion struct {
	table.CatalogIO
	in *faultyCatalog
}

func (v faultyVersion) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	v.in.commits++
	if v.in.through {
		if _, _, err := v.CatalogIO.CommitTable(ctx, ident, reqs, updates); err != nil {
			return nil, "", err
		}
	}
	return nil, "", errFault
}

// A column that another engine has added at the same time stays: a REST catalog knows of nothing between two schemas but what the
// commit asks for.
func TestEvolveBesideOthers(t *testing.T) {
	server, url := startRESTServer(t, localFiles{}, 2)
	cfg := Config{Dir: t.TempDir(), Catalog: url, REST: RESTCatalog{Token: server.token}}
	openOlder(t, cfg)
	l, err := open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	spec := eventsSpec(t)
	known, err := l.current(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	others := l.catalog.(*restCatalog)
	stranger, err := others.loadTable(t.Context(), spec.ident())
	if err != nil {
		t.Fatal(err)
	}
	tx := stranger.NewTransaction()
	if err := tx.UpdateSchema(true, false).AddColumn([]string{"mood"}, iceberg.PrimitiveTypes.String, "", false, nil).Commit(); err != nil {
		t.Fatal(err)
	}
	if err := others.try(t.Context(), func() error { _, err := tx.Commit(t.Context()); return err }); err != nil {
		t.Fatal(err)
	}
	l.catalog = &staleCatalog{catalog: l.catalog, known: known}
	if err := l.evolve(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	for _, column := range []string{"mood", "rating"} {
		if lines := columnIDs(t, l); !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "`"+column+"`") }) {
			t.Errorf("the table has lost %s:\n%s", column, strings.Join(lines, "\n"))
		}
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

// staleCatalog tells once what a table was.
type staleCatalog struct {
	catalog
	known *table.Table
}

func (c *staleCatalog) load(ctx context.Context, ident table.Identifier, known *table.Table) (*table.Table, error) {
	if was := c.known; was != nil {
		c.known = nil
		return was, nil
	}
	return c.catalog.load(ctx, ident, known)
}

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
