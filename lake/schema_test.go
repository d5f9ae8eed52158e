package lake

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// FORMAT.md has a line for every column, nested ones too, with its id, type and nullability, and no other.
func TestFormatDocument(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range tables() {
		_, section, ok := strings.Cut(string(text), "## `millrace."+spec.name+"`")
		if !ok {
			t.Fatalf("no section on %s", spec.name)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		schema, err := icebergSchema(spec.file)
		if err != nil {
			t.Fatal(err)
		}
		documented := strings.Count(section, "\n| ") - 2 // head and rule
		lines := describeFields("", schema.Fields())
		for _, line := range lines {
			if !strings.Contains(section, line) {
				t.Errorf("%s: no line that begins with %q", spec.name, line)
			}
		}
		if documented != len(lines) {
			t.Errorf("%s: %d columns documented, %d exist", spec.name, documented, len(lines))
		}
	}
}

func describeFields(prefix string, fields []iceberg.NestedField) []string {
	var out []string
	for _, f := range fields {
		name := prefix + f.Name
		var typ string
		var inner []string
		switch at := f.Type.(type) {
		case *iceberg.StructType:
			typ, inner = "struct", describeFields(name+".", at.FieldList)
		case *iceberg.ListType:
			element := at.ElementField()
			typ, inner = "list<string>", describeFields(name+".", []iceberg.NestedField{element})
			if _, ok := element.Type.(*iceberg.StructType); ok {
				typ = "list<struct>"
			}
		case *iceberg.MapType:
			typ, inner = fmt.Sprintf("map<%s, %s>", at.KeyType, at.ValueType), describeFields(name+".", []iceberg.NestedField{at.KeyField(), at.ValueField()})
		default:
			typ = f.Type.String()
		}
		if f.Required {
			typ += ", required"
		}
		out = append(append(out, fmt.Sprintf("| %d | `%s` | %s |", f.ID, name, typ)), inner...)
	}
	return out
}

// Ids must be unique in a table, and the created table must keep those of the row structs.
func TestFieldIDs(t *testing.T) {
	l := openTestLake(t)
	for _, spec := range tables() {
		want, err := icebergSchema(spec.file)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for _, line := range describeFields("", want.Fields()) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " ")
			if seen[id] {
				t.Errorf("%s: id %s twice", spec.name, id)
			}
			seen[id] = true
		}
		current, err := l.current(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := current.Schema(); !got.Equals(want) {
			t.Errorf("%s: the table has\n%s\nwant\n%s", spec.name, got, want)
		}
		for _, column := range spec.metrics {
			if _, ok := want.FindFieldByName(column); !ok {
				t.Errorf("%s: metrics of unknown column %s", spec.name, column)
			}
		}
		if got := current.Properties()[table.ManifestMergeEnabledKey]; got != "true" {
			t.Errorf("%s: manifests are not merged", spec.name)
		}
	}
}
