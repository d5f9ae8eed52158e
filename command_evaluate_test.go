package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// visits writes a file of visitors who walk through items in order.
func visits(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("user_id,item_id,timestamp,event_type\n")
	for u := range 60 {
		for e := range 6 {
			fmt.Fprintf(&b, "u%d,i%d,%d,%s\n", u, (u+e)%20, 1_600_000_000+u*1000+e, []string{"view", "cart"}[e%2])
		}
	}
	path := filepath.Join(t.TempDir(), "visits.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEvaluateWritesAPageBesideItsJSON(t *testing.T) {
	page := filepath.Join(t.TempDir(), "report.html")
	stdout, stderr, exit := runHere(t, "evaluate", "--data", visits(t), "--protocol", "leave-last", "--models", "popularity,transitions",
		"--baseline", "popularity", "--weights", "view=1,cart=3", "--html", page, "--json")
	if exit != 0 {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	var report struct {
		Protocol string
		Examples int
		Types    map[string]int
		Results  []struct{ Versus *struct{ Model string } }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Protocol != "leave-last" || report.Examples != 60 || report.Types["cart"] != 180 || report.Results[1].Versus.Model != "popularity" {
		t.Errorf("report %s", stdout)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "difference to popularity") {
		t.Errorf("page of %d bytes, %v", len(text), err)
	}
}

func TestEvaluateSaysWhatIsWrongWithItsFlags(t *testing.T) {
	data := visits(t)
	for _, c := range []struct {
		want string
		exit int
		args []string
	}{
		{"--weights: cart=much is not a number", exitUsage, []string{"--weights", "cart=much"}},
		{"--test-from: ", exitUsage, []string{"--protocol", "temporal", "--test-from", "yesterday"}},
		{"leave the seeds out", exitUsage, []string{"--protocol", "temporal", "--seeds", "2"}},
		{"no column for rating", exitUsage, []string{"--min-rating", "0"}},
		{"write report page", exitFailed, []string{"--models", "popularity", "--html", filepath.Join(t.TempDir(), "missing", "report.html")}},
	} {
		_, stderr, exit := runHere(t, append([]string{"evaluate", "--data", data}, c.args...)...)
		if exit != c.exit || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d and %q, want %d and %q", c.args, exit, stderr, c.exit, c.want)
		}
	}
}

func TestEvaluateReadsTheLake(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, stderr, exit := runProgram(t, "import", "events", visits(t), "--data-dir", dir, "--types", "view=view_item,cart=add_to_cart"); exit != exitDone {
		t.Fatalf("import: exit %d: %s", exit, stderr)
	}
	stdout, stderr, exit := runHere(t, "evaluate", "--data", "lake", "--data-dir", dir, "--protocol", "leave-last", "--models", "transitions")
	if exit != exitDone || !strings.Contains(stdout, "n = 60 predictions of 60 users") {
		t.Errorf("exit %d: %s\n%s", exit, stdout, stderr)
	}
}
