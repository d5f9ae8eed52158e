package lake

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/millrace/millrace/internal/objstore/s3test"
)

// readersEnv names the Python environment with the other engines; `make test-setup` makes it.
const readersEnv = "MILLRACE_READERS"

// readersPython finds the interpreter, or skips the test; where CI=true it fails, since there everything is set up.
func readersPython(t *testing.T) string {
	t.Helper()
	python := filepath.Join(os.Getenv(readersEnv), "bin", "python")
	if _, err := os.Stat(python); os.Getenv(readersEnv) == "" || err != nil {
		missing := t.Skipf
		if os.Getenv("CI") == "true" {
			missing = t.Fatalf
		}
		missing("no other engines: set %s to a virtual environment with lake/readers/requirements.txt (make test-setup)", readersEnv)
	}
	return python
}

// landUnderCrashes lands events and exposures of several days, with a fault at every third step on the way: each commit
// is repeated until it is through.
func landUnderCrashes(t *testing.T, cfg Config) *Lake {
	t.Helper()
	l := openLake(t, cfg)
	steps := 0
	l.hook = func(string) error {
		if steps++; steps%3 == 0 {
			return errFault
		}
		return nil
	}
	s := newSampler(21)
	for n := range 6 {
		in := s.landEvents(int32(n%2), n/2*40, 40)
		shown := s.landExposures(int32(n%2), n/2*10, 10)
		in.Exposures, in.Fences = shown.Exposures, append(in.Fences, shown.Fences...)
		err := l.Commit(t.Context(), in)
		for ; errors.Is(err, errFault); err = l.Commit(t.Context(), in) {
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l.hook = nil
	return l
}

// TestReaders runs what docs/readers.md tells users to paste, on one lake with everything in it, compacted files beside landed
// ones: every engine has to read exactly the rows that Millrace has read before the compaction. It fails when metadata,
// statistics or files are not what the standard says.
func TestReaders(t *testing.T) {
	python := readersPython(t)
	l := landUnderCrashes(t, Config{Dir: t.TempDir()})
	want := lakeFigures(t, l)
	if want[TableEvents].Rows != 6*40 || want[TableExposures].Rows != 6*10 {
		t.Fatalf("the lake has %d events and %d exposures", want[TableEvents].Rows, want[TableExposures].Rows)
	}
	for name, done := range compact(t, l) {
		if done.FilesWritten == 0 {
			t.Errorf("no files of %s were merged", name)
		}
	}
	metadata := metadataArguments(t, l)
	catalog := "catalog=sqlite:///" + filepath.Join(l.scratch, "catalog.db")
	for engine, arguments := range map[string][]string{"DuckDB": metadata, "pyiceberg": {catalog}, "Polars": metadata} {
		t.Run(engine, func(t *testing.T) { checkReader(t, python, engine, arguments, want) })
	}
}

// TestReadersOfS3 is the same for a lake in a store, which another engine reads by its S3 client.
func TestReadersOfS3(t *testing.T) {
	python := readersPython(t)
	s3 := s3test.Start(t).Config("some/lake")
	catalog := filepath.Join(t.TempDir(), "catalog.db")
	l := landUnderCrashes(t, Config{Dir: t.TempDir(), S3: &s3, Catalog: catalog})
	want := lakeFigures(t, l)
	compact(t, l)
	checkReader(t, python, "A lake in S3", []string{"catalog=sqlite:///" + catalog, "endpoint=" + s3.Endpoint, "access_key=" + s3.AccessKey, "secret_key=" + s3.SecretKey}, want)
}

// metadataArguments are what `millrace lake info` tells an engine without a catalog.
func metadataArguments(t *testing.T, l *Lake) []string {
	t.Helper()
	tables, err := l.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, info := range tables {
		out = append(out, info.Name+"_metadata="+info.MetadataLocation)
	}
	return out
}

func checkReader(t *testing.T, python, engine string, arguments []string, want map[string]figures) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, append([]string{"readers/figures.py", "../docs/readers.md", engine}, arguments...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.Bytes())
	}
	var got map[string]figures
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s reads\n%+v, Millrace\n%+v", engine, got, want)
	}
}

// The oracle itself: one value more, less or other changes the figures, the order of rows does not.
func TestFigures(t *testing.T) {
	rows := func() []eventRow {
		var out []eventRow
		for _, r := range newSampler(4).landEvents(0, 0, 20).Events {
			out = append(out, eventRow{})
			if err := out[len(out)-1].fill(r); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	want := figuresOf(rows())
	turned := rows()
	turned[0], turned[19] = turned[19], turned[0]
	if got := figuresOf(turned); !reflect.DeepEqual(got, want) {
		t.Errorf("another order changes %+v into %+v", want, got)
	}
	for name, change := range map[string]func(r *eventRow){
		"string":     func(r *eventRow) { r.EventID += "x" },
		"null":       func(r *eventRow) { r.Clock = present(new(string)); r.Seq = new(int64); *r.Seq = 99 },
		"time":       func(r *eventRow) { r.OccurredAt++ },
		"nested":     func(r *eventRow) { r.Items = append(r.Items, itemRow{ItemID: "more"}) },
		"map":        func(r *eventRow) { r.Props = map[string]string{"added": "1"} },
		"deep value": func(r *eventRow) { r.Rec = &recRow{Token: &r.EventID} },
	} {
		changed := rows()
		change(&changed[7])
		if figuresOf(changed).Hash == want.Hash {
			t.Errorf("a changed %s leaves the hash alone", name)
		}
	}
}
