package serving

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/registry"
)

// restart is a node that starts over a registry in which something is damaged.
type restart struct {
	*house
	versions []registry.Manifest // the champion first
	logged   bytes.Buffer        // errors
	now      time.Time
}

// newRestart promotes three versions and damages as many of them, the champion first; then the node starts.
func newRestart(t *testing.T, damaged int) *restart {
	r := &restart{house: newHouse(t), now: noon}
	sessions := [][]string{{"tent", "mat"}, {"tent", "mat"}, {"tent", "stove"}}
	for range 3 {
		sessions = append(sessions, []string{"tent", "mat"})
		r.versions = append([]registry.Manifest{r.train(sessions)}, r.versions...)
	}
	for _, m := range r.versions[:damaged] {
		r.flip(m)
	}
	r.deps.Log = slog.New(slog.NewJSONHandler(&r.logged, &slog.HandlerOptions{Level: slog.LevelError}))
	r.deps.Now = func() time.Time { return r.now }
	r.open()
	r.must(r.serving.loadCatalogue(t.Context()))
	r.poll()
	return r
}

func (r *restart) path(m registry.Manifest) string {
	return r.registry.Location(testSite + "/" + m.Version + "/vstan.arrow")
}

// flip damages a version, or restores it.
func (r *restart) flip(m registry.Manifest) {
	r.tb.Helper()
	content, err := os.ReadFile(r.path(m))
	r.must(err)
	content[len(content)/2] ^= 1
	r.must(os.WriteFile(r.path(m), content, 0o600))
}

// poll asks the registry three times, as happens within three seconds.
func (r *restart) poll() {
	for range 3 {
		r.serving.models.poll(r.tb.Context(), testSite)
	}
}

// expect asks for a list and checks which version made it, "" for the ladder.
func (r *restart) expect(version string) {
	r.tb.Helper()
	answer := r.ask(`{"placement":"session","item_ids":["tent"]}`)
	if answer.ModelVersion != version || (version != "" && (answer.Degraded != "none" || len(answer.Items) == 0)) {
		r.tb.Errorf("version %q answers %+v, want version %q", answer.ModelVersion, answer, version)
	}
}

// reported expects one line so far, which holds the given texts.
func (r *restart) reported(texts ...string) {
	r.tb.Helper()
	log := r.logged.String()
	if strings.Count(log, "\n") != 1 {
		r.tb.Errorf("logged not one line but %s", log)
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			r.tb.Errorf("%s\ndoes not say %s", log, text)
		}
	}
}

// TestRestartFallsBackToAPredecessor: a start over a damaged champion serves the newest sound version before it, says
// so once, and takes the champion as soon as it is restored.
func TestRestartFallsBackToAPredecessor(t *testing.T) {
	for damaged := 1; damaged <= 2; damaged++ {
		r := newRestart(t, damaged)
		r.expect(r.versions[damaged].Version)
		r.reported("version "+r.versions[damaged].Version+" is in force instead", "millrace train", "millrace models promote")
		for _, m := range r.versions[:damaged] {
			r.reported(r.path(m))
		}

		r.flip(r.versions[0])
		r.poll()
		r.expect(r.versions[damaged].Version) // the champion is not read again each second
		r.now = r.now.Add(modelRetry)
		r.poll()
		r.expect(r.versions[0].Version)
		r.reported()
	}
}

// TestRestartPassesOverAbsentPredecessors: a predecessor that was removed is no obstacle on the way to the one before.
func TestRestartPassesOverAbsentPredecessors(t *testing.T) {
	r := newRestart(t, 3)
	r.expect("")
	r.must(os.RemoveAll(filepath.Dir(r.path(r.versions[1]))))
	r.flip(r.versions[2])
	r.now = r.now.Add(modelRetry)
	r.poll()
	r.expect(r.versions[2].Version)
}

// TestRestartWithoutASoundVersion: the ladder answers, damage to every version is reported once, and the first version
// that is restored comes into force, whether it is the champion or not.
func TestRestartWithoutASoundVersion(t *testing.T) {
	r := newRestart(t, 3)
	r.expect("")
	r.reported("lists come from the ladder", r.path(r.versions[0]), r.path(r.versions[1]), r.path(r.versions[2]))
	r.now = r.now.Add(modelRetry)
	r.poll()
	r.reported()
	r.flip(r.versions[1])
	r.now = r.now.Add(modelRetry)
	r.poll()
	r.expect(r.versions[1].Version)
}

// TestAFallbackIsOnlyForTheStart: a node that serves a version keeps it when the next champion is damaged, even where an
// older one is the newest that is sound on disk.
func TestAFallbackIsOnlyForTheStart(t *testing.T) {
	r := newRestart(t, 0)
	r.expect(r.versions[0].Version)
	newer := r.train([][]string{{"tent", "stove"}, {"tent", "stove"}})
	r.flip(newer)
	r.flip(r.versions[0])
	r.poll()
	r.expect(r.versions[0].Version) // from memory
	r.reported("version "+r.versions[0].Version+" is in force instead", r.path(newer))
}

// TestRefreshPutsTheChampionInForce: whoever promoted a version and asked to look finds it in force when the answer comes.
func TestRefreshPutsTheChampionInForce(t *testing.T) {
	h := newHouse(t).open()
	h.must(h.serving.loadCatalogue(t.Context()))
	kafkatest.Run(t, func(ctx context.Context) error {
		h.serving.models.run(ctx, func(context.Context) []string { return []string{testSite} }, func() {})
		return nil
	})
	sessions := [][]string{{"tent", "mat"}, {"tent", "mat"}, {"tent", "stove"}}
	for range 5 {
		sessions = append(sessions, []string{"tent", "mat"})
		promoted := h.train(sessions)
		answer := httptest.NewRecorder()
		h.router.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/admin/models:refresh", http.NoBody))
		if inForce := h.serving.models.of(testSite); answer.Code != http.StatusOK || inForce == nil || inForce.Manifest.Version != promoted.Version {
			t.Fatalf("status %d, in force %v, promoted %s", answer.Code, inForce, promoted.Version)
		}
	}
}
