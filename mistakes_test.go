package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/lake"
)

// expectText fails unless text holds every part: what went wrong, and what to do about it.
func expectText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("message does not mention %q:\n%s", part, text)
		}
	}
}

// TestMistakesOverHTTP makes the mistakes that callers of the API make. Each answers with a problem that says what to do,
// and the good event sent beside the bad ones still lands.
func TestMistakesOverHTTP(t *testing.T) {
	p := startProgram(t, t.TempDir())
	keys := p.keys(t)
	good := `{"type":"view_item","anonymous_id":"a","item_id":"kept"}`
	for name, c := range map[string]struct {
		method, path, key, body string
		status                  int
		says                    []string
	}{
		"wrong key":                    {"POST", "/v1/events", "pk_wrong", good, 401, []string{"problem:", "hint", "key"}},
		"wrong key for lists":          {"POST", "/v1/recommend", "sk_wrong", `{"placement":"home","anonymous_id":"a"}`, 401, []string{"problem:", "hint", "key"}},
		"bad JSON":                     {"POST", "/v1/events", keys.WriteKey, `{"type":`, 400, []string{"problem:", "hint"}},
		"one bad event among good":     {"POST", "/v1/events", keys.WriteKey, `[` + good + `,{"type":"view_item"}]`, 202, []string{`"accepted":1`, `"index":1`, `"code"`}},
		"oversize body":                {"POST", "/v1/events", keys.WriteKey, strings.Repeat(" ", 1<<20) + good, 413, []string{"problem:", "1 MiB"}},
		"unknown placement":            {"POST", "/v1/recommend", keys.SecretKey, `{"placement":"hoem","anonymous_id":"a"}`, 404, []string{"problem:", "hoem", "home", "trending"}},
		"unknown field":                {"POST", "/v1/recommend", keys.SecretKey, `{"placement":"home","limitt":3}`, 400, []string{"problem:", "limitt"}},
		"catalogue row without id":     {"POST", "/v1/items:bulk", keys.SecretKey, `[{"item_id":"i1","title":"One"},{"title":"Two"}]`, 200, []string{`"accepted":1`, `"index":1`, "item_id"}},
		"public key on a secret route": {"PUT", "/v1/items/i2", keys.WriteKey, `{"title":"Two"}`, 403, []string{"problem:", "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer, err := p.call(t.Context(), c.method, c.path, c.key, c.body, nil)
			if err != nil {
				t.Fatal(err)
			}
			if status != c.status {
				t.Errorf("status %d, want %d: %s", status, c.status, answer)
			}
			expectText(t, answer, c.says...)
		})
	}
	p.stop(t)
	store, err := lake.Open(t.Context(), lake.Config{Dir: (&Config{DataDir: p.dir}).path("lake")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	kept := 0
	if err := store.ScanEvents(t.Context(), lake.ScanRequest{}, func(row lake.EventRow) error {
		if len(row.Event.Items) == 1 && row.Event.Items[0].ItemID == "kept" {
			kept++
		}
		return nil
	}); err != nil || kept != 1 {
		t.Fatalf("the good event is in the lake %d times, want once (%v)", kept, err)
	}
}

func TestMissingColumnIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.csv")
	if err := os.WriteFile(file, []byte("visitor,product,time\na,x,1700000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, exit := runProgram(t, "import", "events", file, "--format", "csv", "--type", "view_item", "--data-dir", filepath.Join(t.TempDir(), "data"),
		"--map", "anonymous_id=visitor,item_id=sku,occurred_at=time")
	if exit == exitDone {
		t.Error("import of a file with a missing column succeeded")
	}
	expectText(t, stderr, `"sku"`, "product", "--map")
}

func TestBusyPortIsNamed(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, flag := range []string{"--listen", "--kafka-listen", "--admin-listen"} {
		args := []string{"up", "--data-dir", t.TempDir()}
		for _, f := range []string{"--listen", "--kafka-listen", "--admin-listen"} {
			address := "127.0.0.1:0"
			if f == flag {
				address = busy.Addr().String()
			}
			args = append(args, f, address)
		}
		_, stderr, exit := runProgram(t, args...)
		if exit != exitFailed {
			t.Errorf("%s busy: exit %d, want %d", flag, exit, exitFailed)
		}
		expectText(t, stderr, busy.Addr().String(), flag)
	}
}

func TestSecondUpIsRefused(t *testing.T) {
	p := startProgram(t, t.TempDir())
	_, stderr, exit := runProgram(t, "up", "--data-dir", p.dir, "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if exit != exitFailed {
		t.Errorf("exit %d, want %d", exit, exitFailed)
	}
	expectText(t, stderr, p.dir, "in use", "--data-dir")
	if status, answer, err := p.call(t.Context(), "GET", "/readyz", "", nil, nil); err != nil || status != 200 {
		t.Errorf("the first process suffers: %d %s %v", status, answer, err)
	}
}

// TestRecreatedTopicStopsLoudly throws the broker's data away below a landed lake: starting must not skip what arrives
// anew, and `topics adopt` is the way out.
func TestRecreatedTopicStopsLoudly(t *testing.T) {
	dir := t.TempDir()
	p := startProgram(t, dir)
	sendOne(t, p, "before")
	p.stop(t)
	if err := os.RemoveAll(filepath.Join(dir, "kafka")); err != nil {
		t.Fatal(err)
	}
	_, stderr, exit := runProgram(t, "up", "--data-dir", dir, "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	if exit != exitFailed {
		t.Fatalf("exit %d, want %d\n%s", exit, exitFailed, stderr)
	}
	expectText(t, stderr, event.TopicEvents, "topics adopt")

	adopt := append([]string{"topics", "adopt", "--data-dir", dir}, productTopics...)
	if _, stderr, exit := runProgram(t, adopt...); exit != exitDone {
		t.Fatalf("topics adopt: exit %d\n%s", exit, stderr)
	}
	p = startProgram(t, dir)
	sendOne(t, p, "after")
	p.stop(t)
	checkLake(t, dir, &load{acked: map[string]bool{"before": true, "after": true}})
}

// TestForeignGrowthStopsLoudly gives the topic of events partitions behind our back: the running program ends and says so,
// and `topics adopt` is the way out, for the change feed too.
func TestForeignGrowthStopsLoudly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProgram(t, dir)
	sendOne(t, p, "before")
	info, running, err := runningProcess(dir)
	if err != nil || !running {
		t.Fatalf("up does not run: %v", err)
	}
	if err := kafkatest.Dial(t, []string{info.Kafka}).GrowTopic(t.Context(), event.TopicEvents, 20); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(stopLimit):
		t.Fatal("the program goes on with partitions that it does not know")
	}
	expectText(t, p.stderr.String(), event.TopicEvents+" has", "topics adopt")
	stdout, stderr, exit := runProgram(t, "topics", "adopt", event.TopicEvents, "--data-dir", dir)
	if exit != exitDone {
		t.Fatalf("topics adopt: exit %d\n%s", exit, stderr)
	}
	expectText(t, stdout, event.TopicEvents+": epoch 2, 20 partitions", event.TopicFeatures+": epoch 2, 20 partitions")
	p = startProgram(t, dir)
	sendOne(t, p, "after")
	p.stop(t)
	checkLake(t, dir, &load{acked: map[string]bool{"before": true, "after": true}})
}

