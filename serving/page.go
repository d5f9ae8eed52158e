package serving

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// MaxPlacements bounds the lists of a page.
const MaxPlacements = 20

// PageRequest asks for the lists of a page at once. What is said of the visitor holds for all of them.
type PageRequest struct {
	UserID      string    `json:"user_id,omitempty" maxLength:"128" doc:"The shop's id of the visitor." example:"customer-42"`
	UserToken   string    `json:"user_token,omitempty" maxLength:"512" doc:"What lets a page ask for a named user: a token that the shop's server signed (docs/access.md)."`
	AnonymousID string    `json:"anonymous_id,omitempty" maxLength:"128" doc:"The browser, as the beacon calls it." example:"b-7f3a"`
	SessionID   string    `json:"session_id,omitempty" maxLength:"128" doc:"The visit."`
	ExcludeIDs  []string  `json:"exclude_ids,omitempty" maxItems:"1000" doc:"Items that must not be shown anywhere on the page."`
	Context     Context   `json:"context,omitempty" doc:"What the shop knows of the moment, for the placements that say nothing of it themselves."`
	AfterEvent  string    `json:"after_event,omitempty" maxLength:"128" doc:"An event_id: wait up to 250 ms until it is applied, else answer stale."`
	DryRun      bool      `json:"dry_run,omitempty" doc:"Record no exposure."`
	Placements  []Request `json:"placements" minItems:"1" maxItems:"20" doc:"The lists, the most important first: an item stands in the first that would show it. Visitor, after_event and dry_run belong to the page."`
}

// PageAnswer has a list for every placement, in their order.
type PageAnswer struct {
	Lists []*Answer `json:"lists" doc:"The lists, in the order of the placements. No item stands in two of them."`
}

// AppendJSON implements httpserver.JSONAppender.
func (a *PageAnswer) AppendJSON(b []byte) (_ []byte, err error) {
	b = append(b, `{"lists":[`...)
	for i, list := range a.Lists {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = list.AppendJSON(b); err != nil {
			return nil, err
		}
	}
	return append(b, "]}"...), nil
}

// handlePage answers POST /v1/recommend:batch.
func (s *Serving) handlePage(w http.ResponseWriter, r *http.Request) {
	from, ok := s.reader(w, r)
	if !ok {
		return
	}
	page := &PageRequest{}
	p := longList{"exclude_ids", &page.ExcludeIDs}.read(w, r, page)
	if p == nil {
		p = page.share()
	}
	placements := make([]control.Placement, len(page.Placements))
	for i := range page.Placements {
		if p != nil {
			break
		}
		q := &page.Placements[i]
		if p = q.check(); p == nil {
			placements[i], p = s.permit(r, from, q)
		}
		if p != nil {
			p.Pointer = page.pointer(i, p.Pointer)
		}
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	mem := s.scratches.get()
	defer s.scratches.put(mem)
	start := time.Now()
	s.meet(r.Context(), mem, from.key.Site, &page.Placements[0])
	answer := &PageAnswer{Lists: make([]*Answer, len(placements))}
	var shown []string
	for i := range placements {
		q := &page.Placements[i]
		q.exclude(shown)
		answer.Lists[i] = s.list(r.Context(), mem, start, from.key.Site, placements[i], q)
		mem.again()
		for j := range answer.Lists[i].Items {
			shown = append(shown, answer.Lists[i].Items[j].ItemID)
		}
		start = time.Now()
	}
	s.send(w, r, answer)
}

// pointer is where the page says what is wrong with one of its placements.
func (*PageRequest) pointer(placement int, pointer string) string {
	switch pointer {
	case "/user_id", "/user_token", "/anonymous_id", "/session_id", "/after_event":
		return pointer
	}
	return "/placements/" + strconv.Itoa(placement) + pointer
}

// share gives every placement of the page what the page says, and refuses what only the page may say.
func (p *PageRequest) share() *httpserver.Problem {
	if n := len(p.Placements); n < 1 || n > MaxPlacements {
		return invalid("/placements", "a page has %d placements, it must have 1 to %d", n, MaxPlacements)
	}
	if wrong := checkIDs("/exclude_ids", p.ExcludeIDs, MaxExcludeIDs); wrong != nil {
		return wrong
	}
	for i := range p.Placements {
		q := &p.Placements[i]
		if q.UserID+q.UserToken+q.AnonymousID+q.SessionID+q.AfterEvent != "" || q.DryRun {
			wrong := invalid("/placements/"+strconv.Itoa(i), "a placement says who the visitor is, or what to wait for, or that it is a dry run")
			wrong.Hint = "say user_id, user_token, anonymous_id, session_id, after_event and dry_run beside placements: they hold for the whole page"
			return wrong
		}
		q.UserID, q.UserToken, q.AnonymousID, q.SessionID, q.AfterEvent, q.DryRun = p.UserID, p.UserToken, p.AnonymousID, p.SessionID, p.AfterEvent, p.DryRun
		if q.Context == nil {
			q.Context = p.Context
		}
		if len(q.ExcludeIDs)+len(p.ExcludeIDs) > MaxExcludeIDs {
			return invalid("/placements/"+strconv.Itoa(i)+"/exclude_ids", "with those of the page there are %d ids, the limit is %d",
				len(q.ExcludeIDs)+len(p.ExcludeIDs), MaxExcludeIDs)
		}
		q.ExcludeIDs = slices.Concat(q.ExcludeIDs, p.ExcludeIDs)
	}
	return nil
}
