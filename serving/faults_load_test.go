package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// asked is what happened to requests of one phase.
type asked struct {
	mu       sync.Mutex
	phase    string
	times    []time.Duration
	degraded map[string]int
	failures []string // of all phases
}

func (a *asked) note(placement string, took time.Duration, status int, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var answer Answer
	if status != http.StatusOK {
		a.failures = append(a.failures, fmt.Sprintf("%s: %s: %d %s", a.phase, placement, status, body))
		return
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Items) == 0 {
		a.failures = append(a.failures, fmt.Sprintf("%s: %s: %v, %d items", a.phase, placement, err, len(answer.Items)))
		return
	}
	a.times = append(a.times, took)
	a.degraded[answer.Degraded]++
}

// next begins a phase and returns what the last one was like.
func (a *asked) next(phase string) (p50, p99, slowest time.Duration, n int, degraded map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	times, degraded := a.times, a.degraded
	a.phase, a.times, a.degraded = phase, nil, map[string]int{}
	if n = len(times); n == 0 {
		return 0, 0, 0, 0, degraded
	}
	slices.Sort(times)
	return times[n/2], times[n*99/100], times[n-1], n, degraded
}

// everyList asks for every kind of list, of several visitors.
func everyList() []string {
	var all []string
	for _, visitor := range []string{"x", "y", "z", "nobody"} {
		for _, placement := range []string{
			`"home"`, `"session"`, `"popular"`, `"trending"`, `"recent"`, `"again"`, `"item","item_ids":["hat3"]`, `"cart","item_ids":["cup1","hat2"]`,
		} {
			all = append(all, fmt.Sprintf(`{"placement":%s,"anonymous_id":%q}`, placement, visitor))
		}
	}
	return all
}

// load asks again and again until ctx ends.
func (w *ward) load(ctx context.Context, a *asked, every time.Duration) (wait func()) {
	var running sync.WaitGroup
	for _, request := range everyList() {
		running.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				began := time.Now()
				r := w.do(http.MethodPost, "/v1/recommend", request)
				a.note(request, time.Since(began), r.Code, r.Body.Bytes())
			}
		})
	}
	return running.Wait
}

// trouble is something that is taken away.
type trouble struct {
	name       string
	take, give func()
	lowers     bool // the rung of personal lists
	writeFails bool // catalogue writes are refused while it lasts
}

const everythingAway = "all of them away"

func (w *ward) troubles() []trouble {
	return []trouble{
		{name: "Kafka stopped", take: w.stopKafka, give: w.returnKafka, writeFails: true},
		{name: "Redis killed", take: w.redis.Kill, give: w.returnRedis, lowers: true},
		{name: "Redis hanging", take: w.redis.Pause, give: w.redis.Resume, lowers: true},
		{name: "model directory emptied", take: w.hideModels, give: w.returnModels},
		{name: "control store unreachable", take: func() { w.sql.turn(true) }, give: func() { w.sql.turn(false) }, lowers: true},
		{
			name: everythingAway, lowers: true, writeFails: true,
			take: func() { w.stopKafka(); w.redis.Kill(); w.hideModels(); w.sql.turn(true) },
			give: func() { w.returnKafka(); w.sql.turn(false); w.returnModels(); w.returnRedis() },
		},
	}
}

// TestFaultsUnderLoad takes all neighbours away at once while lists are asked for, for a moment.
func TestFaultsUnderLoad(t *testing.T) {
	faultsUnderLoad(t, 200*time.Millisecond, func(tr trouble) bool { return tr.name == everythingAway })
}

// TestLongFaultsUnderLoad takes each away in turn, and then all, long enough that every loop of serving meets them several times, and timeouts pass.
func TestLongFaultsUnderLoad(t *testing.T) {
	kafkatest.Long(t)
	faultsUnderLoad(t, 12*time.Second, func(trouble) bool { return true })
}

func faultsUnderLoad(t *testing.T, lasting time.Duration, wanted func(trouble) bool) {
	w := newWard(t)
	version := w.live()
	w.open()
	kafkatest.Run(t, w.serving.Run)
	waitFor(t, "serving to be ready, with trends", func() bool {
		return w.serving.Ready() == nil && len(w.serving.trends.of(testSite).popular) > 0
	})
	a := &asked{degraded: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	wait := w.load(ctx, a, 20*time.Millisecond)
	defer func() { stop(); wait() }()
	w.heals(version)
	told := func(phase, next string) map[string]int {
		p50, p99, slowest, n, degraded := a.next(next)
		t.Logf("%-26s %6d answers, p50 %8s, p99 %8s, slowest %8s, degraded %v", phase, n, p50.Round(time.Microsecond), p99.Round(time.Microsecond),
			slowest.Round(time.Microsecond), degraded)
		return degraded
	}
	a.next("undisturbed")
	<-time.After(lasting)
	undisturbed := told("undisturbed", "")
	if len(undisturbed) != 1 || undisturbed["none"] == 0 {
		t.Errorf("undisturbed answers are degraded: %v", undisturbed)
	}
	for _, trouble := range w.troubles() {
		if !wanted(trouble) {
			continue
		}
		a.next(trouble.name)
		trouble.take()
		if trouble.lowers {
			waitFor(t, "a list that says that it is not personal", func() bool { return w.ask(`{"placement":"home","anonymous_id":"x"}`).Degraded != "none" })
		}
		if trouble.writeFails {
			w.wantUnavailable()
		}
		<-time.After(lasting)
		degraded := told(trouble.name, trouble.name+" healing")
		if lowered := len(degraded) > 1; lowered != trouble.lowers {
			t.Errorf("%s: degraded %v", trouble.name, slices.Sorted(maps.Keys(degraded)))
		}
		trouble.give()
		w.heals(version)
	}
	stop()
	wait()
	for i, failure := range a.failures {
		if i == 10 {
			t.Fatalf("and %d more", len(a.failures)-i)
		}
		t.Error(failure)
	}
}
