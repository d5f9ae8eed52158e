package serving

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// Limits of a recommendation request.
const (
	MaxItemIDs      = 100       // a session or a cart; models look at fewer
	MaxExcludeIDs   = 1_000     // what a page already shows
	MaxRequestBytes = 256 << 10 // room for all of the above with ids of MaxIDBytes
	maxContext      = 32        // entries of context
	maxContextBytes = 256       // of one name or value of context
	maxFields       = 50        // names in fields
)

// Request asks for one list. Limit 0 means the placement's own. Fields nil means DefaultFields, empty means none.
type Request struct {
	Placement   string   `json:"placement" doc:"Where the list is shown." example:"home"`
	UserID      string   `json:"user_id,omitempty" maxLength:"128" doc:"The shop's id of the visitor." example:"customer-42"`
	UserToken   string   `json:"user_token,omitempty" maxLength:"512" doc:"What lets a page ask for a named user: a token that the shop's server signed (docs/access.md)."`
	AnonymousID string   `json:"anonymous_id,omitempty" maxLength:"128" doc:"The browser, as the beacon calls it." example:"b-7f3a"`
	SessionID   string   `json:"session_id,omitempty" maxLength:"128" doc:"The visit."`
	ItemIDs     []string `json:"item_ids,omitempty" maxItems:"100" doc:"The item shown, the items in the cart, or those of the session in order."`
	Limit       *int     `json:"limit,omitempty" minimum:"1" maximum:"100" doc:"How many items; without it as many as the placement says." example:"8"`
	Filter      string   `json:"filter,omitempty" maxLength:"2048" doc:"Which items may be shown, in CEL over item, context, user and now; nothing else is." example:"\"shoes\" in item.categories && item.price < context.budget"`
	Boost       []Boost  `json:"boost,omitempty" maxItems:"16" doc:"Which items rise or fall."`
	ExcludeIDs  []string `json:"exclude_ids,omitempty" maxItems:"1000" doc:"Items that must not be shown, such as those on the page."`
	Diversity   *float64 `json:"diversity,omitempty" doc:"How much the items should differ."`
	Strict      *bool    `json:"strict,omitempty" doc:"Leave the list short rather than fill it with what is popular; without it the placement decides."`
	Fields      []string `json:"fields,omitempty" maxItems:"50" doc:"Catalogue fields in the answer; without it those of a product tile, empty is none."`
	Context     Context  `json:"context,omitempty" doc:"What the shop knows of the moment: texts, numbers and bools, at most 32 entries."`
	Explain     bool     `json:"explain,omitempty" doc:"Say how the list came about."`
	AfterEvent  string   `json:"after_event,omitempty" maxLength:"128" doc:"An event_id: wait up to 250 ms until it is applied, else answer stale."`
	More        string   `json:"more,omitempty" maxLength:"128" doc:"The rec_id of a list: its next items, none of those that it or the lists before it have shown."`
	DryRun      bool     `json:"dry_run,omitempty" doc:"Record no exposure."`

	expressions expressions // of Filter and Boost, see compile
	variant     string      // of the list that More names, where it is one of the placement
}

func invalid(pointer, format string, args ...any) *httpserver.Problem {
	return &httpserver.Problem{
		Type: httpserver.ProblemInvalidField, Title: "Invalid value", Status: http.StatusBadRequest,
		Pointer: pointer, Detail: fmt.Sprintf(format, args...),
	}
}

// check reports the first field that breaks a limit or asks for what does not exist.
func (q *Request) check() *httpserver.Problem {
	if q.Placement == "" {
		p := invalid("/placement", "placement is missing")
		p.Hint = "name a placement, such as home, item, session, cart, trending, popular or recent"
		return p
	}
	for _, id := range []struct{ pointer, value string }{
		{"/user_id", q.UserID}, {"/anonymous_id", q.AnonymousID}, {"/session_id", q.SessionID}, {"/after_event", q.AfterEvent},
	} {
		if id.value == "" {
			continue
		}
		if err := event.CheckID(id.value); err != nil {
			return invalid(id.pointer, "the id %s", err)
		}
	}
	if p := checkIDs("/item_ids", q.ItemIDs, MaxItemIDs); p != nil {
		return p
	}
	if p := checkIDs("/exclude_ids", q.ExcludeIDs, MaxExcludeIDs); p != nil {
		return p
	}
	if q.Limit != nil && (*q.Limit < 1 || *q.Limit > control.MaxPlacementLimit) {
		return invalid("/limit", "limit is %d, it must be 1 to %d", *q.Limit, control.MaxPlacementLimit)
	}
	if q.Diversity != nil {
		if p := checkUnit("/diversity", *q.Diversity); p != nil {
			return p
		}
	}
	if len(q.Fields) > maxFields {
		return invalid("/fields", "fields names %d fields, the limit is %d", len(q.Fields), maxFields)
	}
	if q.AfterEvent != "" && q.UserID == "" && q.AnonymousID == "" {
		p := invalid("/after_event", "after_event waits for an event of a visitor, but the request names none")
		p.Hint = "add the anonymous_id or user_id of the event"
		return p
	}
	return q.checkContext()
}

