package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// TestDeadLetters lists and replays with `up` running and alone: a record that cannot be used is found by its place, one
// that can be used by now lands once, and a terminal gets no control characters.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProgram(t, dir)
	info, running, err := runningProcess(dir)
	if err != nil || !running {
		t.Fatalf("up does not run: %v", err)
	}
	good := event.Event{EventID: "late", Site: event.DefaultSite, Type: event.PageView, AnonymousID: "b1",
		OccurredAt: time.Now().UTC(), ReceivedAt: time.Now().UTC()}
	value, err := event.Marshal(&good)
	if err != nil {
		t.Fatal(err)
	}
	header := func(key, value string) kafka.Header { return kafka.Header{Key: key, Value: []byte(value)} }
	client := kafkatest.Dial(t, []string{info.Kafka})
	err = kafkatest.Producer(t, client, kafka.ProducerConfig{}).Produce(t.Context(), []kafka.Record{
		{Topic: event.TopicEvents, Partition: 3, Key: []byte("k"), Value: []byte("\x1b[2J poison")},
		// What an older version could not use:
		{Topic: event.TopicDead, Partition: 0, Time: time.Now(), Key: []byte(good.Key()), Value: value, Headers: []kafka.Header{header("millrace-reason", "format"),
			header("millrace-topic", event.TopicEvents), header("millrace-epoch", "1"), header("millrace-partition", "2"), header("millrace-offset", "77")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, exit := runProgram(t, "features", "verify", "--data-dir", dir); exit != exitDone { // waits until all is applied
		t.Fatalf("verify: exit %d: %s", exit, stderr)
	}
	list := func() (letters []struct {
		Topic     string
		Partition int
		Offset    int
		Reason    string
		Replayed  bool
	}) {
		stdout, stderr, exit := runProgram(t, "deadletters", "list", "--json", "--data-dir", dir)
		var all struct{ Letters json.RawMessage }
		if err := json.Unmarshal([]byte(stdout), &all); err != nil || exit != exitDone {
			t.Fatalf("list: exit %d, %q, %s", exit, stdout, stderr)
		}
		if err := json.Unmarshal(all.Letters, &letters); err != nil {
			t.Fatal(err)
		}
		return letters
	}
	if letters := list(); len(letters) != 2 {
		t.Fatalf("letters %+v", letters)
	}
	stdout, stderr, exit := runProgram(t, "deadletters", "replay", "--offset", "2:77", "--data-dir", dir)
	if exit != exitDone || !strings.Contains(stdout, "1 replayed, 0 already replayed before, 0 left") {
		t.Fatalf("replay beside up: exit %d, %s, %s", exit, stdout, stderr)
	}
	p.stop(t)

	stdout, stderr, exit = runProgram(t, "deadletters", "list", "--data-dir", dir)
	if exit != exitDone || !strings.Contains(stdout, `\x1b[2J poison`) || strings.Contains(stdout, "\x1b") || !strings.Contains(stdout, "2 of 2 dead letters") {
		t.Fatalf("list alone: exit %d, %q, %s", exit, stdout, stderr)
	}
	stdout, stderr, exit = runProgram(t, "deadletters", "replay", "--all", "--data-dir", dir)
	expectText(t, stdout, "still poison", "already replayed", "0 replayed, 1 already replayed before, 1 left")
	if exit != exitDone {
		t.Fatalf("replay alone: exit %d: %s", exit, stderr)
	}
	replayed := 0
	for _, l := range list() {
		if l.Replayed && fmt.Sprintf("%s %d:%d", l.Topic, l.Partition, l.Offset) == event.TopicEvents+" 2:77" {
			replayed++
		}
	}
	if replayed != 1 {
		t.Fatalf("%d letters are marked as replayed", replayed)
	}
	var info2 struct{ Tables []struct{ Rows int } }
	stdout, _, _ = runProgram(t, "lake", "info", "--json", "--data-dir", dir)
	if err := json.Unmarshal([]byte(stdout), &info2); err != nil || info2.Tables[0].Rows != 1 {
		t.Fatalf("the lake holds %+v, want the one event (%v)", info2, err)
	}
	for _, wrong := range [][]string{{}, {"--all", "--reason", "format"}, {"--offset", "77"}} {
		if _, stderr, exit := runProgram(t, append([]string{"deadletters", "replay", "--data-dir", dir}, wrong...)...); exit != exitUsage {
			t.Errorf("replay %v: exit %d: %s", wrong, exit, stderr)
		}
	}
}
