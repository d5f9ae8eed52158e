package serving

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownPlacement is the type of a request for a placement that the site does not have.
const ProblemUnknownPlacement = "unknown-placement"

// handleRecommend answers POST and GET /v1/recommend: authorise, read the request, recommend, record the exposure.
func (s *Serving) handleRecommend(w http.ResponseWriter, r *http.Request) {
	from, ok := s.reader(w, r)
	if !ok {
		return
	}
	q, p := readRequest(w, r)
	var placement control.Placement
	if p == nil {
		placement, p = s.permit(r, from, q)
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	s.send(w, r, s.recommend(r.Context(), from.key.Site, placement, q))
}

// reader is who asks for lists: a server, or a page of an origin.
type reader struct {
	key    control.Key
	origin string
}

// reader finds out who asks, and lets a page read the answer. Where ok is false the request is answered.
func (s *Serving) reader(w http.ResponseWriter, r *http.Request) (from reader, ok bool) {
	key, p := s.authenticate(w, r)
	if p != nil {
		allowOrigin(w, r) // the page's developer may read that the key is wrong
		writeProblem(w, r, p)
		return reader{}, false
	}
	from = reader{key, requestOrigin(r)}
	if key.Kind == control.KeySecret || key.AllowsReads(from.origin) {
		allowOrigin(w, r)
	}
	return from, true
}

// permit finds the placement of a request that was read, and decides whether this reader may ask it this.
func (s *Serving) permit(r *http.Request, from reader, q *Request) (control.Placement, *httpserver.Problem) {
	if p := q.compile(s.filters); p != nil {
		return control.Placement{}, p
	}
	placement, p := s.placement(r.Context(), from.key.Site, q.Placement)
	if p == nil {
		p = s.checkReader(r, from.key, placement, from.origin, q)
	}
	if p == nil {
		p = checkNeeds(placement, q)
	}
	if p == nil && q.More != "" {
		p = s.continueFrom(r.Context(), from, q)
	}
	return placement, p
}

// send writes an answer.
func (s *Serving) send(w http.ResponseWriter, r *http.Request, answer any) {
	w.Header().Set("Cache-Control", "no-store")
	if err := httpserver.WriteJSON(w, r, http.StatusOK, answer); err != nil {
		s.log.ErrorContext(r.Context(), "answer not written", "error", err, "request_id", r.Header.Get(httpserver.HeaderRequestID))
	}
}

func readRequest(w http.ResponseWriter, r *http.Request) (*Request, *httpserver.Problem) {
	var q *Request
	if r.Method == http.MethodGet {
		var p *httpserver.Problem
		if q, p = requestFromQuery(r.URL.Query()); p != nil {
			return nil, p
		}
	} else {
		q = &Request{}
		if p := (longList{"exclude_ids", &q.ExcludeIDs}).read(w, r, q); p != nil {
			return nil, p
		}
	}
	return q, q.check()
}

// placement finds a placement by name; an unknown one is a problem that lists the known.
func (s *Serving) placement(ctx context.Context, site, name string) (control.Placement, *httpserver.Problem) {
	placement, err := s.control.Placement(ctx, site, name)
	var unknown *control.UnknownPlacementError
	switch {
	case errors.As(err, &unknown):
		return placement, &httpserver.Problem{
			Type: ProblemUnknownPlacement, Title: "Unknown placement", Status: http.StatusNotFound, Pointer: "/placement",
			Detail: unknown.Error(), Hint: "use one of " + strings.Join(unknown.Known, ", "),
		}
	case err != nil:
		return placement, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "Placements cannot be read", Status: http.StatusServiceUnavailable,
			Detail: "the control store does not answer", Hint: "try again",
		}
	}
	return placement, nil
}

// checkNeeds refuses a request that lacks what its placement follows from.
func checkNeeds(placement control.Placement, q *Request) *httpserver.Problem {
	if (placement.Kind == control.KindItem || placement.Kind == control.KindCart) && len(q.ItemIDs) == 0 {
		p := invalid("/item_ids", "placement %s needs item_ids", placement.Name)
		p.Hint = "item takes the id of the product shown, cart those in the cart"
		return p
	}
	return nil
}

// recommend answers a checked request. It always answers: whatever part of the house is away, the ladder has a rung.
func (s *Serving) recommend(ctx context.Context, site string, placement control.Placement, request *Request) *Answer {
	mem := s.scratches.get()
	defer s.scratches.put(mem)
	start := time.Now()
	s.meet(ctx, mem, site, request)
	return s.list(ctx, mem, start, site, placement, request)
}