func (q *Request) checkContext() *httpserver.Problem {
	if len(q.Context) > maxContext {
		return invalid("/context", "context has %d entries, the limit is %d", len(q.Context), maxContext)
	}
	for name, value := range q.Context {
		if len(name) > maxContextBytes || len(value) > maxContextBytes {
			return invalid("/context", "a name or value of context has more than %d bytes", maxContextBytes)
		}
	}
	return nil
}

func checkIDs(pointer string, ids []string, limit int) *httpserver.Problem {
	if len(ids) > limit {
		return invalid(pointer, "%s has %d ids, the limit is %d", pointer[1:], len(ids), limit)
	}
	for i, id := range ids {
		if err := event.CheckID(id); err != nil {
			return invalid(pointer+"/"+strconv.Itoa(i), "the id %s", err)
		}
	}
	return nil
}

// queryParameters are the names that GET takes; context entries come as context.NAME.
var queryParameters = []string{
	"placement", "user_id", "user_token", "anonymous_id", "session_id", "item_ids", "limit", "filter", "boost", "exclude_ids",
	"diversity", "strict", "fields", "explain", "after_event", "more", "dry_run",
}

const contextParameter = "context."

// requestFromQuery reads a Request from query parameters. A list is a parameter given several times or with commas; an
// id that holds a comma needs POST.
func requestFromQuery(values url.Values) (*Request, *httpserver.Problem) {
	q := &Request{
		Placement: values.Get("placement"), UserID: values.Get("user_id"), UserToken: values.Get("user_token"), AnonymousID: values.Get("anonymous_id"),
		SessionID: values.Get("session_id"), Filter: values.Get("filter"), AfterEvent: values.Get("after_event"), More: values.Get("more"),
		ItemIDs: listParameter(values, "item_ids"), ExcludeIDs: listParameter(values, "exclude_ids"),
		Fields: listParameter(values, "fields"),
	}
	for name, given := range values {
		entry, isContext := strings.CutPrefix(name, contextParameter)
		switch {
		case isContext:
			if q.Context == nil {
				q.Context = Context{}
			}
			q.Context[entry] = given[0]
		case name != httpserver.KeyParameter && !slices.Contains(queryParameters, name):
			return nil, &httpserver.Problem{
				Type: httpserver.ProblemUnknownField, Title: "Unknown parameter", Status: http.StatusBadRequest,
				Pointer: "/" + escapePointer(name), Detail: fmt.Sprintf("%q is not a parameter of this request", name),
				Hint: "known parameters: " + strings.Join(queryParameters, ", ") + ", context.NAME",
			}
		}
	}
	for _, boost := range values["boost"] {
		q.Boost = append(q.Boost, Boost{Expr: boost})
	}
	return q, q.scalarParameters(values)
}

func (q *Request) scalarParameters(values url.Values) *httpserver.Problem {
	if text := values.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil {
			return invalid("/limit", "limit is %q, not a whole number", text)
		}
		q.Limit = &limit
	}
	if text := values.Get("diversity"); text != "" {
		diversity, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return invalid("/diversity", "diversity is %q, not a number", text)
		}
		q.Diversity = &diversity
	}
	if values.Has("strict") {
		q.Strict = new(bool)
	}
	for name, dst := range map[string]*bool{"explain": &q.Explain, "dry_run": &q.DryRun, "strict": q.Strict} {
		if text := values.Get(name); text != "" {
			value, err := strconv.ParseBool(text)
			if err != nil {
				return invalid("/"+name, "%s is %q, not true or false", name, text)
			}
			*dst = value
		}
	}
	return nil
}

// listParameter returns nil for an absent parameter and an empty list for an empty one.
func listParameter(values url.Values, name string) []string {
	given, ok := values[name]
	if !ok {
		return nil
	}
	list := []string{}
	for _, value := range given {
		for part := range strings.SplitSeq(value, ",") {
			if part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}
