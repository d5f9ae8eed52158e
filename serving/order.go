package serving

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/model/content"
)

// MaxRankIDs bounds a list that the caller wants in another order: a page of search results, or a whole small category.
const MaxRankIDs = 1_000

// What an item of the caller's list is.
const (
	StatusRanked      = "ranked"
	StatusUnavailable = "unavailable" // not available, expired or deleted: behind all that may be shown
	StatusUnknown     = "unknown"     // neither catalogue nor events know it: at the end
)

// weights of what speaks for an item of the caller's list, beside the blend and transitions of a home page.
const (
	orderByCategory   = 0.7
	orderByContent    = 0.35
	orderByTrend      = 0.1
	orderByPopularity = 0.1
)

// RankRequest asks for the caller's own list in the order that suits a visitor.
type RankRequest struct {
	Placement   string   `json:"placement,omitempty" doc:"The placement whose settings hold and under which the list is logged; without it home." example:"home"`
	ItemIDs     []string `json:"item_ids" minItems:"1" maxItems:"1000" doc:"The items. One that is named twice stands where it suits, once."`
	UserID      string   `json:"user_id,omitempty" maxLength:"128" doc:"The shop's id of the visitor."`
	UserToken   string   `json:"user_token,omitempty" maxLength:"512" doc:"What lets a page ask for a named user: a token that the shop's server signed (docs/access.md)."`
	AnonymousID string   `json:"anonymous_id,omitempty" maxLength:"128" doc:"The browser, as the beacon calls it." example:"b-7f3a"`
	SessionID   string   `json:"session_id,omitempty" maxLength:"128" doc:"The visit."`
	SessionIDs  []string `json:"session_item_ids,omitempty" maxItems:"100" doc:"The items of the session in order, where no profile is given."`
	Boost       []Boost  `json:"boost,omitempty" maxItems:"16" doc:"Which items rise or fall."`
	Context     Context  `json:"context,omitempty" doc:"What the shop knows of the moment."`
	AfterEvent  string   `json:"after_event,omitempty" maxLength:"128" doc:"An event_id: wait up to 250 ms until it is applied, else answer stale."`
	// DropUnavailable leaves out what may not be shown; otherwise it is marked.
	DropUnavailable bool `json:"drop_unavailable,omitempty" doc:"Leave out what may not be shown, rather than mark it."`
	DryRun          bool `json:"dry_run,omitempty" doc:"Record no exposure."`
}

// RankAnswer is the caller's list in its new order.
type RankAnswer struct {
	RecID        string       `json:"rec_id" doc:"The list's id; events that answer it carry it in rec.rec_id."`
	Placement    string       `json:"placement" doc:"As asked." example:"home"`
	Variant      string       `json:"variant" doc:"EXPERIMENT:ARM where an experiment runs on the placement, else default." example:"default"`
	ModelVersion string       `json:"model_version" doc:"The version that answered; empty while there is none."`
	Stale        bool         `json:"stale" doc:"Whether after_event was not applied in time."`
	Items        []RankedItem `json:"items" doc:"All items of the request, best first."`
	Token        string       `json:"token" doc:"Goes back with the events that answer this list, in rec.token."`
}

// RankedItem is one item of the caller's list.
type RankedItem struct {
	ItemID   string   `json:"item_id" doc:"The item." example:"shoe-1"`
	Position int      `json:"position" doc:"Counts from 0."`
	Score    float64  `json:"score" doc:"Falls along the items that are ranked; 0 where nothing is known that speaks for one."`
	Status   string   `json:"status" enum:"ranked,unavailable,unknown" doc:"ranked, or why it stands behind those that are."`
	Reasons  []string `json:"reasons" doc:"Why, in words, the strongest first."`
}

