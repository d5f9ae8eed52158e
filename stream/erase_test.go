package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// erased is the person of these tests: a user of the traffic, who shares browsers with others.
var erased = erasure.Who{Site: "default", User: "u1"}

// erasingHouse is a house whose stream erases people, with checkpoints in a bucket.
func erasingHouse(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.erases = true
	h.useLog = quickLog{h.client}
	key := erasure.NewKey()
	if err := h.control.UseErasureKey(t.Context(), &key); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.bucket, err = objstore.OpenLocal(filepath.Join(h.dir, "bucket")); err != nil {
		t.Fatal(err)
	}
	// The lake of the house knows nobody: this one does, as that of the product.
	if err := h.lake.Close(); err != nil {
		t.Fatal(err)
	}
	if h.lake, err = lake.Open(t.Context(), lake.Config{Dir: filepath.Join(h.dir, "lake"), Erased: h.control.Ledger}); err != nil {
		t.Fatal(err)
	}
	h.useLake = h.lake
	return h
}

// belongs is the rule of package erasure said once more: which of some events are the person's.
func belongs(events []*event.Event) map[string]bool {
	linked := make(map[string]bool)
	mine := make(map[string]bool)
	for _, e := range events {
		if e.Site == erased.Site && e.UserID == erased.User && e.AnonymousID != "" {
			linked[e.AnonymousID] = true
		}
	}
	for _, e := range events {
		if e.Site == erased.Site && (e.UserID == erased.User || e.UserID == "" && linked[e.AnonymousID]) {
			mine[e.EventID] = true
		}
	}
	return mine
}

