package serving

import (
	"context"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/apifuzz"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
	"github.com/millrace/millrace/internal/seal"
)

// nothingHeld is an exporter of somebody of whom the lake has nothing: what is read from it is tested where the lake is.
type nothingHeld struct{}

func (nothingHeld) Export(_ context.Context, _ erasure.Who, to io.Writer) error {
	_, err := to.Write([]byte("{}\n"))
	return err
}

// fuzzed is serving over a shop, behind the chain of the real listener.
func fuzzed(t *testing.T) (*house, apifuzz.Target) {
	h := newHouse(t)
	h.deps.Exporter = nothingHeld{}
	h.run()
	key, err := erasure.ParseKey("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
	h.must(err)
	h.must(h.control.UseErasureKey(t.Context(), &key))
	sealed := seal.NewKey()
	h.control.UseSealKey(&sealed)
	spare, _ := h.key(control.NewKey{Kind: control.KeySecret})
	ended, _ := h.key(control.NewKey{Kind: control.KeySecret})
	job, err := h.control.StartJob(t.Context(), "train", testSite, "nightly")
	h.must(err)
	for _, id := range []string{"fleet", "spare"} {
		_, err := h.control.PutRule(t.Context(), control.Rule{Site: testSite, ID: id, Enabled: true, Filter: `item.price < 1000.0`}, "")
		h.must(err)
	}
	for _, name := range []string{"goods", "spare"} {
		h.must(h.control.PutFeed(t.Context(), control.Feed{Site: testSite, Name: name, Settings: []byte(`{"place":"goods.csv","every_minutes":525600}`)}))
	}
	for id, placement := range map[string]string{"draft": "home", "ready": "item", "running": "cart", "spare": "home"} {
		arms := []control.Arm{{Name: "control", Weight: 1}, {Name: "short", Weight: 1, Limit: 2}}
		_, err := h.control.PutExperiment(t.Context(), control.Experiment{Site: testSite, ID: id, Placement: placement, Arms: arms}, "")
		h.must(err)
	}
	_, err = h.control.StartExperiment(t.Context(), testSite, "running", "")
	h.must(err)
	erased, err := h.control.RequestErasure(t.Context(), erasure.Who{Site: testSite, User: "gone"})
	h.must(err)
	h.put(`{"item_id":"tent","title":"Tent","categories":["Camping"],"price":199,"brand":"Hut","fields":{"persons":2}}`,
		`{"item_id":"mat","title":"Mat","categories":["Camping"],"price":49}`, `{"item_id":"stove","title":"Stove","price":79,"available":false}`,
		`{"item_id":"shoe-1","title":"Trail shoe","categories":["Shoes"],"item_group_id":"shoe","labels":["sale"]}`)
	h.happen(parseEvent(t, "10m a=fan u=ada type=view_item items=tent category=Camping"))
	h.happen(parseEvent(t, "5m a=fan type=purchase items=mat"))
	sessions := [][]string{{"tent", "mat"}, {"tent", "mat", "stove"}, {"mat", "shoe-1"}}
	first := h.train(sessions)
	h.train(sessions) // so that there is one to go back to
	h.serving.models.poll(t.Context(), testSite)
	kafkatest.Run(t, func(ctx context.Context) error {
		h.serving.models.run(ctx, h.serving.sites, func() {})
		return nil
	})
	h.refresh()
	router := chi.NewRouter()
	router.Use(httpserver.RequestID)
	router.NotFound(httpserver.NotFound)
	router.MethodNotAllowed(httpserver.MethodNotAllowed)
	a := api.New(router, h.deps.Log)
	h.serving.Routes(a)
	a.Mount()
	return h, apifuzz.Target{
		Handler: router, Slow: time.Second, Seed: 1,
		Secret: func() string {
			_, secret, err := h.control.CreateKey(context.WithoutCancel(t.Context()), control.NewKey{Site: testSite, Kind: control.KeySecret})
			h.must(err)
			return secret
		},
		Known: map[string][]string{
			"item_id": {"tent", "mat", "stove", "shoe-1"}, "placement": {"home", "item", "cart", "session", "popular", "trending", "recent", "again"},
			"user_id": {"ada"}, "anonymous_id": {"fan"}, "id": {"ada", "anonymous:fan", "tent"}, "filter": {`item.price < 100.0`, `"Shoes" in item.categories`}, "expr": {`item.price < 50.0 ? 1.2 : 1.0`},
			"boost": {`item.price < 50.0 ? 1.2 : 1.0`}, "field": {"title", "price", "persons"},
			"rotateKey.id": {spare.ID}, "revokeKey.id": {ended.ID}, "getJob.id": {job.ID}, "getErasure.id": {erased.ID},
			"getRule.id": {"fleet"}, "putRule.id": {"fleet"}, "deleteRule.id": {"spare"}, "name": {"home", "popular"}, "version": {first.Version},
			"getExperiment.id": {"running"}, "putExperiment.id": {"draft"}, "startExperiment.id": {"ready"}, "stopExperiment.id": {"running"}, "deleteExperiment.id": {"spare"},
			"getFeed.name": {"goods"}, "runFeed.name": {"goods"}, "deleteFeed.name": {"spare"},
			"putUser.id": {"ada"}, "getUser.id": {"ada"}, "getItem.id": {"tent"}, "getItemHistory.id": {"tent"}, "patchItem.id": {"tent"}, "deleteItem.id": {"mat"},
			"getUserFeatures.id": {"ada", "anonymous:fan"}, "eraseUser.id": {"bob", "anonymous:gone"},
		},
		Lenient: []string{"bulkWriteItems"},
	}
}

// TestFuzzAPI asks every endpoint for some seconds; TestLongFuzzAPI for ten minutes.
func TestFuzzAPI(t *testing.T) {
	_, target := fuzzed(t)
	target.For, target.Slow = 5*time.Second, 5*time.Second // under the race detector, beside other packages
	t.Log(apifuzz.Run(t, target))
}

func TestLongFuzzAPI(t *testing.T) {
	if os.Getenv("MILLRACE_TEST_LONG") == "" {
		t.Skip("set MILLRACE_TEST_LONG=1 to ask every endpoint for ten minutes, or for MILLRACE_FUZZ_FOR")
	}
	_, target := fuzzed(t)
	target.For, target.Workers, target.Seed = 10*time.Minute, runtime.GOMAXPROCS(0), uint64(time.Now().UnixNano())
	if text := os.Getenv("MILLRACE_FUZZ_FOR"); text != "" {
		var err error
		if target.For, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", target.Seed)
	t.Log(apifuzz.Run(t, target))
}
