package registry

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/model/transitions"
)

// pyarrowEnv names a Python environment with pyarrow, the one of the other readers of the lake; `make test-setup` makes it.
const pyarrowEnv = "MILLRACE_READERS"

func pyarrow(t *testing.T) string {
	t.Helper()
	python := filepath.Join(os.Getenv(pyarrowEnv), "bin", "python")
	if _, err := os.Stat(python); os.Getenv(pyarrowEnv) == "" || err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no pyarrow: set %s to a virtual environment with lake/readers/requirements.txt (make test-setup)", pyarrowEnv)
		}
		t.Skipf("no pyarrow: set %s to a virtual environment with lake/readers/requirements.txt (make test-setup)", pyarrowEnv)
	}
	return python
}

// numbers are what a notebook has in its hands after the lines of notebooks/README.md, and what they say of the file.
type numbers struct {
	IDs     []string            `json:"ids"`
	Rows    []int64             `json:"rows"`
	Items   []int32             `json:"items"`
	Weights []float32           `json:"weights"`
	Kind    string              `json:"kind"`
	Config  transitions.Config  `json:"config"`
	Columns map[string][]string `json:"columns"`
}

// report prints them, and the columns of every file of the version, read completely and checked by Arrow itself.
const report = `
import glob, json, os
columns = {}
for path in sorted(glob.glob(f"{directory}/*.arrow")):
    name = os.path.basename(path).removesuffix(".arrow")
    table = pa.ipc.open_file(path).read_all()
    table.validate(full=True)
    assert table.num_rows == 1
    columns[name] = table.column_names
print(json.dumps({
    "ids": ids.to_pylist(), "rows": rows.to_pylist(), "items": items.to_pylist(), "weights": weights.to_pylist(),
    "kind": about[b"millrace.kind"].decode(), "config": json.loads(about[b"millrace.config"]), "columns": columns,
}))
`

// TestNotebookReadsAVersion runs what notebooks/README.md tells users to paste on a version that was published.
func TestNotebookReadsAVersion(t *testing.T) {
	python, r := pyarrow(t), open(t)
	m := publish(t, r, start)
	page, err := os.ReadFile("../../notebooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "## Models\n")
	_, block, _ = strings.Cut(block, "```python\n")
	block, _, _ = strings.Cut(block, "```")
	const placeholder = `"<models>/<site>/<version>"`
	if !strings.Contains(block, placeholder) {
		t.Fatalf("the page has no lines with %s", placeholder)
	}
	directory, err := json.Marshal(r.Location(filepath.Join(site, m.Version)))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", strings.Replace(block, placeholder, string(directory), 1)+report)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got numbers
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	b, err := r.Load(t.Context(), site, m.Version)
	if err != nil {
		t.Fatal(err)
	}
	loaded, _ := b.Scorers["transitions"].(*transitions.Model)
	want := numbers{
		IDs: []string{"a", "b", "c"}, Rows: loaded.Offsets, Items: loaded.Items, Weights: loaded.Weights, Kind: transitions.Kind,
		Config: loaded.Config(), Columns: map[string][]string{
			"vocabulary": {"ids"},
			"popularity": {
				"overall_items", "overall_scores", "trending_items", "trending_scores", "categories", "category_rows", "category_items",
				"category_scores", "rising_rows", "rising_items", "rising_scores", "segments", "segment_rows", "segment_items", "segment_scores",
			},
			"transitions": {"rows", "items", "weights", "out", "in", "newest"},
			"vmisknn":     {"sessions", "items", "ends", "clicks"},
			"content":     {"described", "buckets", "counts", "rows", "terms", "weights"},
			"basket":      {"rows", "items", "weights"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("pyarrow reads\n%+v, Millrace\n%+v", got, want)
	}
}
