package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/telemetry"
)

func TestLoggerText(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "WARN", "text")
	if err != nil {
		t.Fatal(err)
	}
	log = telemetry.Component(log, "stream")
	log.Info("below the level")
	log.Warn("lag grows", "records", 17)
	want := regexp.MustCompile(`^time=\d\d:\d\d:\d\d\.\d{3} level=WARN msg="lag grows" component=stream records=17\n$`)
	if !want.MatchString(out.String()) {
		t.Errorf("line %q does not match %s", out.String(), want)
	}
}

func TestLoggerJSON(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("below the level")
	// An attribute of a group may be called time too: it is the caller's and stays as it is.
	telemetry.Component(log, "lake").Info("committed", slog.Group("snapshot", slog.Int64("time", 5)))
	var line struct {
		Time      time.Time
		Level     string
		Msg       string
		Component string
		Snapshot  struct{ Time int64 }
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("want exactly one JSON line, got %q: %v", out.String(), err)
	}
	if line.Level != "INFO" || line.Msg != "committed" || line.Component != "lake" || line.Snapshot.Time != 5 {
		t.Errorf("line %+v", line)
	}
	if line.Time.Location() != time.UTC {
		t.Errorf("time %v is not UTC", line.Time)
	}
}

func TestLoggerRefuses(t *testing.T) {
	for _, c := range []struct{ level, format, want string }{
		{"loud", "text", `log level "loud": want debug, info, warn or error`},
		{"info", "xml", `log format "xml": want text or json`},
	} {
		if _, err := telemetry.NewLogger(io.Discard, c.level, c.format); err == nil || err.Error() != c.want {
			t.Errorf("NewLogger(%q, %q) error = %v, want %q", c.level, c.format, err, c.want)
		}
	}
}

func TestReadBuild(t *testing.T) {
	b := telemetry.ReadBuild("1.2.3")
	if b.Version != "1.2.3" || b.Commit == "" || !strings.HasPrefix(b.Go, "go1.") {
		t.Errorf("build %+v", b)
	}
	text, err := json.Marshal(telemetry.Build{Version: "v", Commit: "c", Go: "g"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"version":"v","commit":"c","go":"g"}`; string(text) != want {
		t.Errorf("build as JSON is %s, want %s", text, want)
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestAdminMetrics(t *testing.T) {
	reg := telemetry.NewRegistry(telemetry.Build{Version: "1.0", Commit: "abc", Go: "go1.26"})
	seen := prometheus.NewCounter(prometheus.CounterOpts{Name: "millrace_seen_total", Help: "Seen."})
	reg.MustRegister(seen)
	seen.Add(3)
	code, body := get(t, telemetry.NewAdmin(reg, nil), telemetry.PathMetrics)
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		`millrace_build_info{commit="abc",go="go1.26",version="1.0"} 1`,
		"millrace_seen_total 3",
		"\ngo_goroutines ",
		"\nprocess_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

func TestAdminReady(t *testing.T) {
	var reason error
	state := ""
	h := telemetry.NewAdmin(telemetry.NewRegistry(telemetry.Build{}), func() (string, error) { return state, reason })
	if code, body := get(t, h, telemetry.PathReady); code != http.StatusOK || body != "ok\n" {
		t.Errorf("ready: %d %q", code, body)
	}
	state = "3 events wait"
	if code, body := get(t, h, telemetry.PathReady); code != http.StatusOK || body != "ok; 3 events wait\n" {
		t.Errorf("ready with a word: %d %q", code, body)
	}
	reason = errors.New("the catalogue is still loading")
	if code, body := get(t, h, telemetry.PathReady); code != http.StatusServiceUnavailable || body != "not ready: the catalogue is still loading\n" {
		t.Errorf("not ready: %d %q", code, body)
	}
	if code, _ := get(t, h, telemetry.PathLive); code != http.StatusOK {
		t.Errorf("a program that is not ready is alive all the same, got %d", code)
	}
}

func TestAdminOnRouter(t *testing.T) {
	r := chi.NewRouter()
	r.Mount("/", telemetry.NewAdmin(telemetry.NewRegistry(telemetry.Build{}), nil))
	for path, want := range map[string]string{
		telemetry.PathPprof:                       "goroutine",
		telemetry.PathPprof + "goroutine?debug=1": "goroutine profile:",
		telemetry.PathPprof + "cmdline":           "telemetry.test",
		telemetry.PathMetrics:                     "go_goroutines",
	} {
		if code, body := get(t, r, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d, lacks %q", path, code, want)
		}
	}
	if code, _ := get(t, r, "/nothing"); code != http.StatusNotFound {
		t.Errorf("an unknown path answers %d", code)
	}
}
