package serving

import (
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
)

// recommendBody documents the body that handleRecommend reads.
type recommendBody struct {
	api.JSON[Request]
}

// recommendQuery documents the parameters of GET, which requestFromQuery reads.
type recommendQuery struct {
	Placement   string   `query:"placement" required:"true" doc:"Where the list is shown." example:"home"`
	UserID      string   `query:"user_id" maxLength:"128" doc:"The shop's id of the visitor."`
	UserToken   string   `query:"user_token" maxLength:"512" doc:"What lets a page ask for a named user: a token that the shop's server signed. X-Millrace-User-Token takes it, too."`
	AnonymousID string   `query:"anonymous_id" maxLength:"128" doc:"The browser, as the beacon calls it." example:"b-7f3a"`
	SessionID   string   `query:"session_id" maxLength:"128" doc:"The visit."`
	ItemIDs     []string `query:"item_ids" maxItems:"100" doc:"The item shown, the items in the cart, or those of the session in order."`
	Limit       int      `query:"limit" minimum:"1" maximum:"100" doc:"How many items; without it as many as the placement says."`
	Filter      string   `query:"filter" maxLength:"2048" doc:"Which items may be shown, in CEL."`
	Boost       []string `query:"boost,explode" maxItems:"16" doc:"The factor of each item's score, in CEL." example:"item.price < 50 ? 1.2 : 1.0"`
	ExcludeIDs  []string `query:"exclude_ids" maxItems:"1000" doc:"Items that must not be shown."`
	Diversity   float64  `query:"diversity" doc:"How much the items should differ."`
	Strict      bool     `query:"strict" doc:"Leave the list short rather than fill it with what is popular."`
	Fields      []string `query:"fields" maxItems:"50" doc:"Catalogue fields in the answer; without it those of a product tile."`
	Explain     bool     `query:"explain" doc:"Say how the list came about."`
	AfterEvent  string   `query:"after_event" maxLength:"128" doc:"Wait up to 250 ms until this event is applied."`
	More        string   `query:"more" maxLength:"128" doc:"The rec_id of a list: its next items."`
	DryRun      bool     `query:"dry_run" doc:"Record no exposure."`
}

type recommendOutput struct {
	Body Answer
}

const recommendDescription = "A list of items for a place on a page. It is never empty while the catalogue has eligible items, and has never an unavailable " +
	"or excluded item, an item twice, or two of one item_group_id. `degraded` says which rung of the ladder had to answer where a part of the house is away."

func (s *Serving) recommendEndpoints(a *api.API) {
	problems := []string{ProblemUnknownPlacement, ProblemSecretKey, ProblemOrigin, ProblemNotReadable, ProblemUserToken, ProblemTokenInvalid, ProblemTokenExpired,
		ProblemTokenOther, ProblemExpression, ProblemUnknownList}
	answer := `{"rec_id":"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55","placement":"home","variant":"default","model_version":"20260302-120000-1",` +
		`"served_by":"vstan","degraded":"none","stale":false,"items":[{"item_id":"shoe-1","position":0,"score":0.83,` +
		`"reasons":["because you viewed Trail sock"],"fields":{"title":"Trail shoe","price":129.95}}],"token":"AZwPbl0qfDGaTi99HAuKVQ"}`
	api.Describe[recommendBody, recommendOutput](a, api.Endpoint{
		ID: "recommend", Method: http.MethodPost, Path: "/v1/recommend", Tag: api.TagRecommend, Summary: "Recommend items",
		Description: recommendDescription, Access: api.AnyKey, Scope: string(control.ScopeRecommend), MaxBodyBytes: MaxRequestBytes,
		Body: `{"placement":"home","anonymous_id":"b-7f3a","limit":8}`, Answer: answer, Problems: problems,
	}, s.handleRecommend)
	api.Describe[recommendQuery, recommendOutput](a, api.Endpoint{
		ID: "recommendByQuery", Method: http.MethodGet, Path: "/v1/recommend", Tag: api.TagRecommend, Summary: "Recommend items, asked by URL",
		Description: recommendDescription + "\n\nA list is a parameter given several times, or with commas. Entries of context are parameters `context.NAME`.",
		Access:      api.AnyKey, Scope: string(control.ScopeRecommend), OwnParameters: true, Answer: answer, Problems: problems,
	}, s.handleRecommend)
	a.Preflight("/v1/recommend", preflight)
	s.pageEndpoints(a)
}
