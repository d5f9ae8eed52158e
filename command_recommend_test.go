package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/serving"
)

// Ids are read from every form of file, and a line without one says which it is.
func TestUsersOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"lines":     {"\ufeffanna\n\n anonymous:b1 \r\n17", []string{"1 anna", "3 anonymous:b1", "4 17"}},
		"csv":       {"mail,user_id\nx@y,anna\n\"a,b\",\"b \"\"q\"\"\"\nz\n", []string{"2 anna", `3 b "q"`, "4 "}},
		"json":      {"{\"user_id\":\"anna\"}\n{\"user_id\":17}\n{\"user_id\":\"b\",\"x\":1}\n", []string{"1 anna", "2 bad", "3 b"}},
		"empty":     {"", nil},
		"no header": {"a,b\nc\n", []string{"1 a,b", "2 c"}},
	} {
		var got []string
		err := eachUser(strings.NewReader(c.text), func(line int64, id string, err error) error {
			if err != nil {
				id = "bad"
			}
			got = append(got, fmt.Sprint(line, " ", id))
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// listRows prints the rows of a file of lists, as pyarrow reads them.
const listRows = `
import json, sys
import pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1])
json.dump({"columns": file.schema_arrow.names, "rows": file.read().to_pylist()}, sys.stdout)
`

// listRow is one of them.
type listRow struct {
	UserID       string   `json:"user_id"`
	Placement    string   `json:"placement"`
	Position     int      `json:"position"`
	ItemID       string   `json:"item_id"`
	Score        float64  `json:"score"`
	Reasons      []string `json:"reasons"`
	ModelVersion *string  `json:"model_version"`
	RecID        string   `json:"rec_id"`
	Variant      string   `json:"variant"`
}

// readLists reads a file of lists with another program, or skips the test.
func readLists(t *testing.T, file string) (columns []string, rows []listRow) {
	t.Helper()
	python := filepath.Join(os.Getenv("MILLRACE_READERS"), "bin", "python")
	if _, err := os.Stat(python); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no pyarrow: set MILLRACE_READERS (make test-setup)")
		}
		t.Skip("no pyarrow: set MILLRACE_READERS (make test-setup)")
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", listRows, file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var read struct {
		Columns []string
		Rows    []listRow
	}
	if err == nil {
		err = json.Unmarshal(out, &read)
	}
	if err != nil {
		t.Fatalf("read %s: %v: %s", file, err, stderr.String())
	}
	return read.Columns, read.Rows
}

// TestRecommendCommand: everybody in a file gets the list that the API answers, in the order of the file and in more calls than one;
// another program reads what was written. What would replace a file, or cannot be had, is refused and leaves nothing behind.
func TestRecommendCommand(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	p := startProgram(t, dir)
	const items = `[{"item_id":"a","published_at":"2026-01-03T00:00:00Z"},{"item_id":"b","published_at":"2026-01-02T00:00:00Z"},` +
		`{"item_id":"c","published_at":"2026-01-01T00:00:00Z"},{"item_id":"sold","available":false}]`
	if status, text := p.asked(t, http.MethodPost, "/v1/items:bulk", p.keys(t).SecretKey, items); status != http.StatusOK {
		t.Fatalf("items: %d %s", status, text)
	}
	var want serving.Answer
	if status, text, err := p.call(t.Context(), http.MethodPost, "/v1/recommend", p.keys(t).SecretKey, `{"placement":"popular","limit":2,"dry_run":true}`, &want); err != nil || status != http.StatusOK || len(want.Items) != 2 {
		t.Fatalf("recommend: %d %s, %v", status, text, err)
	}
	users := []string{"größe", "anonymous:b1"}
	for i := range serving.MaxListUsers {
		users = append(users, fmt.Sprint("user-", i))
	}
	file, lists := filepath.Join(out, "users"), filepath.Join(out, "lists.parquet")
	writeFile(t, file, strings.Join(users, "\n")+"\n"+strings.Repeat("x", 200)+"\n")
	ask := func(placement string, more ...string) (stdout, stderr string, exit int) {
		return runHere(t, append([]string{"recommend", "--users", file, "--placement", placement, "--limit", "2", "--out", lists, "--data-dir", dir}, more...)...)
	}
	if _, stderr, exit := ask("nowhere"); exit != exitFailed || !strings.Contains(stderr, "nowhere") {
		t.Errorf("of a placement that is not there: exit %d, %s", exit, stderr)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) != 1 {
		t.Errorf("a call that failed left %v, %v", left, err)
	}
	stdout, stderr, exit := ask("popular", "--json")
	var sum userListsSummary
	if err := json.Unmarshal([]byte(stdout), &sum); err != nil || exit != exitDone || sum.Users != int64(len(users)) || sum.Rows != 2*sum.Users || sum.Bad != 1 {
		t.Fatalf("exit %d, %s, %s", exit, stdout, stderr)
	}
	if where := fmt.Sprintf("line %d", len(users)+1); !strings.Contains(stderr, where) {
		t.Errorf("the bad id is told without %q: %s", where, stderr)
	}
	if _, stderr, exit := ask("popular"); exit != exitFailed || !strings.Contains(stderr, "--overwrite") {
		t.Errorf("over a file that is there: exit %d, %s", exit, stderr)
	}
	columns, rows := readLists(t, lists)
	if names := []string{"user_id", "placement", "position", "item_id", "score", "reasons", "model_version", "rec_id", "variant"}; !slices.Equal(columns, names) {
		t.Errorf("columns %v", columns)
	}
	for i, row := range rows {
		shown := want.Items[i%2]
		if row.UserID != users[i/2] || row.Placement != "popular" || row.Position != i%2 || row.ItemID != shown.ItemID || row.Score != shown.Score ||
			!slices.Equal(row.Reasons, shown.Reasons) || row.ModelVersion != nil || row.Variant != control.DefaultVariant || row.RecID == "" || row.RecID != rows[i-i%2].RecID || i > 1 && row.RecID == rows[i-2].RecID {
			t.Fatalf("row %d is %+v, shown was %+v", i, row, shown)
		}
	}
	if len(rows) != int(sum.Rows) {
		t.Errorf("%d rows of %d", len(rows), sum.Rows)
	}
	p.stop(t)
}

// TestListsThatBreakOff: where the running process fails in the middle, the file of before stays and nothing half is left. Nobody is
// asked for after that.
func TestListsThatBreakOff(t *testing.T) {
	calls := 0
	running := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked serving.UserListsRequest
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		if calls++; calls > 1 {
			http.Error(w, "it broke", http.StatusInternalServerError)
			return
		}
		lists := make([]serving.UserList, len(asked.Users))
		for i, user := range asked.Users {
			lists[i] = serving.UserList{UserID: user, RecID: "r", Items: []serving.UserListItem{{ItemID: "a"}}}
		}
		_ = json.NewEncoder(w).Encode(lists)
	}))
	defer running.Close()
	dir := t.TempDir()
	users, out := filepath.Join(dir, "users"), filepath.Join(dir, "out.parquet")
	writeFile(t, users, strings.Repeat("somebody\n", 2*serving.MaxListUsers+1))
	writeFile(t, out, "of before")
	var printed bytes.Buffer
	a := &app{stdout: &printed, stderr: &printed}
	l := &userLists{UserListsRequest: serving.UserListsRequest{Site: "default", Placement: "home"}, users: users, out: out, overwrite: true}
	err := a.writeUserLists(t.Context(), adminClient{runInfo{Admin: strings.TrimPrefix(running.URL, "http://")}}, l)
	if err == nil || calls != 2 || strings.Contains(printed.String(), "written") {
		t.Errorf("%v after %d calls: %s", err, calls, &printed)
	}
	if kept, err := os.ReadFile(out); string(kept) != "of before" {
		t.Errorf("the file of before is %q, %v", kept, err)
	}
	if _, err := os.Stat(out + ".partial"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a file is left: %v", err)
	}
	// A file of ids that cannot be read to its end makes no lists of what stands before.
	calls = 0
	writeFile(t, users, "somebody\n"+strings.Repeat("x", maxUserLine+1))
	if err := a.writeUserLists(t.Context(), adminClient{runInfo{Admin: strings.TrimPrefix(running.URL, "http://")}}, l); err == nil || calls != 0 {
		t.Errorf("of a file with an endless line: %v, %d calls", err, calls)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
