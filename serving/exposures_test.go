package serving

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// logged waits until so many lists are in the topic, and reads them.
func (h *house) logged(n int) map[string]*event.Exposure {
	h.tb.Helper()
	got := map[string]*event.Exposure{}
	waitFor(h.tb, fmt.Sprint(n, " exposures"), func() bool {
		for p := range int32(2) {
			for next := int64(0); ; {
				result, err := h.client.Fetch(h.tb.Context(), kafka.FetchRequest{Topic: event.TopicExposures, Partition: p, Offset: next, MaxWait: time.Millisecond})
				h.must(err)
				if result.Next == next {
					break
				}
				next = result.Next
				for _, r := range result.Records {
					x := &event.Exposure{}
					h.must(event.UnmarshalExposure(r.Value, x))
					if string(r.Key) != testSite+":"+x.RecID || string(r.Headers[0].Value) != event.ExposureSchema || !r.Time.Equal(noon) {
						h.tb.Fatalf("record %+v", r)
					}
					got[x.RecID] = x
				}
			}
		}
		return len(got) >= n
	})
	if len(got) != n {
		h.tb.Fatalf("%d lists are logged, want %d", len(got), n)
	}
	return got
}

// TestExposures: every list that was served is in the topic under its key, with what was asked and shown, and where everything is
// recorded also with what was considered, and why it was dropped.
func TestExposures(t *testing.T) {
	h := start(t)
	h.train([][]string{{"tent", "mat", "stove"}, {"tent", "mat"}})
	h.serving.models.poll(t.Context(), testSite)
	h.put(`{"item_id":"stove","available":false}`)
	const ask = `{"placement":"session","anonymous_id":"b1","session_id":"s1","item_ids":["tent"],"exclude_ids":["x"],"context":{"page":"home"}}`
	compact := h.ask(ask)
	h.ask(`{"placement":"session","item_ids":["tent"],"dry_run":true}`)
	h.serving.fullShare = 1
	full := h.ask(ask)
	h.ask(`{"placement":"session","item_ids":["tent"],"dry_run":true}`)

	got := h.logged(2)
	for _, served := range []Answer{compact, full} {
		x := got[served.RecID]
		if x == nil || x.Placement != "session" || x.ModelVersion != served.ModelVersion || x.ServedBy != served.ServedBy || x.AnonymousID != "b1" ||
			x.SessionID != "s1" || !slices.Equal(x.Request.ItemIDs, []string{"tent"}) || x.Request.Context["page"] != "home" || !x.ServedAt.Equal(noon) {
			t.Fatalf("exposure %+v", x)
		}
		for i, shown := range served.Items {
			it := x.Items[i]
			if len(x.Items) != len(served.Items) || it.ItemID != shown.ItemID || it.Position != int32(i) || it.Score != shown.Score || !slices.Equal(it.Reasons, shown.Reasons) {
				t.Errorf("items %+v, shown %+v", x.Items, served.Items)
			}
		}
		if x.Items[0].Source != "vstan" {
			t.Errorf("items %+v", x.Items)
		}
	}
	if x := got[compact.RecID]; x.Detail != event.DetailCompact || x.Candidates != nil || x.Inputs != nil {
		t.Errorf("compact record %+v", x)
	}
	x := got[full.RecID]
	i := slices.IndexFunc(x.Candidates, func(c event.ExposureCandidate) bool { return c.ItemID == "stove" })
	if x.Detail != event.DetailFull || i < 0 || x.Candidates[i].Dropped != droppedUnavailable || x.Candidates[i].Scores["vstan"] == 0 {
		t.Errorf("candidates %+v", x.Candidates)
	}
}

// TestExposuresOfABusyShop: lists that come from everywhere at once all arrive, each once, in batches that Kafka takes.
func TestExposuresOfABusyShop(t *testing.T) {
	h := start(t)
	h.serving.fullShare = 0.2
	h.put(`{"item_id":"tent"}`, `{"item_id":"mat"}`)
	const callers, each = 8, 250
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range each {
				h.ask(`{"placement":"popular","context":{"page":"` + strings.Repeat("x", 200) + `"}}`)
			}
		})
	}
	group.Wait()
	full := 0
	for _, x := range h.logged(callers * each) {
		if x.Detail == event.DetailFull {
			full++
		}
	}
	if share := float64(full) / (callers * each); math.Abs(share-0.2) > 0.05 {
		t.Errorf("%.3f of the lists are recorded in full", share)
	}
	if n, _ := metric(t, h.metrics, "millrace_exposures_dropped_total"); n != 0 {
		t.Errorf("%g dropped", n)
	}
}

// TestSampled: the same list is always decided alike, and the share is what was asked for, within five standard deviations.
func TestSampled(t *testing.T) {
	for _, share := range []float64{0, 0.01, 0.5, 1} {
		n := 0
		const lists = 50_000
		for i := range lists {
			id := event.NewID(noon.Add(time.Duration(i) * time.Millisecond))
			yes := sampled(id, share)
			if yes != sampled(id, share) || yes && !sampled(id, share*1.5) {
				t.Fatalf("%s is decided in two ways", id)
			}
			if yes {
				n++
			}
		}
		if got := float64(n) / lists; math.Abs(got-share) > 0.022*math.Sqrt(share)+1e-9 && share < 1 || share == 1 && n != lists {
			t.Errorf("%v of the lists, want %v", got, share)
		}
	}
}