// handleRank answers POST /v1/rank.
func (s *Serving) handleRank(w http.ResponseWriter, r *http.Request) {
	from, ok := s.reader(w, r)
	if !ok {
		return
	}
	ask := &RankRequest{}
	p := longList{"item_ids", &ask.ItemIDs}.read(w, r, ask)
	var q *Request
	var placement control.Placement
	if p == nil {
		q, p = ask.request()
	}
	if p == nil {
		placement, p = s.permit(r, from, q)
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	s.send(w, r, s.order(r.Context(), from.key.Site, placement, q, ask))
}

// request is the question as the stages take it.
func (a *RankRequest) request() (*Request, *httpserver.Problem) {
	q := &Request{
		Placement: a.Placement, UserID: a.UserID, UserToken: a.UserToken, AnonymousID: a.AnonymousID, SessionID: a.SessionID, ItemIDs: a.SessionIDs, Boost: a.Boost,
		Context: a.Context, AfterEvent: a.AfterEvent, DryRun: a.DryRun,
	}
	if q.Placement == "" {
		q.Placement = control.KindHome
	}
	if len(a.ItemIDs) == 0 {
		p := invalid("/item_ids", "item_ids is empty, so there is nothing to rank")
		p.Hint = "send the ids of the items, at most 1000"
		return nil, p
	}
	if p := checkIDs("/item_ids", a.ItemIDs, MaxRankIDs); p != nil {
		return nil, p
	}
	if p := checkIDs("/session_item_ids", a.SessionIDs, MaxItemIDs); p != nil {
		return nil, p
	}
	return q, q.check()
}

// order ranks the caller's items by everything that speaks for them, wherever it comes from. Nothing is lost: behind what may be shown
// stands what may not, then what nobody knows, each in the order given.
func (s *Serving) order(ctx context.Context, site string, placement control.Placement, request *Request, ask *RankRequest) *RankAnswer {
	mem := s.scratches.get()
	defer s.scratches.put(mem)
	start := time.Now()
	s.meet(ctx, mem, site, request)
	q := s.prepare(ctx, mem, site, placement, request)
	s.metrics.stage(placement.Name, stageVisitor, time.Since(start))
	began := time.Now()
	given := q.sort(ask.ItemIDs)
	q.limit = len(given.known)
	q.askOf(given.known)
	s.metrics.stage(placement.Name, stageCandidates, time.Since(began))
	began = time.Now()
	ranked, selected := &mem.ranking, &mem.selection
	selected.query = q
	ranked.join(mem.sources, &mem.demoted)
	if q.boosted {
		q.boost(ranked)
	}
	for c := ranked.next(); c != nil; c = ranked.next() {
		c.told = true
		selected.shown = append(selected.shown, shownItem{candidate: c, row: given.rows[c.id]})
	}
	ranked.attribute(mem.sources)
	selected.pinGiven()
	s.metrics.stage(placement.Name, stageRank, time.Since(began))
	return s.ordered(ctx, q, given, ask, start)
}

// ordered makes the answer, and records its head.
func (s *Serving) ordered(ctx context.Context, q *query, given *givenItems, ask *RankRequest, start time.Time) *RankAnswer {
	selected := &q.mem.selection
	recID := event.NewID(q.now)
	a := &RankAnswer{
		RecID: recID, Placement: q.placement.Name, Variant: q.variant, Stale: q.visitor.stale, Token: token(recID),
		Items: make([]RankedItem, 0, len(ask.ItemIDs)),
	}
	if q.model != nil {
		a.ModelVersion = q.model.Manifest.Version
	}
	add := func(id, status string, score float64, reasons []string) {
		a.Items = append(a.Items, RankedItem{ItemID: id, Position: len(a.Items), Score: score, Status: status, Reasons: reasons})
	}
	for _, item := range selected.shown {
		score := item.score
		if score <= givenWeight {
			score = 0
		}
		add(item.id, StatusRanked, score, q.reasons(item.candidate))
	}
	if !ask.DropUnavailable {
		for _, id := range given.unavailable {
			add(id, StatusUnavailable, 0, []string{})
		}
	}
	for _, id := range given.unknown {
		add(id, StatusUnknown, 0, []string{})
	}
	took := time.Since(start)
	if !q.request.DryRun && len(selected.shown) > 0 {
		selected.shown = selected.shown[:min(len(selected.shown), maxConsidered)]
		s.record(ctx, selected, selected.respond(recID, a.Stale), took)
	}
	s.metrics.stage(q.placement.Name, stageTotal, took)
	return a
}

// givenItems are the caller's items, each once, in the order given.
type givenItems struct {
	known, unavailable, unknown []string
	rows                        map[string]*Row // of the known ones
}

// sort tells apart what may be shown, what may not and what nobody knows.
func (q *query) sort(ids []string) *givenItems {
	given := &givenItems{rows: make(map[string]*Row, len(ids))}
	rows := q.catalogue.lookup(make([]*Row, 0, len(ids)), q.site, ids)
	for i, id := range ids {
		if _, added := q.mem.groups.put(id); !added { // no list of the caller is without two of a group, so the table is free
			continue
		}
		row := rows[i]
		switch {
		case row != nil && row.eligible(q.now):
			given.rows[id] = row
			given.known = append(given.known, id)
		case row != nil:
			given.unavailable = append(given.unavailable, id)
		case q.isKnown(id):
			given.known = append(given.known, id)
		default:
			given.unknown = append(given.unknown, id)
		}
	}
	return given
}

// isKnown reports whether events or the version in force know an item that the catalogue has no row of.
func (q *query) isKnown(id string) bool {
	if q.trends.items[id] != nil {
		return true
	}
	if q.model == nil {
		return false
	}
	_, ok := q.model.Vocabulary.Index(id)
	return ok
}

// askOf asks what speaks for some items: the families among these alone, and of each its categories, what it is like, and how much
// everybody wants it.
func (q *query) askOf(ids []string) {
	q.mem.sources = q.mem.sources[:0]
	if q.model != nil {
		mask := &q.mem.mask
		mask.Reset(q.model.Vocabulary.Len(), false)
		for _, id := range ids {
			if item, ok := q.model.Vocabulary.Index(id); ok {
				mask.Allow(item)
			}
		}
		q.mem.maskMade = true
	}
	q.askPersonal(0.4)
	q.propose(q.fromTransitions(0.3))
	q.propose(q.ofCategories(ids))
	q.propose(q.ofContent(ids))
	q.propose(q.ofTrends(ids))
	q.propose(q.ofPopularity(ids))
	q.propose(q.asGiven(ids))
}

// scoredBy is a source of what a function says of items, in their order.
func (q *query) scoredBy(family string, weight float64, ids []string, score func(id string) (float64, string)) source {
	s := source{family: family, weight: weight, items: q.mem.proposals.take(len(ids))}
	for _, id := range ids {
		if v, origin := score(id); v > 0 {
			s.items = append(s.items, proposal{id: id, score: v, origin: origin})
			s.scale = max(s.scale, v)
		}
	}
	return s
}

func (q *query) ofCategories(ids []string) source {
	liked := q.affinities()
	return q.scoredBy(sourceCategory, orderByCategory, ids, func(id string) (share float64, category string) {
		for _, own := range categoriesOf(q.catalogue.row(q.site, id), q.trends.items[id]) {
			for _, a := range liked {
				if a.category == own && a.share > share {
					share, category = a.share, own
				}
			}
		}
		return share, category
	})
}

func (q *query) ofContent(ids []string) source {
	s := source{family: content.Name, weight: orderByContent, scale: 1, items: q.mem.proposals.take(len(ids))}
	q.mem.similar = q.similar.Compare(q.mem.similar[:0], content.Query{Items: q.items, Set: q.set, Now: q.now}, ids)
	for _, like := range q.mem.similar {
		if like.Score > 0 {
			s.items = append(s.items, proposal{id: like.ID, score: float64(like.Score), origin: like.Because})
		}
	}
	return s
}

func (q *query) ofTrends(ids []string) source {
	return q.scoredBy(sourceTrending, orderByTrend, ids, func(id string) (float64, string) {
		if it := q.trends.items[id]; it != nil && it.trend > 1 {
			return it.trend, ""
		}
		return 0, ""
	})
}

func (q *query) ofPopularity(ids []string) source {
	return q.scoredBy(sourcePopularity, orderByPopularity, ids, func(id string) (float64, string) {
		if it := q.trends.items[id]; it != nil {
			return it.interest, ""
		}
		return 0, ""
	})
}

// asGiven keeps the caller's order among items of which nothing else speaks.
func (q *query) asGiven(ids []string) source {
	s := source{family: sourceGiven, weight: givenWeight, scale: 1, items: q.mem.proposals.take(len(ids))}
	for i, id := range ids {
		s.items = append(s.items, proposal{id: id, score: 1 - float64(i)/float64(len(ids))})
	}
	return s
}

const (
	sourceGiven = "given" // the caller's order
	givenWeight = 1e-6    // less than anything that is known of an item
)
