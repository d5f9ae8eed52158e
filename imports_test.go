package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace"

// owners names who may import an outside world; a suffix /... covers a whole tree.
var owners = map[string][]string{
	"github.com/segmentio/kafka-go":                {"internal/kafka/..."},
	"github.com/twmb/franz-go":                     {"internal/kafka/broker", "internal/kafka/kafkatest"},
	"github.com/parquet-go/parquet-go":             {"lake/..."},
	"github.com/apache/iceberg-go":                 {"lake/..."},
	"github.com/cockroachdb/pebble":                {"internal/state", "internal/onlinestore"},
	"database/sql":                                 {"internal/sqldb", "internal/control", "lake"},
	"modernc.org/sqlite":                           {"internal/sqldb"},
	"github.com/spf13/cobra":                       {""},
	"github.com/spf13/pflag":                       {""},
	"github.com/knadh/koanf":                       {""},
	"github.com/evanw/esbuild":                     {"tracker/beacon/..."},
	"github.com/apache/arrow-go/v18":               {},
	"github.com/apache/arrow/go/v15":               {"lake/...", "trainer/...", "internal/model/artifact"},
	"github.com/google/flatbuffers":                {"internal/model/artifact"},
	"github.com/prometheus/client_golang":          {"..."},
	"github.com/minio/minio-go":                    {"internal/objstore"},
	"github.com/redis/rueidis":                     {"internal/onlinestore"},
	"github.com/johannesboyne/gofakes3":            {"internal/objstore/s3test"},
	"github.com/jackc/pgx":                         {"internal/sqldb"},
	"github.com/vbauerster/mpb":                    {"", "tracker/importer"},
	"golang.org/x/net/publicsuffix":                {"tracker"},
	"golang.org/x/time":                            {"internal/ratelimit"},
	"github.com/mileusna/useragent":                {"internal/agent"},
	"github.com/danielgtaylor/huma":                {"internal/api", "serving"},
	"cel.dev/cel-go":                               {"internal/filter"},
	"flag":                                         {"", "tracker/beacon/..."},
	"github.com/apache/arrow/go/v15/arrow/compute": {},
	"github.com/apache/arrow/go/v15/arrow/flight":  {},
}

var roles = []string{"tracker", "stream", "trainer", "serving"}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listedPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// TestImports is the dependency rule of ARCHITECTURE.md.
func TestImports(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 15 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			if reason := forbidden(from, imported); reason != "" {
				t.Errorf("%s imports %s: %s", cmpName(from), imported, reason)
			}
		}
	}
}

func cmpName(from string) string {
	if from == "" {
		return "main"
	}
	return from
}

// forbidden says why package from (relative to the module, "" is main) may not import path; "" means it may.
func forbidden(from, path string) string {
	if to, ours := strings.CutPrefix(path, module+"/"); ours {
		return forbiddenInside(from, to)
	}
	longest, allowed := "", []string(nil)
	for prefix, who := range owners {
		if (path == prefix || strings.HasPrefix(path, prefix+"/")) && len(prefix) > len(longest) {
			longest, allowed = prefix, who
		}
	}
	if longest == "" || slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, from) }) {
		return ""
	}
	return "only " + strings.Join(allowed, ", ") + " may"
}

func forbiddenInside(from, to string) string {
	fromTop, _, _ := strings.Cut(from, "/")
	toTop, _, _ := strings.Cut(to, "/")
	switch {
	case from == "":
		return ""
	case fromTop == "internal" && toTop != "internal":
		return "internal/* imports nothing above it"
	case fromTop == "lake" && toTop != "internal" && toTop != "lake":
		return "the lake knows no role"
	case slices.Contains(roles, toTop) && fromTop != toTop:
		return "a role never imports a role"
	}
	return ""
}

func matches(pattern, from string) bool {
	if tree, ok := strings.CutSuffix(pattern, "..."); ok {
		tree = strings.TrimSuffix(tree, "/")
		return tree == "" || from == tree || strings.HasPrefix(from, tree+"/")
	}
	return pattern == from
}

// TestForbidden shows that the rule bites.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"", module + "/serving", true},
		{"serving", module + "/internal/kafka", true},
		{"serving", module + "/stream", false},
		{"internal/kafka", module + "/lake", false},
		{"lake", module + "/trainer", false},
		{"trainer/eval", module + "/trainer", true},
		{"serving", "github.com/segmentio/kafka-go", false},
		{"internal/kafka/broker", "github.com/segmentio/kafka-go/protocol", true},
		{"stream", "github.com/cockroachdb/pebble/v2", false},
		{"internal/state", "github.com/cockroachdb/pebble/v2", true},
		{"lake", "github.com/apache/arrow/go/v15/arrow/compute", false},
		{"lake", "github.com/apache/arrow/go/v15/arrow/array", true},
		{"serving", "strings", true},
	} {
		if reason := forbidden(c.from, c.to); (reason == "") != c.ok {
			t.Errorf("forbidden(%q, %q) = %q", c.from, c.to, reason)
		}
	}
}
