package importer_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker/importer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a topic that can be made to fail: before the failing call's records are stored, or after.
type log struct {
	records   []kafka.Record
	calls     int
	failAt    int // the call that fails, counted from 1; 0 never
	failAfter bool
	failWith  error
}

func (l *log) Produce(_ context.Context, records []kafka.Record) error {
	l.calls++
	fail := l.calls == l.failAt
	if !fail || l.failAfter {
		l.records = append(l.records, slices.Clone(records)...)
	}
	if fail {
		return l.failWith
	}
	return nil
}

// events decodes what was produced, and checks that every record is addressed as the contract says.
func (l *log) events(t *testing.T) []event.Event {
	t.Helper()
	out := make([]event.Event, len(l.records))
	for i, r := range l.records {
		e := &out[i]
		if err := event.Unmarshal(r.Value, e); err != nil {
			t.Fatal(err)
		}
		if r.Topic != event.TopicEvents || string(r.Key) != e.Key() || r.Partition >= 0 || r.Time.IsZero() {
			t.Fatalf("record %d: topic %s key %s partition %d time %v, event key %s", i, r.Topic, r.Key, r.Partition, r.Time, e.Key())
		}
		if len(r.Headers) != 1 || r.Headers[0].Key != event.HeaderSchema || string(r.Headers[0].Value) != event.Schema {
			t.Fatalf("record %d: headers %v", i, r.Headers)
		}
		if e.Source != event.SourceImport {
			t.Fatalf("record %d: source %q", i, e.Source)
		}
	}
	return out
}

func ids(events []event.Event) []string {
	seen := make(map[string]bool, len(events))
	for _, e := range events {
		seen[e.EventID] = true
	}
	out := make([]string, 0, len(seen))
	for id := range seen {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func ledger(t testing.TB) *control.Store {
	t.Helper()
	s, err := control.Open(t.Context(), filepath.Join(t.TempDir(), "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newImporter(t *testing.T, cfg importer.Config, deps importer.Deps) *importer.Importer {
	t.Helper()
	if cfg.RejectDir == "" {
		cfg.RejectDir = filepath.Join(t.TempDir(), "rejects")
	}
	im, err := importer.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := gzip.NewWriter(f)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func mapping(t *testing.T, text string) history.Mapping {
	t.Helper()
	m, err := history.ParseMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// clicks is a file of n rows, of which every third is the same row again.
func clicks(n int) string {
	var b strings.Builder
	b.WriteString("user_id,item_id,timestamp\n")
	for i := range n {
		if i%3 == 2 {
			b.WriteString("u0,i0,1590884413\n")
			continue
		}
		fmt.Fprintf(&b, "u%d,i%d,%d\n", i%7, i, 1590884413+i)
	}
	return b.String()
}

var views = importer.Config{Type: event.ViewItem}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