func sendOne(t *testing.T, p *program, id string) {
	t.Helper()
	body := map[string]any{"event_id": id, "type": "view_item", "anonymous_id": "v", "item_id": "i", "occurred_at": time.Now()}
	if status, answer, err := p.call(t.Context(), "POST", "/v1/events", p.keys(t).WriteKey, body, nil); err != nil || status != 202 {
		t.Fatalf("send event: %d %s %v", status, answer, err)
	}
}

// TestMistypedDirectory must not look like an empty installation.
func TestMistypedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mistyped")
	for _, args := range [][]string{{"lake", "info"}, {"features", "verify"}, {"train"}, {"models", "list"}, {"keys", "list"}, {"topics", "adopt", event.TopicEvents}} {
		_, stderr, exit := runProgram(t, append(args, "--data-dir", dir)...)
		if exit != exitFailed {
			t.Errorf("%v: exit %d, want %d", args, exit, exitFailed)
		}
		expectText(t, stderr, dir, "--data-dir")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s was created", dir)
	}
}

func TestWrongUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown command": {"serve"},
		"unknown flag":    {"up", "--prot", "80"},
		"no file":         {"import", "events"},
		"missing file":    {"import", "events", "no-such-file.csv"},
		"bad bench":       {"bench", "everything"},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, exit := runProgram(t, args...)
			if exit != exitUsage || stderr == "" {
				t.Errorf("exit %d, want %d; stderr %q", exit, exitUsage, stderr)
			}
		})
	}
}
