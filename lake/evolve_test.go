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
	"github.com/parquet-go/parquet-go"
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

// A column by which scans prune has its bounds kept from the file on that first has it.
func TestEvolveKeepsBounds(t *testing.T) {
	cfg, specs := Config{Dir: t.TempDir()}, tables()
	for i := range specs {
		if specs[i].name == TableEvents {
			specs[i].file = parquet.SchemaOf(reflect.New(without(reflect.TypeFor[eventRow](), []string{"user_id"})).Interface())
			specs[i].metrics = slices.DeleteFunc(specs[i].metrics, func(column string) bool { return column == "user_id" })
		}
	}
	older, err := open(t.Context(), cfg, specs)
	if err == nil {
		err = older.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	current, err := openLake(t, cfg).current(t.Context(), eventsSpec(t))
	if err != nil || !maps.Equal(current.Properties(), tables()[0].properties()) {
		t.Errorf("the table's properties are %v (%v)", current.Properties(), err)
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