// litter leaves the person in every other place: lists served, dead letters, a reject file; beside those of others.
func (h *house) litter() {
	h.t.Helper()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var records []kafka.Record
	for i, who := range []struct{ user, browser string }{{"u1", ""}, {"u2", "b-2"}, {"u1", "b-1"}, {"", "b-3"}, {"u1", ""}} {
		x := &event.Exposure{RecID: fmt.Sprintf("rec%d", i), Site: "default", Placement: "home", ServedAt: at, UserID: who.user, AnonymousID: who.browser}
		value, err := event.MarshalExposure(x)
		if err != nil {
			h.t.Fatal(err)
		}
		records = append(records, kafka.Record{Topic: event.TopicExposures, Partition: int32(i % testPartitions), Time: at, Key: []byte("default:" + x.RecID), Value: value})
	}
	for i, value := range []string{`{"user_id":"u1","site":`, `{"user_id":"u2","site":`, `{"user_id":"u3","site":`} {
		records = append(records, kafka.Record{Topic: event.TopicEvents, Partition: int32(i), Time: at, Key: []byte("default:u:x"), Value: []byte(value)})
	}
	if err := h.producer.Produce(h.t.Context(), records); err != nil {
		h.t.Fatal(err)
	}
	rejects := filepath.Join(h.dir, "rejected")
	if err := os.MkdirAll(rejects, 0o755); err != nil {
		h.t.Fatal(err)
	}
	text := "line,reason,row\n2,no time,\"{\"\"user\"\":\"\"u1\"\"}\"\n3,no time,\"{\"\"user\"\":\"\"u2\"\"}\"\n"
	if err := os.WriteFile(filepath.Join(rejects, "old.csv.rejected.csv"), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// everywhere is a ledger of the person as of now, made without one of the house: for looking, not for erasing.
func (h *house) everywhere(events []*event.Event) *erasure.Ledger {
	key := erasure.NewKey()
	entries := []erasure.Entry{{Site: erased.Site, Kind: erasure.KindUser, Hash: key.Hash(erasure.KindUser, erased.Site, erased.User), Until: time.Now()}}
	for _, e := range events {
		if e.Site == erased.Site && e.UserID == erased.User && e.AnonymousID != "" {
			entries = append(entries, erasure.Entry{Site: erased.Site, Kind: erasure.KindLinked, Hash: key.Hash(erasure.KindLinked, erased.Site, e.AnonymousID), Until: time.Now()})
		}
	}
	return erasure.NewLedger(key, 1, entries)
}

// finished waits until an erasure is done and returns it.
func (r *running) finished(h *house, id string) control.Erasure {
	r.t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		e, err := h.control.Erasure(r.t.Context(), erased.Site, id)
		if err != nil {
			r.t.Fatal(err)
		}
		if e.Step == control.ErasureDone {
			return e
		}
		select {
		case <-look.C:
		case <-r.done:
			r.t.Fatalf("the stream ended with %v while somebody was erased: %+v", r.err, e)
		case <-r.t.Context().Done():
			r.t.Fatalf("the erasure stands at %+v", e)
		}
	}
}

// checkGone: nothing of the person is left anywhere, everything of others is, and all features are exact.
func (h *house) checkGone(r *running, tr *traffic) {
	h.t.Helper()
	r.drain()
	mine := belongs(tr.sent)
	others := make(map[string]bool)
	for id := range tr.ids {
		if !mine[id] {
			others[id] = true
		}
	}
	if len(mine) == 0 || len(others) == 0 {
		h.t.Fatalf("the traffic has %d events of the person and %d of others", len(mine), len(others))
	}
	h.checkLanded(others)
	verify(h.t, r.Stream)
	found, err := r.survey(h.t.Context(), h.everywhere(tr.sent))
	if err != nil {
		h.t.Fatal(err)
	}
	if found.Total() != 0 {
		h.t.Errorf("something of the person is left: %v", found)
	}
	for _, store := range []string{StoreOnline, StoreStates, StoreCheckpoints, StoreRejects, event.TopicEvents, event.TopicSessions, "lake events", "lake exposures older files"} {
		if _, looked := found[store]; !looked {
			h.t.Errorf("%s was not looked through", store)
		}
	}
	rejected, err := os.ReadFile(filepath.Join(h.dir, "rejected", "old.csv.rejected.csv"))
	if err != nil || strings.Contains(string(rejected), "u1") || !strings.Contains(string(rejected), "u2") {
		h.t.Errorf("the reject file holds %q (%v)", rejected, err)
	}
	letters, err := r.Letters(h.t.Context(), 10)
	if err != nil {
		h.t.Fatal(err)
	}
	sources := make(map[string]bool) // a kill may have written a letter twice
	for _, l := range letters.Letters {
		sources[l.Excerpt] = true
	}
	if len(sources) != 2 {
		h.t.Errorf("dead letters: %+v, want those of two others", letters.Letters)
	}
}

// A control that was not erased has the person in every store that is looked through: the same look finds something there.
func TestSurveyFindsThePerson(t *testing.T) {
	h, tr := erasingHouse(t), newTraffic(21)
	s := h.start()
	h.produce(tr.next(300)...)
	h.litter()
	s.drain()
	verify(t, s.Stream)
	h.checkpointed(s)
	found, err := s.survey(t.Context(), h.everywhere(tr.sent))
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{StoreOnline, StoreStates, StoreCheckpoints, StoreRejects, event.TopicEvents, event.TopicExposures, event.TopicDead,
		event.TopicFeatures, event.TopicSessions, "lake events", "lake exposures"} {
		if found[store] == 0 {
			t.Errorf("nothing of the person was found in %s: %v", store, found)
		}
	}
	if want := int64(len(belongs(tr.sent))); found["lake events"] != want {
		t.Errorf("%d rows in the lake, want %d", found["lake events"], want)
	}
}

// checkpointed waits until every partition has a checkpoint in the bucket.
func (h *house) checkpointed(r *running) {
	h.t.Helper()
	for {
		found, err := r.survey(h.t.Context(), h.everywhere([]*event.Event{}))
		if err != nil {
			h.t.Fatal(err)
		}
		if found[StoreCheckpoints] > 0 {
			return
		}
		select {
		case <-r.done:
			h.t.Fatalf("the stream ended with %v", r.err)
		case <-h.t.Context().Done():
			h.t.Fatal("no checkpoint has the person")
		default:
		}
	}
}

// TestErase erases one user of a busy shop while events come: nothing of the person is left, everything of others is, and whoever
// comes back is somebody new.
func TestErase(t *testing.T) {
	h, tr := erasingHouse(t), newTraffic(22)
	s := h.start()
	h.produce(tr.next(200)...)
	h.litter()
	s.drain()
	h.checkpointed(s)
	h.produce(tr.next(100)...) // some of these are on their way
	e, err := h.control.RequestErasure(t.Context(), erased)
	if err != nil {
		t.Fatal(err)
	}
	h.produce(tr.next(50)...) // what was acknowledged after the request happened before it
	s.drain()
	done := s.finished(h, e.ID)
	h.checkGone(s, tr)
	var c Certificate
	if err := json.Unmarshal(done.Certificate, &c); err != nil {
		t.Fatal(err)
	}
	if c.Before[StoreOnline] == 0 || c.Before["lake events"] == 0 || c.Before[StoreStates] == 0 || c.After.Total() != 0 || len(c.Lake) != 2 || c.Lake[0].Rows == 0 {
		t.Errorf("certificate %s", done.Certificate)
	}
	if strings.Contains(string(done.Certificate), `"u1"`) {
		t.Error("the certificate names the person")
	}

	// Late events of the person are dropped; the person of after the erasure is somebody new.
	h.produce(&event.Event{EventID: "late", Site: "default", UserID: "u1", AnonymousID: "b-late", Type: event.ViewItem, OccurredAt: tr.now, ReceivedAt: time.Now(),
		Items: []event.Item{{ItemID: "i1"}}})
	again := time.Now().Add(2 * clockSkew).UTC().Truncate(time.Millisecond)
	fresh := &event.Event{EventID: "again", Site: "default", UserID: "u1", AnonymousID: "b-new", Type: event.ViewItem, OccurredAt: again, ReceivedAt: again,
		Items: []event.Item{{ItemID: "i-new"}}}
	h.produce(fresh)
	s.drain()
	s.finished(h, e.ID) // it began again, because of the browser that the late event has brought
	verify(t, s.Stream)
	if landed := h.landed(); landed["late"] != 0 || landed["again"] != 1 {
		t.Errorf("the late event is in the lake %d times, the new one %d times", landed["late"], landed["again"])
	}
	row, ok, err := h.online.Get(t.Context(), onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: "b-new"}))
	if err != nil || !ok {
		t.Fatalf("whoever came back has no profile (%v)", err)
	}
	if p, err := feature.DecodeProfile(row.Value); err != nil || p.Events != 1 {
		t.Errorf("the profile of whoever came back is %+v (%v)", p, err)
	}
	s.halt()
	s = h.start() // from the states on disk
	s.drain()
	verify(t, s.Stream)
}

