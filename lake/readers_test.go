package lake

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
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
		missing(t, "no other engines: set %s to a virtual environment with lake/readers/requirements.txt (make test-setup)", readersEnv)
	}
	return python
}

// needSpark is the same for what Spark wants besides.
func needSpark(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("java"); err != nil {
		missing(t, "no Spark: it runs on a Java runtime of version 17 or newer")
	}
	if _, err := os.Stat(filepath.Join(os.Getenv(readersEnv), "spark", "pom.xml")); err != nil {
		missing(t, "no Spark: Maven has not fetched the packages of lake/readers/pom.xml (make test-setup)")
	}
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// smallSpark is the environment in which Spark starts soon on a small machine and leaves nothing elsewhere. What it runs is over
// before the second compiler of its virtual machine is worth its time.
func smallSpark() string {
	return `PYSPARK_SUBMIT_ARGS=--master local[1] --driver-memory 1g --driver-java-options "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"` +
		" --conf spark.ui.enabled=false --conf spark.ui.showConsoleProgress=false" +
		" --conf spark.jars.ivy=" + filepath.Join(os.Getenv(readersEnv), "spark") + " pyspark-shell"
}

// TestReaders runs what docs/readers.md tells users to paste, on one lake with everything in it: every engine has to read exactly
// the rows that were sent and not erased, and so does Millrace. It fails when metadata, statistics or files are not what the
// standard says.
func TestReaders(t *testing.T) {
	python := readersPython(t)
	l, log := livedLake(t, Config{Dir: t.TempDir()}, 21)
	want := livedFigures(t, log)
	if got := lakeFigures(t, l); !reflect.DeepEqual(got, want) {
		t.Fatalf("Millrace reads\n%+v, sent were\n%+v", got, want)
	}
	checkSound(t, l)
	metadata := metadataArguments(t, l)
	catalog := filepath.Join(l.scratch, "catalog.db")
	for engine, arguments := range map[string][]string{
		"DuckDB": metadata, "pyiceberg": {"catalog=sqlite:///" + catalog}, "Polars": metadata, "Spark": {"catalog=jdbc:sqlite:" + catalog},
	} {
		t.Run(engine, func(t *testing.T) {
			if engine == "Spark" {
				needSpark(t)
			}
			checkReader(t, python, engine, arguments, want)
		})
	}
}

// TestReadersOfS3 is the same for a lake in a store, which another engine reads by its S3 client.
func TestReadersOfS3(t *testing.T) {
	python := readersPython(t)
	s3 := s3test.Start(t).Config("some/lake")
	catalog := filepath.Join(t.TempDir(), "catalog.db")
	l, log := livedLake(t, Config{Dir: t.TempDir(), S3: &s3, Catalog: catalog}, 22)
	want := livedFigures(t, log)
	if got := lakeFigures(t, l); !reflect.DeepEqual(got, want) {
		t.Fatalf("Millrace reads\n%+v, sent were\n%+v", got, want)
	}
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
	cmd.Env = append(os.Environ(), smallSpark())
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

// TestSparkPackages: the page lets Spark fetch what the set-up of these tests has fetched, made for the version that is tested.
func TestSparkPackages(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page, pom, versions := read("../docs/readers.md"), read("readers/pom.xml"), read("readers/requirements.txt")
	packages := regexp.MustCompile(`packages = "(.*)"`).FindStringSubmatch(page)
	if packages == nil {
		t.Fatal("the page names no packages")
	}
	for name := range strings.SplitSeq(packages[1], ",") {
		parts := strings.Split(name, ":")
		lines := regexp.MustCompile(`<groupId>` + parts[0] + `</groupId>\s*<artifactId>` + parts[1] + `</artifactId>\s*<version>` + parts[2] + `</version>`)
		if !lines.MatchString(pom) {
			t.Errorf("the page lets Spark fetch %s, which readers/pom.xml does not", name)
		}
	}
	if spark := regexp.MustCompile(`pyspark==(\d+\.\d+)`).FindStringSubmatch(versions); spark == nil || !strings.Contains(packages[1], "iceberg-spark-runtime-"+spark[1]+"_") {
		t.Errorf("pyspark is %q, the packages are %s", spark, packages[1])
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
