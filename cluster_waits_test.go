package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// TestWhatWaitsForTheStream starts serving and a grow in an installation without any process of the stream: each waits, says
// for what and what to do, and goes on by itself when there is one.
func TestWhatWaitsForTheStream(t *testing.T) {
	t.Parallel()
	c := newClusterOn(t, []string{kafkatest.Broker(t).Addr()})
	serving := launchCommand(t, t.TempDir(), "serving", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config", c.config)
	grow := launchCommand(t, filepath.Join(t.TempDir(), "none"), "topics", "grow", event.TopicEvents, "--partitions", "6", "--config", c.config)
	hint := "this waits for `millrace stream`"
	awaitText(t, serving.stderr, `msg="not ready yet"`, hint, "0 of 4 partitions")
	if ready := serving.readiness(t); strings.Count(ready, "\n") != 1 || !strings.Contains(ready, hint) {
		t.Errorf("/readyz says %q", ready)
	}
	awaitText(t, grow.stderr, event.TopicEvents+": waits for a `millrace stream`", "start one")
	stream := c.role(t.TempDir(), "stream")
	serving.awaitReady(t)
	err := <-grow.done
	grow.done <- err
	if err != nil {
		t.Errorf("grow: %v\n%s", err, grow.stderr)
	}
	expectText(t, grow.stdout.String(), event.TopicEvents+": epoch 2, 6 partitions")
	serving.stop(t)
	stream.stop(t)
}

// awaitText waits until a program has printed texts.
func awaitText(t *testing.T, printed *transcript, texts ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		missing := ""
		for _, text := range texts {
			if !strings.Contains(printed.String(), text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is said of %q:\n%s", missing, printed)
		}
	}
}

// readiness is what /readyz of a program that is not ready answers on its admin listener.
func (p *program) readiness(t *testing.T) string {
	t.Helper()
	var info runInfo
	b, err := os.ReadFile(filepath.Join(p.dir, runFile))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+info.Admin+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/readyz of a program that is not ready: %d, %v", resp.StatusCode, err)
	}
	return string(body)
}
