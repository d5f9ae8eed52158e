package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/s3test"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
	"github.com/millrace/millrace/internal/sqldb/postgrestest"
	"github.com/millrace/millrace/internal/state/statetest"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/stream"
)

// clusterPartitions is how many partitions the topics of a test's cluster have.
const clusterPartitions = 4

// cluster is the shared worlds of roles in processes of their own: a real Kafka, PostgreSQL and Redis, and a directory or a
// store.
type cluster struct {
	t      *testing.T
	dsn    string
	shared objstore.Place
	config string // file
	redis  *redistest.Server
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return newClusterOn(t, kafkatest.Real(t))
}

// newClusterOn is newCluster on brokers that run, each of which keeps a replica of everything.
func newClusterOn(t *testing.T, brokers []string) *cluster {
	t.Helper()
	return newClusterOver(t, brokers, objstore.Place{Dir: filepath.Join(t.TempDir(), "bucket")})
}

// newClusterOver is newClusterOn with lake, models and checkpoints somewhere.
func newClusterOver(t *testing.T, brokers []string, shared objstore.Place) *cluster {
	t.Helper()
	c := &cluster{t: t, shared: shared, config: filepath.Join(t.TempDir(), "millrace.yaml")}
	c.dsn = postgrestest.Start(t).Database(t)
	c.redis = redistest.Start(t)
	text := fmt.Sprintf("kafka:\n  brokers: %q\n  partitions: %d\n  replication: %d\n  compaction_lag: 1s\ncontrol:\n  dsn: %q\nbucket: %q\nonline:\n  addresses: %q\n"+
		"stream:\n  commit_interval: 500ms\n  session_timeout: 6s\nerasure:\n  key: %q\n", strings.Join(brokers, ","), clusterPartitions, len(brokers), c.dsn, shared.Location(""), c.redis.Addr,
		erasure.NewKey().String())
	if s3 := shared.S3; s3 != nil {
		text += fmt.Sprintf("s3:\n  endpoint: %q\n  access_key: %q\n  secret_key: %q\n  path_style: %t\n", s3.Endpoint, s3.AccessKey, s3.SecretKey, s3.PathStyle)
	}
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// lakeConfig opens the cluster's lake.
func (c *cluster) lakeConfig() lake.Config {
	place := c.shared.Below("lake")
	return lake.Config{Dir: place.Dir, S3: place.S3, Catalog: c.dsn}
}

// role starts a role with a data directory of its own, or again on the same one.
func (c *cluster) role(dir string, args ...string) *program {
	c.t.Helper()
	return startCommand(c.t, dir, append(args, "--config", c.config)...)
}

// command runs an operator's command to its end, and expects it to succeed.
func (c *cluster) command(args ...string) string {
	c.t.Helper()
	stdout, stderr, exit := runHere(c.t, append(args, "--config", c.config, "--data-dir", filepath.Join(c.t.TempDir(), "none"))...)
	if exit != exitDone {
		c.t.Fatalf("%v: exit %d\n%s\n%s", args, exit, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// TestRolesAsProcesses runs every role as a process of its own, the stream as two, on real shared worlds: events go in at one
// and come out at another, a killed stream goes on where it stood, and in the end every event is in the lake once and every
// feature exact.
func TestRolesAsProcesses(t *testing.T) {
	t.Parallel()
	testRolesAsProcesses(t, newCluster(t))
}

// TestRolesOverAStore is the same with lake, models and checkpoints in a store, a part of whose requests fails, gets lost after it
// was done, or is slow.
func TestRolesOverAStore(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	cfg := store.Config("acme")
	c := newClusterOver(t, kafkatest.Real(t), objstore.Place{S3: &cfg})
	store.Faults.Set(31, s3test.Rates{Refused: 0.01, Lost: 0.02, Late: 0.01, Cut: 0.01, Slow: 0.05})
	testRolesAsProcesses(t, c)
	t.Logf("faults: %v", store.Faults.Count())
}

func testRolesAsProcesses(t *testing.T, c *cluster) {
	streamDir := t.TempDir()
	// All at once, as a rack after a power cut: one creates schema and topics, the others find them.
	var roles [5]*program
	var starts sync.WaitGroup
	for i, start := range []func() *program{
		func() *program { return c.role(t.TempDir(), "tracker", "--listen", "127.0.0.1:0") },
		func() *program { return c.role(streamDir, "stream") },
		func() *program { return c.role(t.TempDir(), "trainer") },
		func() *program { return c.role(t.TempDir(), "stream") },
		func() *program { return c.role(t.TempDir(), "serving", "--listen", "127.0.0.1:0") },
	} {
		starts.Go(func() { roles[i] = start() })
	}
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	tracker, stream, trainer, other, serving := roles[0], roles[1], roles[2], roles[3], roles[4]
	expectText(t, tracker.stderr.String(), "keys create") // nobody has made one yet
	writeKey, secretKey := c.command("keys", "create"), c.command("keys", "create", "--secret")

	load := &load{acked: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for s := range crashSenders {
		senders.Go(func() { load.send(ctx, tracker, writeKey, fmt.Sprintf("s%d", s)) })
	}
	awaitProfile(t, serving, secretKey, "visitor-1")
	awaitList(t, serving, secretKey, "popular", func(list shownList) bool { return len(list.Items) > 0 }) // trends are in memory
	awaitList(t, serving, secretKey, "recent", func(list shownList) bool { return len(list.Items) > 0 && list.Degraded == "none" })
	c.redis.Kill() // with everything in it
	awaitList(t, serving, secretKey, "recent", func(list shownList) bool {
		if len(list.Items) == 0 {
			t.Error("an empty list while Redis is away")
		}
		return list.Degraded != "none"
	})
	c.redis.Start()
	awaitProfile(t, serving, secretKey, "visitor-1") // who may have sent nothing since
	stream.kill()
	stream = c.role(streamDir, "stream")
	stop()
	senders.Wait()

	sendAs(t, tracker, writeKey, load, "late", "late-visitor")
	awaitProfile(t, serving, secretKey, "late-visitor") // the new stream has caught up
	var list struct {
		Items []struct {
			ItemID string `json:"item_id"`
		}
	}
	request := map[string]any{"placement": "recent", "anonymous_id": "late-visitor"}
	if status, answer, err := serving.call(t.Context(), "POST", "/v1/recommend", secretKey, request, &list); err != nil || status != 200 || len(list.Items) == 0 {
		t.Fatalf("list: %d %s %v", status, answer, err)
	}
	c.checkCommands(load)
	stream = c.eraseSomebody(tracker, serving, writeKey, secretKey, func() *program {
		stream.kill()
		return c.role(streamDir, "stream")
	})
	for _, role := range []*program{tracker, serving, trainer, stream, other} {
		role.stop(t)
	}
	checkLakeAt(t, c.lakeConfig(), load)
	c.checkStates()
	t.Logf("%d acknowledged events exactly once", load.count())
}

// eraseSomebody erases a visitor while a process of the stream is killed and started again, and finds nothing of them in any store
// afterwards. It returns the new process.
func (c *cluster) eraseSomebody(tracker, serving *program, writeKey, secretKey string, again func() *program) *program {
	c.t.Helper()
	const visitor = "erased-visitor"
	for i := range 20 {
		sendAs(c.t, tracker, writeKey, &load{acked: map[string]bool{}}, fmt.Sprint("erased-", i), visitor)
	}
	awaitProfile(c.t, serving, secretKey, visitor)
	request := map[string]any{"placement": "recent", "anonymous_id": visitor}
	if status, answer, err := serving.call(c.t.Context(), "POST", "/v1/recommend", secretKey, request, nil); err != nil || status != 200 {
		c.t.Fatalf("list: %d %s %v", status, answer, err)
	}
	if before := c.found(visitor); before["online store"] == 0 || before["millrace.events"] == 0 {
		c.t.Errorf("before the erasure there is %v", before)
	}
	var job struct{ ID, Step string }
	if status, answer, err := serving.call(c.t.Context(), "DELETE", "/v1/users/anonymous:"+visitor, secretKey, nil, &job); err != nil || status != 202 {
		c.t.Fatalf("DELETE: %d %s %v", status, answer, err)
	}
	stream := again()
	for deadline := time.Now().Add(startLimit); job.Step != "done"; <-time.After(readyPoll) {
		if status, answer, err := serving.call(c.t.Context(), "GET", "/v1/erasures/"+job.ID, secretKey, nil, &job); err != nil || status != 200 || time.Now().After(deadline) {
			c.t.Fatalf("erasure: %d %s %v", status, answer, err)
		}
	}
	total := int64(0)
	for _, n := range c.found(visitor) {
		total += n
	}
	if total != 0 {
		c.t.Errorf("after the erasure there is %v", c.found(visitor))
	}
	return stream
}

// found is what `users verify-erased` counts of a visitor, by store.
func (c *cluster) found(visitor string) map[string]int64 {
	c.t.Helper()
	stdout, stderr, exit := runHere(c.t, "users", "verify-erased", "anonymous:"+visitor, "--json", "--config", c.config, "--data-dir", filepath.Join(c.t.TempDir(), "none"))
	var report personReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		c.t.Fatalf("verify-erased: exit %d, %q, %s", exit, stdout, stderr)
	}
	if exit == exitDone != (report.Total == 0) {
		c.t.Errorf("verify-erased: exit %d with %d found", exit, report.Total)
	}
	return report.Found
}

// checkCommands runs commands against the shared worlds while the roles run, from a directory that holds nothing.
func (c *cluster) checkCommands(load *load) {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "history.csv")
	if err := os.WriteFile(file, []byte("anonymous_id,item_id,occurred_at\npast,old-item,1700000000\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.command("import", "events", file, "--type", "view_item", "--map", "anonymous_id=anonymous_id,item_id=item_id,occurred_at=occurred_at")
	items := filepath.Join(c.t.TempDir(), "items.csv")
	if err := os.WriteFile(items, []byte("item_id,title\nitem-1,One\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.command("import", "items", items)
	c.verify()
	var info struct{ Tables []struct{ Rows int64 } }
	if err := json.Unmarshal([]byte(c.command("lake", "info", "--json")), &info); err != nil || info.Tables[0].Rows < int64(load.count())+1 {
		c.t.Errorf("lake info: %+v, %v; %d events were acknowledged and one imported", info, err, load.count())
	}
	c.command("train")
	c.command("models", "list")
	expectText(c.t, c.command("keys", "list"), "default")
	expectText(c.t, c.command("deadletters", "list"), "0 of 0")
}

// verify expects features without a difference, and returns what was compared.
func (c *cluster) verify() (report stream.Report) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.command("features", "verify", "--json")), &report); err != nil {
		c.t.Fatal(err)
	}
	if report.Differences != 0 || report.Profiles < 98 { // 97 visitors of the load, one late, one of the past
		c.t.Errorf("features verify: %+v", report)
	}
	return report
}

// checkStates looks at what the processes of the stream have left in the bucket when they ended: the states of all
// partitions, in full. A value that is changed there must be told.
func (c *cluster) checkStates() {
	c.t.Helper()
	var states stream.Compared
	exact := c.verify()
	for _, s := range exact.States {
		states.Add(s.Compared)
	}
	if states != exact.Compared {
		c.t.Errorf("the states in the bucket have %+v, the online store %+v", states, exact.Compared)
	}
	bucket, err := c.shared.Open(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	found := false
	for number := int32(0); number < clusterPartitions && !found; number++ {
		found = statetest.Tamper(c.t, bucket, 1, number, func(key string, value []byte) []byte {
			if !strings.HasPrefix(key, "p/default:a:late-visitor:") {
				return nil
			}
			row, err := onlinestore.DecodeRow(value)
			if err != nil {
				c.t.Fatal(err)
			}
			p, err := feature.DecodeProfile(row.Value)
			if err != nil {
				c.t.Fatal(err)
			}
			p.Session.Views++
			row.Value = p.Encode(nil)
			return onlinestore.AppendRow(nil, row)
		})
	}
	stdout, stderr, exit := runHere(c.t, "features", "verify", "--config", c.config, "--data-dir", filepath.Join(c.t.TempDir(), "none"))
	if !found || exit != exitFailed {
		c.t.Errorf("with a changed value in a checkpoint (%t): exit %d", found, exit)
	}
	expectText(c.t, stdout, "1 differences", "partitions 0 at (1, ")
	expectText(c.t, stderr, "p/default:a:late-visitor:0: the state differs from what the events give: session.views 2 instead of 1\n")
}

// awaitProfile waits until serving sees a visitor's events.
func awaitProfile(t *testing.T, serving *program, key, visitor string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var view struct{ Interactions []json.RawMessage }
		status, answer, err := serving.call(t.Context(), "GET", "/v1/users/anonymous:"+visitor+"/features", key, nil, &view)
		if err == nil && status == 200 && len(view.Interactions) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no profile of %s: %d %s %v", visitor, status, answer, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// shownList is what these tests look at of a list.
type shownList struct {
	Degraded string
	Items    []json.RawMessage
}

// awaitList asks for visitor-1's lists until one is as wanted. No request may fail, whatever is away.
func awaitList(t *testing.T, serving *program, key, placement string, wanted func(shownList) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var list shownList
		request := map[string]any{"placement": placement, "anonymous_id": "visitor-1", "limit": 1}
		status, answer, err := serving.call(t.Context(), "POST", "/v1/recommend", key, request, &list)
		if err != nil || status != 200 {
			t.Fatalf("list: %d %s %v", status, answer, err)
		}
		if wanted(list) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no list as wanted: %s", answer)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// sendAs sends one view of a visitor and remembers it as acknowledged.
func sendAs(t *testing.T, tracker *program, key string, load *load, id, visitor string) {
	t.Helper()
	body := map[string]any{"event_id": id, "type": "view_item", "anonymous_id": visitor, "item_id": "item-1", "occurred_at": time.Now()}
	if status, answer, err := tracker.call(t.Context(), "POST", "/v1/events", key, body, nil); err != nil || status != 202 {
		t.Fatalf("send event: %d %s %v", status, answer, err)
	}
	load.acked[id] = true
}
