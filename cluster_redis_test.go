package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// redisAway is how long Redis does not answer in TestLongRedisAway.
const redisAway = 30 * time.Second

// TestLongRedisAway stops Redis under load, once with everything in it and once with nothing lost: every list is answered
// and none is empty, no event is lost, and when Redis is back everything heals by itself.
func TestLongRedisAway(t *testing.T) {
	kafkatest.Long(t)
	c := newCluster(t)
	tracker := c.role(t.TempDir(), "tracker", "--listen", "127.0.0.1:0")
	stream := c.role(t.TempDir(), "stream")
	serving := c.role(t.TempDir(), "serving", "--listen", "127.0.0.1:0")
	writeKey, secretKey := c.command("keys", "create"), c.command("keys", "create", "--secret")
	load := &load{acked: map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for s := range crashSenders {
		senders.Go(func() { load.send(ctx, tracker, writeKey, fmt.Sprintf("s%d", s)) })
	}
	healthy := func(list shownList) bool { return len(list.Items) > 0 && list.Degraded == "none" }
	awaitList(t, serving, secretKey, "popular", healthy) // trends are in memory
	awaitList(t, serving, secretKey, "recent", healthy)
	for _, outage := range []struct {
		name       string
		stop, back func()
	}{
		{"lost", c.redis.Kill, c.redis.Start},
		{"stands still", c.redis.Pause, c.redis.Resume},
	} {
		before := load.count()
		outage.stop()
		lists := askFor(t, redisAway, serving, secretKey)
		outage.back()
		back := time.Now()
		awaitList(t, serving, secretKey, "recent", healthy)
		t.Logf("Redis %s: %d lists in %v, %d of them degraded, %d empty; %d events acknowledged meanwhile; healed %v after",
			outage.name, lists.asked, redisAway, lists.degraded, lists.empty, load.count()-before, time.Since(back).Round(time.Millisecond))
		if lists.empty > 0 || lists.degraded == 0 || load.count() == before {
			t.Errorf("Redis %s: an empty list, none that was degraded, or no event", outage.name)
		}
	}
	stop()
	senders.Wait()
	sendAs(t, tracker, writeKey, load, "late", "late-visitor")
	awaitProfile(t, serving, secretKey, "late-visitor")
	var report struct{ Profiles, Differences int64 }
	if err := json.Unmarshal([]byte(c.command("features", "verify", "--json")), &report); err != nil || report.Differences != 0 || report.Profiles == 0 {
		t.Errorf("features verify: %+v %v", report, err)
	}
	for _, role := range []*program{tracker, serving, stream} {
		role.stop(t)
	}
	checkLakeAt(t, c.lakeConfig(), load)
	t.Logf("%d acknowledged events exactly once, %d profiles without a difference", load.count(), report.Profiles)
}

// lists counts what was answered.
type lists struct{ asked, degraded, empty int }

// askFor asks for lists, one after the other, and expects every request to succeed.
func askFor(t *testing.T, d time.Duration, serving *program, key string) (n lists) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); n.asked++ {
		var list shownList
		request := map[string]any{"placement": []string{"recent", "popular"}[n.asked%2], "anonymous_id": fmt.Sprintf("visitor-%d", n.asked%97), "limit": 5}
		status, answer, err := serving.call(t.Context(), "POST", "/v1/recommend", key, request, &list)
		if err != nil || status != 200 {
			t.Fatalf("list: %d %s %v", status, answer, err)
		}
		if list.Degraded != "none" {
			n.degraded++
		}
		if len(list.Items) == 0 {
			n.empty++
		}
		<-time.After(20 * time.Millisecond)
	}
	return n
}
