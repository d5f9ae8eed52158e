package serving

import (
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
)

type pageBody struct {
	api.JSON[PageRequest]
}

type pageOutput struct {
	Body PageAnswer
}

type rankBody struct {
	api.JSON[RankRequest]
}

type rankOutput struct {
	Body RankAnswer
}

// pageEndpoints describes the endpoints that answer like recommend.
func (s *Serving) pageEndpoints(a *api.API) {
	problems := []string{ProblemUnknownPlacement, ProblemSecretKey, ProblemOrigin, ProblemNotReadable, ProblemUserToken, ProblemTokenInvalid, ProblemTokenExpired,
		ProblemTokenOther, ProblemExpression, ProblemUnknownList}
	api.Describe[pageBody, pageOutput](a, api.Endpoint{
		ID: "recommendPage", Method: http.MethodPost, Path: "/v1/recommend:batch", Tag: api.TagRecommend, Summary: "Recommend items for a whole page",
		Description: "The lists of a page at once. No item stands in two of them: an earlier placement has it. The visitor is read once.",
		Access:      api.AnyKey, Scope: string(control.ScopeRecommend), MaxBodyBytes: MaxRequestBytes,
		Body:     `{"anonymous_id":"b-7f3a","placements":[{"placement":"home","limit":8},{"placement":"trending","limit":4}]}`,
		Problems: problems,
	}, s.handlePage)
	a.Preflight("/v1/recommend:batch", preflight)
	api.Describe[rankBody, rankOutput](a, api.Endpoint{
		ID: "rank", Method: http.MethodPost, Path: "/v1/rank", Tag: api.TagRecommend, Summary: "Put your own items in the visitor's order",
		Description: "The caller's items, a search result or a category say, by everything that is known of the visitor and of the items. " +
			"None is lost: what may not be shown is marked (or dropped, where the request says so), and what nobody knows comes last, in the order given. Rules pin items that the caller names.",
		Access: api.AnyKey, Scope: string(control.ScopeRecommend), MaxBodyBytes: MaxRequestBytes,
		Body:     `{"anonymous_id":"b-7f3a","item_ids":["shoe-1","sock-2","tent-9"]}`,
		Problems: problems,
	}, s.handleRank)
	a.Preflight("/v1/rank", preflight)
}