// TestEraseBrowser erases a browser, whoever used it; the users of it stay with what they did elsewhere.
func TestEraseBrowser(t *testing.T) {
	h, tr := erasingHouse(t), newTraffic(23)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	e, err := h.control.RequestErasure(t.Context(), erasure.Who{Site: "default", Browser: "b3"})
	if err != nil {
		t.Fatal(err)
	}
	s.finished(h, e.ID)
	left := make(map[string]bool)
	for _, e := range tr.sent {
		if e.Site != "default" || e.AnonymousID != "b3" {
			left[e.EventID] = true
		}
	}
	s.drain()
	h.checkLanded(left)
	verify(t, s.Stream)
}

// TestEraseSurvivesDeath kills the process at every step of an erasure. What a kill leaves is said by the steps; the next process
// goes on and comes to the same end.
func TestEraseSurvivesDeath(t *testing.T) {
	steps := []string{stepErasureResolved, stepErasureAsked, stepErasureAwaited, stepErasureRebuilt, stepErasureForgotten, stepErasureRewritten,
		stepErasureFilled, stepErasureCut, stepErasureTruncated, stepErasureProved,
		stepBuildBegun, stepSwapped, stepCorrected, stepDone} // of the states, in the middle of it
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			killErasure(t, at)
		})
	}
}

func killErasure(t *testing.T, at string) {
	h, tr := erasingHouse(t), newTraffic(24)
	s := h.start()
	h.produce(tr.next(150)...)
	h.litter()
	s.drain()
	s.halt()
	e, err := h.control.RequestErasure(t.Context(), erased)
	if err != nil {
		t.Fatal(err)
	}
	h.produce(tr.next(50)...)

	h.dieAt(at, 1)
	s = h.start()
	h.produce(tr.next(50)...)
	s.drain()
	s.finished(h, e.ID) // also of what came late
	h.checkGone(s, tr)
}

// Two erasures that wait together are done together, and one that comes while another is under way after it.
func TestEraseSeveral(t *testing.T) {
	h, tr := erasingHouse(t), newTraffic(25)
	s := h.start()
	h.produce(tr.next(200)...)
	s.drain()
	var ids []string
	for _, user := range []string{"u1", "u2"} {
		e, err := h.control.RequestErasure(t.Context(), erasure.Who{Site: "default", User: user})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	s.finished(h, ids[0])
	e, err := h.control.RequestErasure(t.Context(), erasure.Who{Site: "other", User: "u3"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids[1:] {
		s.finished(h, id)
	}
	for {
		got, err := h.control.Erasure(t.Context(), "other", e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Step == control.ErasureDone {
			break
		}
		if err := pause(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatalf("%+v", got)
		}
	}
	s.drain()
	verify(t, s.Stream)
	for id, n := range h.landed() {
		i := slices.IndexFunc(tr.sent, func(e *event.Event) bool { return e.EventID == id })
		if of := tr.sent[i]; n != 1 || of.Site == "default" && (of.UserID == "u1" || of.UserID == "u2") || of.Site == "other" && of.UserID == "u3" {
			t.Errorf("%s of user %s on %s is in the lake %d times", id, of.UserID, of.Site, n)
		}
	}
}

// nobodyAssigned gives a process no partition.
type nobodyAssigned struct{}

func (nobodyAssigned) Run(ctx context.Context, _ kafka.Handler) error {
	<-ctx.Done()
	return nil
}

// A process that has states of partitions which went to another one removes them when somebody is erased: the other makes new ones.
func TestEraseStatesLeftBehind(t *testing.T) {
	h, tr := erasingHouse(t), newTraffic(26)
	s := h.start()
	h.produce(tr.next(150)...)
	s.drain()
	s.halt()
	left := filepath.Join(h.dir, h.stateName)
	if len(Held(left)[event.TopicEvents]) != testPartitions {
		t.Fatalf("the first process has %v", Held(left))
	}
	owner := h.run(h.streamIn(filepath.Join(h.dir, "owner")))
	h.assigner = nobodyAssigned{}
	h.erases = false
	idle := h.stream()
	idle.deps.Ledgers = h.control
	h.run(idle)
	e, err := h.control.RequestErasure(t.Context(), erased)
	if err != nil {
		t.Fatal(err)
	}
	owner.finished(h, e.ID)
	for len(Held(left)[event.TopicEvents]) > 0 {
		if err := pause(t.Context(), 10*time.Millisecond); err != nil {
			t.Fatalf("states are left behind: %v", Held(left))
		}
	}
	owner.drain()
	verify(t, owner.Stream)
}
