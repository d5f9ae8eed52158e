package event

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files of testdata/events")

// received is when every golden event arrived; its client's clock was one second behind.
var received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestGolden sends each file of testdata/events through the door and compares what lands, or the verdict.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden events: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := land(t, raw)
			golden := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// land returns the event as it lands, or the problem, as indented JSON.
func land(t *testing.T, raw []byte) []byte {
	t.Helper()
	var result any
	e, p := Decode(raw)
	if p == nil {
		p = e.Admit(AdmitInput{Site: DefaultSite, SentAt: received.Add(-time.Second), ReceivedAt: received})
	}
	if result = p; p == nil {
		b, err := Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		result = json.RawMessage(b)
	}
	b, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}
