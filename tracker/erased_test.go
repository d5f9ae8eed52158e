package tracker

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/kafka"
)

type ledgerOf struct {
	ledger *erasure.Ledger
	err    error
}

func (l ledgerOf) Erased(context.Context) (*erasure.Ledger, error) { return l.ledger, l.err }

// taken counts what is produced.
type taken struct{ records int }

func (k *taken) Produce(_ context.Context, records []kafka.Record) error {
	k.records += len(records)
	return nil
}

// Late events of an erased person are taken and kept by nobody; without the ledger the stream has to leave them out.
func TestErasedAreDropped(t *testing.T) {
	site, err := fixedKey{}.Authenticate(t.Context(), "pk_x")
	if err != nil {
		t.Fatal(err)
	}
	key := erasure.NewKey()
	ledger := erasure.NewLedger(key, 1, []erasure.Entry{
		{Site: site.Site, Kind: erasure.KindUser, Hash: key.Hash(erasure.KindUser, site.Site, "anna"), Until: time.Now().Add(-time.Hour), Erasure: "e"},
		{Site: site.Site, Kind: erasure.KindLinked, Hash: key.Hash(erasure.KindLinked, site.Site, "phone"), Until: time.Now().Add(-time.Hour), Erasure: "e"},
	})
	late, now := time.Now().Add(-2*time.Hour).Format(time.RFC3339), time.Now().Format(time.RFC3339)
	body := `[{"type":"page_view","user_id":"anna","anonymous_id":"phone","occurred_at":"` + late + `"},
		{"type":"page_view","anonymous_id":"phone","occurred_at":"` + late + `"},
		{"type":"page_view","user_id":"anna","anonymous_id":"tablet","occurred_at":"` + late + `"},
		{"type":"page_view","user_id":"anna","occurred_at":"` + now + `"}]`
	for name, c := range map[string]struct {
		ledgers        Ledgers
		dropped, taken int
	}{
		"erased":      {ledgerOf{ledger: ledger}, 2, 2},
		"nobody":      {ledgerOf{}, 0, 4},
		"no ledger":   {nil, 0, 4},
		"ledger away": {ledgerOf{err: errors.New("database is locked")}, 0, 4},
	} {
		out := &taken{}
		tr, err := New(Config{}, Deps{Keys: fixedKey{}, Ledgers: c.ledgers, Producer: out, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		router := chi.NewRouter()
		tr.Routes(api.New(router, slog.New(slog.DiscardHandler)))
		server := httptest.NewServer(router)
		got := (&door{url: server.URL}).send(t, "pk_x", []byte(body)).answer(t)
		server.Close()
		if got.Dropped != c.dropped || got.Accepted != c.taken || out.records != c.taken {
			t.Errorf("%s: answered %+v, %d records", name, got, out.records)
		}
	}
}
