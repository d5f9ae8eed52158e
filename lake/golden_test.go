package lake

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
)

// update writes the golden files anew. A file of a published version is never changed: a new version gets new files.
var update = flag.Bool("update", false, "write the golden files of the current version")

const goldenRows = 20

// Files of every version must stay readable for ever: the rows of the committed Parquet files are the committed JSON.
func TestGoldenFiles(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	var events []EventRow
	readGolden(t, "events.v1", (*eventRow).value, func(r EventRow) { events = append(events, r) })
	compareGolden(t, "events.v1", events)
	for _, version := range []string{"exposures.v1", "exposures.v2"} {
		var exposures []ExposureRow
		readGolden(t, version, (*exposureRow).value, func(r ExposureRow) { exposures = append(exposures, r) })
		compareGolden(t, version, exposures)
	}
	var items []ItemRow
	readGolden(t, "items.v1", (*catalogueRow).value, func(r ItemRow) { items = append(items, r) })
	got, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "items.v1.json"))
	if err != nil || len(items) != goldenRows || !bytes.Equal(got, want) {
		t.Errorf("items.v1: %d rows are not the committed text, in which numbers stand as they were written (%v)", len(items), err)
	}
}

// A table of every published version can be opened: today's columns are its columns, and some that may be missing.
func TestGoldenSchemas(t *testing.T) {
	for _, spec := range tables() {
		own, err := icebergSchema(spec.file)
		if err != nil {
			t.Fatal(err)
		}
		versions, err := filepath.Glob(filepath.Join("testdata", spec.name+".v*.schema.json"))
		if err != nil || len(versions) == 0 {
			t.Fatalf("no schemas of %s (%v)", spec.name, err)
		}
		slices.Sort(versions)
		for i, version := range versions {
			text, err := os.ReadFile(version)
			if err != nil {
				t.Fatal(err)
			}
			var published iceberg.Schema
			if err := json.Unmarshal(text, &published); err != nil {
				t.Fatal(err)
			}
			_, added, err := evolvedSchema(&published, own)
			if err != nil {
				t.Errorf("%s: %v", version, err)
			}
			if i == len(versions)-1 && len(added) > 0 {
				t.Errorf("%v are in no published version: they need a new one, with golden files of its own", added)
			}
		}
	}
}

func readGolden[Row, Out any](t *testing.T, name string, value func(*Row) (Out, error), add func(Out)) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name+".parquet"))
	if err != nil {
		t.Fatal(err)
	}
	err = scanFile(t.Context(), localFiles{}, plannedFile{location: location(path), bytes: -1}, value, func(row Out) error { add(row); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func compareGolden[Out any](t *testing.T, name string, got []Out) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []Out
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(got) != goldenRows || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %d rows differ from the committed ones", name, len(got))
	}
}

func writeGolden(t *testing.T) {
	t.Helper()
	s := newSampler(1)
	var events, exposures bytes.Buffer
	eventRows, exposureRows := s.landEvents(4, 100, goldenRows).Events, s.landExposures(4, 100, goldenRows).Exposures
	if err := EncodeEvents(&events, eventRows); err != nil {
		t.Fatal(err)
	}
	if err := EncodeExposures(&exposures, exposureRows); err != nil {
		t.Fatal(err)
	}
	var items bytes.Buffer
	itemRows := newSampler(2).landItems(4, 100, goldenRows).Items
	eventsSchema, eventsErr := icebergSchema(parquet.SchemaOf(eventRow{}))
	exposuresSchema, exposuresErr := icebergSchema(parquet.SchemaOf(exposureRow{}))
	itemsSchema, itemsErr := icebergSchema(parquet.SchemaOf(catalogueRow{}))
	if err := errors.Join(EncodeItems(&items, itemRows), eventsErr, exposuresErr, itemsErr); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]any{
		"events.v1.schema.json": eventsSchema, "exposures.v2.schema.json": exposuresSchema, "items.v1.schema.json": itemsSchema,
		"events.v1.parquet": events.Bytes(), "exposures.v2.parquet": exposures.Bytes(), "events.v1.json": eventRows, "exposures.v2.json": exposureRows,
		"items.v1.parquet": items.Bytes(), "items.v1.json": itemRows,
	} {
		data, isFile := content.([]byte)
		if !isFile {
			var err error
			if data, err = json.Marshal(content); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A row group ends at its limit of rows. One column shows it as well as fifty, and much faster.
func TestRowGroupsAreCut(t *testing.T) {
	type row struct {
		N int64 `parquet:"n,id(1)"`
	}
	var out bytes.Buffer
	fill := func(r *row, n int64) error { r.N = n; return nil }
	if err := encode(&out, make([]int64, maxRowGroupRows+10), all, fill); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if groups := f.Metadata().RowGroups; len(groups) != 2 || groups[0].NumRows != maxRowGroupRows || groups[1].NumRows != 10 {
		t.Errorf("%d row groups, the first of %d rows", len(groups), groups[0].NumRows)
	}
}

// New files keep to the portable profile.
func TestWrittenProfile(t *testing.T) {
	var out bytes.Buffer
	if err := EncodeEvents(&out, newSampler(3).landEvents(0, 0, 8192).Events); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	groups := f.Metadata().RowGroups
	if len(groups) != 1 {
		t.Errorf("%d row groups", len(groups))
	}
	for _, group := range groups {
		for i := range group.Columns {
			c := &group.Columns[i].MetaData
			if c.Codec.String() != "ZSTD" {
				t.Errorf("%v is compressed with %s", c.PathInSchema, c.Codec)
			}
			if len(c.EncodingStats) == 0 {
				t.Errorf("%v says nothing of its encodings", c.PathInSchema)
			}
			for _, stats := range c.EncodingStats {
				switch stats.PageType.String() + " " + stats.Encoding.String() {
				case "DATA_PAGE PLAIN", "DATA_PAGE RLE_DICTIONARY", "DICTIONARY_PAGE PLAIN":
				default:
					t.Errorf("%v has pages of %s, %s", c.PathInSchema, stats.PageType, stats.Encoding)
				}
			}
		}
	}
}

// A file that is compressed with LZ4 is refused, because it would be read back as garbage without an error.
func TestLZ4IsRefused(t *testing.T) {
	var out bytes.Buffer
	w := parquet.NewGenericWriter[eventRow](&out, parquet.Compression(&parquet.Lz4Raw))
	if _, err := w.Write(make([]eventRow, 10)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openParquet(bytes.NewReader(out.Bytes()), int64(out.Len()), readBufferBytes); err == nil {
		t.Error("the file was opened")
	}
}
