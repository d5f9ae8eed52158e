package tracker

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// worstPages is how many pages an answer lists.
const worstPages = 50

// account notes what an event says of the completeness of tracking. Crawlers number nothing that anybody misses.
func (b *batch) account(e *event.Event) {
	if e.IsBot {
		return
	}
	if e.Seq != nil && e.TabID != "" {
		s := sighting{tab: tabHash(b.site, e.TabID), seq: *e.Seq, family: e.UserAgentFamily}
		if e.Page != nil {
			s.page = pageName(e.Page.URL)
		}
		b.seen = append(b.seen, s)
	}
	if e.Type == event.Purchase && e.TransactionID != "" {
		b.orders = append(b.orders, tabHash(b.site, e.TransactionID))
	}
}

// account counts a stored batch.
func (t *Tracker) account(b batch) {
	now := t.deps.Now()
	t.losses.see(b.site, b.seen, now)
	t.orders.see(b.site, b.orders, b.by, now)
}

// trackingEndpoint answers GET /v1/tracking.
func (t *Tracker) trackingEndpoint(a *api.API) {
	type siteKey struct{}
	api.Register(a, api.Endpoint{
		ID: "getTracking", Method: http.MethodGet, Path: "/v1/tracking", Tag: api.TagEvents, Summary: "Completeness of tracking",
		Access: api.SecretKey, Scope: string(control.ScopeAdmin),
		Description: "What was lost on the way: beacons number the events of a tab, so a number that is passed over is an event that did not arrive, and one that comes again a " +
			"replay. Orders are compared with those that the shop's server sends. All of it as this collector has seen it since it started; several collectors " +
			"behind one address must each get whole tabs.",
		Guard: func(w http.ResponseWriter, r *http.Request) (context.Context, *httpserver.Problem) {
			key, p := t.identify(w, r)
			if p == nil && (key.Kind != control.KeySecret || !key.Allows(control.ScopeAdmin)) {
				p = &httpserver.Problem{
					Type: problemScope, Title: "Scope needed", Status: http.StatusForbidden, Detail: "this needs a secret key with the scope admin",
					Hint: "make one with `millrace keys create --secret --scope admin`",
				}
			}
			return context.WithValue(r.Context(), siteKey{}, key.Site), p
		},
	}, func(ctx context.Context, _ *struct{}) (*trackingOutput, *httpserver.Problem) {
		site, _ := ctx.Value(siteKey{}).(string)
		return &trackingOutput{Body: t.tracking(site)}, nil
	})
}

type trackingOutput struct {
	Body tracking
}

// tracking is how complete the events of a site are.
type tracking struct {
	Since  time.Time    `json:"since" doc:"When this collector began to count."`
	Tabs   int          `json:"tabs" doc:"Tabs of all sites that are followed now." example:"340"`
	Total  Tally        `json:"total" doc:"All numbered events."`
	Family []namedTally `json:"families" doc:"By browser family, those with most loss first."`
	Pages  []namedTally `json:"pages" doc:"By page, those with most loss first; a gap belongs to the page before it."`
	Orders orderCounts  `json:"orders" doc:"Purchases of pages beside those of the shop's server, by transaction_id."`
}

func (t *Tracker) tracking(site string) tracking {
	now := t.deps.Now()
	out := tracking{Since: t.since.UTC()}
	t.losses.mu.Lock()
	t.losses.turn(now)
	s := t.losses.site(site)
	out.Tabs = len(t.losses.now) + len(t.losses.old)
	out.Total, out.Family, out.Pages = s.total, worst(s.families, maxFamilies+1), worst(s.pages, worstPages)
	t.losses.mu.Unlock()
	t.orders.mu.Lock()
	defer t.orders.mu.Unlock()
	t.orders.turn(now)
	out.Orders = *t.orders.site(site)
	return out
}
