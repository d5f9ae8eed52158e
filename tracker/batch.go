package tracker

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/agent"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// visit is what a request says about all its events.
type visit struct {
	site       string
	receivedAt time.Time
	agent      agent.Agent
	network    string
	by         uint8 // saidByPage or saidByServer
}

// visit looks at a request. A secret key speaks for a server: its address and user agent are not the visitor's.
func (t *Tracker) visit(r *http.Request, key control.Key) visit {
	v := visit{site: key.Site, receivedAt: t.deps.Now().UTC(), by: saidByServer}
	if key.Kind != control.KeySecret {
		v.agent = t.agents.Parse(r.UserAgent())
		v.network = t.network(r)
		v.by = saidByPage
	}
	return v
}

// batch is a request's events, decided: what goes to Kafka and what was refused.
type batch struct {
	site         string
	records      []kafka.Record
	ids          []string // of records
	seen         []sighting
	orders       []uint64 // hashes of those that were purchased
	by           uint8    // who says so
	visitor      string   // the anonymous_id of the last record
	pageView     bool     // a page was shown
	receipt      receipt
	rejected     []verdict
	dropped      int // by the visitor's consent
	erased       int // because their person was erased after they happened
	propsDropped int
}

// recordHeaders is on every record; records share it, because nobody writes to it.
func recordHeaders() []kafka.Header {
	return []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.Schema)}}
}

// erased is who was erased. The collector keeps them out of the log as well as it can; the stream does so for certain.
func (t *Tracker) erased(ctx context.Context) *erasure.Ledger {
	if t.deps.Ledgers == nil {
		return nil
	}
	ledger, err := t.deps.Ledgers.Erased(ctx)
	if err != nil && t.outages.allow(t.deps.Now()) {
		t.deps.Log.WarnContext(ctx, "the ledger of erased people cannot be read; the stream leaves their events out", "error", err)
	}
	return ledger
}

// admit decides every event of a request alone.
func (t *Tracker) admit(req event.Request, v visit, erased *erasure.Ledger) batch {
	b := batch{
		site: v.site, by: v.by, records: make([]kafka.Record, 0, len(req.Raw)), ids: make([]string, 0, len(req.Raw)),
		rejected: []verdict{},
	}
	headers := recordHeaders()
	in := event.AdmitInput{Site: v.site, SentAt: req.SentAt, ReceivedAt: v.receivedAt}
	for i, raw := range req.Raw {
		e, p := event.Decode(raw)
		if p == nil && !e.Measured() {
			b.dropped++
			continue
		}
		if p == nil {
			v.describe(e)
			p = e.Admit(in)
		}
		if p != nil {
			b.rejected = append(b.rejected, verdict{Index: i, Problem: *p})
			continue
		}
		b.receipt.add(e)
		if erased.Stops(erasure.EventRow(e)) {
			b.erased++
			continue
		}
		value, err := event.Marshal(e)
		if err != nil {
			b.rejected = append(b.rejected, verdict{Index: i, Problem: event.Problem{Code: codeUnencodable, Detail: err.Error()}})
			continue
		}
		b.propsDropped += e.PropsDropped
		b.visitor = e.AnonymousID
		b.account(e)
		b.pageView = b.pageView || e.Type == event.PageView
		b.ids = append(b.ids, e.EventID)
		b.records = append(b.records, kafka.Record{
			Topic: event.TopicEvents, Partition: -1, Time: e.ReceivedAt, Key: []byte(e.Key()), Value: value, Headers: headers,
		})
	}
	return b
}

// codeUnencodable is the verdict on an event that passed every check and still has no JSON; it would be a fault of ours,
// and must not cost the event's neighbours.
const codeUnencodable = "unencodable"

// describe adds what the collector knows. It comes before Admit, which removes some of it where the visitor refused
// personalization.
func (v visit) describe(e *event.Event) {
	e.UserAgentFamily, e.Device, e.IsBot = v.agent.Family, v.agent.Device, v.agent.Bot
	e.NetworkPrefix = v.network
}