// list answers a request of a visitor whom mem has met.
func (s *Serving) list(ctx context.Context, mem *scratch, start time.Time, site string, placement control.Placement, request *Request) *Answer {
	q := s.prepare(ctx, mem, site, placement, request)
	s.metrics.stage(placement.Name, stageVisitor, time.Since(start))

	q.recallShown(s.rotation)
	recID := event.NewID(q.now)
	if request.Explain || !request.DryRun && sampled(recID, q.settings.fullShare(s.fullShare)) {
		mem.trace.begin(q)
	}
	mem.trace.took(stageVisitor, time.Since(start), 0)
	selected := q.choose(s.metrics, q.stages())
	selected.explore(recID)
	selected.tellLeftOut()

	answer := selected.respond(recID, mem.visitor.stale)
	if request.Explain {
		answer.Explain = selected.explain()
	}
	took := time.Since(start)
	if !request.DryRun {
		selected.shows()
		s.record(ctx, selected, answer, took)
	}
	s.metrics.answered(placement.Name, answer, took)
	return answer
}

// choose makes the list: it asks one stage after the other until the list is full.
func (q *query) choose(m *metrics, stages []stage) *selection {
	selected := &q.mem.selection
	selected.begin(q)
	for place, stage := range stages {
		if selected.full() || stage.lastResort && len(selected.shown) > 0 {
			continue
		}
		q.fill(m, place, stage, selected)
	}
	selected.relax()
	selected.placePins()
	return selected
}

// fill takes the list one stage further.
func (q *query) fill(m *metrics, place int, stage stage, selected *selection) {
	observe := func(name string, took time.Duration, items int) {
		m.stage(q.placement.Name, name, took)
		q.mem.trace.took(name, took, items)
	}
	began := time.Now()
	q.mem.sources = q.mem.sources[:0]
	stage.ask(q)
	proposed := time.Now()
	q.mem.trace.asked(place, stage, q.mem.sources)
	ranked := &q.mem.ranking
	ranked.join(q.mem.sources, &q.mem.demoted)
	if q.boosted {
		q.mem.trace.sawAll(q, ranked)
		q.boost(ranked)
	}
	q.rotate(ranked)
	joined := time.Now()
	selected.add(ranked)
	ranked.attribute(q.mem.sources)
	observe(stageCandidates, proposed.Sub(began), len(q.mem.sources))
	observe(stageRank, joined.Sub(proposed), len(ranked.all)-ranked.first)
	observe(stageRerank, time.Since(joined), len(selected.shown))
}

// meet reads who asks, as of now or after their event. It is done once for a page.
func (s *Serving) meet(ctx context.Context, mem *scratch, site string, request *Request) {
	v, who := &mem.visitor, identity{anonymous: request.AnonymousID, user: request.UserID}
	stale, err := s.visitors.loadAfter(ctx, v, site, who, request.AfterEvent)
	if err != nil {
		if ctx.Err() == nil { // the error of a visitor who has gone says nothing of the store
			s.lostProfiles.warn(ctx, s.log, "profiles are not readable; lists come from the request and the ladder", err)
		}
		v.reset()
		stale, v.lost = request.AfterEvent != "", true
	}
	v.stale = stale
	if !v.known && who != (identity{}) && !s.base.whole.Load() {
		v.lost = true // the store was lost, and this visitor may be among those whom it has not got back yet
	}
}

// prepare gathers what answering needs besides the visitor: the model, the trends, what the placement wants.
func (s *Serving) prepare(ctx context.Context, mem *scratch, site string, placement control.Placement, request *Request) *query {
	q := &mem.query
	variant := control.DefaultVariant
	if arm := s.experiments.arm(ctx, site, request, &mem.visitor); arm != nil {
		placement, variant = arm.Placement, arm.Variant
	}
	*q = query{
		site: site, placement: placement, variant: variant, request: request, limit: placement.Limit, now: s.now().UTC(), mem: mem,
		model: s.models.of(site), trends: s.trends.of(site), catalogue: s.catalogue, static: s.static.of(site),
		similar: s.similar.of(site), visitor: &mem.visitor, settings: s.settings.of(ctx, &placement, variant), profileLost: mem.visitor.lost,
	}
	q.decide()
	q.exploration = q.settings.exploration(placement.Kind, s.exploration)
	q.remember()
	q.follow()
	rules := s.rules.of(ctx, site)
	q.restrict(rules, s.userOf(ctx, q, rules))
	return q
}