// hugeRequest asks with as much as a request may hold, in letters that take most in JSON.
func hugeRequest() *Request {
	q := &Request{Placement: "popular", Context: Context{}}
	for i := range MaxExcludeIDs {
		q.ExcludeIDs = append(q.ExcludeIDs, strings.Repeat("<", event.MaxIDBytes-8)+fmt.Sprint(i))
	}
	return q
}

// TestHugeExposuresFitIntoKafka: what no broker would take is cut down to what it does, and stops no other list.
func TestHugeExposuresFitIntoKafka(t *testing.T) {
	h := start(t)
	h.serving.fullShare = 1
	h.put(`{"item_id":"tent"}`)
	placement, err := h.control.Placement(t.Context(), testSite, "popular")
	h.must(err)
	huge := h.serving.recommend(t.Context(), testSite, placement, hugeRequest())
	small := h.ask(`{"placement":"popular"}`)
	got := h.logged(2)
	if x := got[huge.RecID]; x.Detail != event.DetailCompact || len(x.Items) != 1 || x.Inputs != nil {
		t.Errorf("the huge record has %d items and detail %s", len(x.Items), x.Detail)
	}
	if got[small.RecID].Detail != event.DetailFull {
		t.Error("the small record is not full")
	}
}

// fakeList makes a record of so many bytes.
func fakeList(id uuid.UUID, at time.Time, bytes int) listed {
	return listed{key: exposureKey(testSite, id.String()), at: at, value: make([]byte, bytes)}
}

// TestRecentListsAreBounded: the newest lists are found, each as it was, and what is over the bounds is gone.
func TestRecentListsAreBounded(t *testing.T) {
	r := newRecentLists()
	var ids []uuid.UUID
	const size = 1 << 20
	for i := range 200 {
		ids = append(ids, uuid.New())
		r.add(ids[i], fakeList(ids[i], noon.Add(time.Duration(i)*time.Second), size+i))
	}
	kept := 0
	for i, id := range ids {
		value, ok := r.find(exposureKey(testSite, id.String()), id)
		if ok {
			kept++
		}
		if fits := (len(ids)-i)*(size+200+recentOverhead) < maxRecentBytes; ok && len(value) != size+i || fits && !ok {
			t.Fatalf("list %d: %v, %d bytes", i, ok, len(value))
		}
	}
	if kept*size > maxRecentBytes || len(r.byID) != kept || r.bytes > maxRecentBytes || len(r.lists) > 2*kept+1 {
		t.Errorf("%d lists are kept, in %d bytes, %d indexed", kept, r.bytes, len(r.byID))
	}
	last := ids[len(ids)-1]
	if _, ok := r.find(exposureKey("other", last.String()), last); ok {
		t.Error("another site finds the list")
	}
	late := uuid.New()
	r.add(late, fakeList(late, noon.Add(2*recentAge), 1))
	if _, ok := r.find(exposureKey(testSite, last.String()), last); ok {
		t.Error("an old list is kept")
	}
}

// TestAListIsForgottenBesideANewerOfItsID: two lists of one id are no reason to lose the newer.
func TestAListIsForgottenBesideANewerOfItsID(t *testing.T) {
	r := newRecentLists()
	id := uuid.New()
	r.add(id, fakeList(id, noon, 1))
	r.add(id, fakeList(id, noon.Add(recentAge+time.Second), 2))
	if value, ok := r.find(exposureKey(testSite, id.String()), id); !ok || len(value) != 2 {
		t.Errorf("found %v, %d bytes", ok, len(value))
	}
}

// slowKafka lets its first caller wait until another has come, and counts who is with it.
type slowKafka struct {
	met         chan struct{} // without a buffer
	mu          sync.Mutex
	with, most  int
	calls       int
	records     int
	largest     int
	largestSize int
}

func (s *slowKafka) Produce(ctx context.Context, records []kafka.Record) error {
	size := 0
	for _, r := range records {
		size += len(r.Value)
	}
	s.mu.Lock()
	s.with++
	s.most = max(s.most, s.with)
	s.records += len(records)
	s.largest, s.largestSize = max(s.largest, len(records)), max(s.largestSize, size)
	s.calls++
	early := s.calls <= 2
	s.mu.Unlock()
	if early {
		select {
		case s.met <- struct{}{}:
		case <-s.met:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	s.with--
	s.mu.Unlock()
	return nil
}

// TestExposuresAreSentInBoundedBatches: several are on their way at once, and none is larger than it may be.
func TestExposuresAreSentInBoundedBatches(t *testing.T) {
	h := newHouse(t).open()
	slow := &slowKafka{met: make(chan struct{})}
	x := newExposures(slow, h.serving.metrics.dropped, h.deps.Log)
	const lists, size = 2_000, 8 << 10
	for range lists {
		x.record(listed{key: "k", value: make([]byte, size)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	x.run(ctx)
	if slow.records != lists || slow.most > exposureSenders || slow.most < 2 || slow.largest > exposureBatch || slow.largestSize >= exposureBatchBytes+size {
		t.Errorf("%d records by %d senders, at most %d with %d bytes", slow.records, slow.most, slow.largest, slow.largestSize)
	}
	if left := x.bytes.Load(); left != 0 {
		t.Errorf("%d bytes are counted in an empty queue", left)
	}
}
