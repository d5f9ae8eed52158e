package serving

import (
	"context"
	"errors"
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownList is the type of a request for a list that is not known.
const ProblemUnknownList = "unknown-recommendation"

func (s *Serving) recallEndpoints(a *api.API) {
	secretEndpoint(s, a, api.Endpoint{
		ID: "getRecommendation", Method: http.MethodGet, Path: "/v1/recommendations/{rec_id}", Tag: api.TagRecommend, Scope: string(control.ScopeRecommend), Summary: "What was shown, and why",
		Description: "The record of a list that was served. Of every list there is what was asked and shown; of those that were asked to be explained, and of a " +
			"sampled share, also what was considered, the scores of each family, and why an item was dropped. `lacks` says what this record does not hold.",
		Problems: []string{ProblemUnknownList, ProblemUnavailable},
	}, s.getRecommendation)
}

type recallInput struct {
	RecID string `path:"rec_id" minLength:"1" maxLength:"128" doc:"The id of the answer." example:"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55"`
}

// ServedList is a list that was served.
type ServedList struct {
	event.Exposure
	FoundIn string   `json:"found_in" enum:"memory,log,lake" doc:"Where the record was: in the memory of the node that answers, in the log, or in the lake."`
	Lacks   []string `json:"lacks" doc:"What this record does not hold, by the names of its fields."`
}

type recallOutput struct {
	Body ServedList
}

func (s *Serving) getRecommendation(ctx context.Context, site string, in *recallInput) (*recallOutput, *httpserver.Problem) {
	x, where, err := s.recall(ctx, site, in.RecID)
	switch {
	case errors.Is(err, ErrUnknownList):
		return nil, s.unknownList()
	case err != nil:
		s.lostLists.warn(ctx, s.log, "a list that was served could not be looked for", err)
		return nil, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "Not everything could be searched", Status: http.StatusServiceUnavailable,
			Detail: "the list is not in the memory of this node, and what is behind it does not answer", Hint: "try again",
		}
	}
	list := ServedList{Exposure: *x, FoundIn: where, Lacks: lacks(x)}
	if list.Items == nil {
		list.Items = []event.ExposureItem{} // of a list that a filter left empty
	}
	list.Inputs = nil // for `millrace replay`; a hundred kilobytes
	return &recallOutput{Body: list}, nil
}

// unknownList says where a list was looked for in vain.
func (s *Serving) unknownList() *httpserver.Problem {
	p := &httpserver.Problem{
		Type: ProblemUnknownList, Title: "Unknown recommendation", Status: http.StatusNotFound,
		Detail: "no list of this site has this rec_id in memory, in the log or in the lake, or its visitor was erased",
		Hint:   "the answer of /v1/recommend has the rec_id; a dry run is not recorded",
	}
	if s.lists == nil {
		p.Detail = "no list of this site has this rec_id in the memory of this node or in the log, or its visitor was erased; this process does not read the lake, which may have it"
		p.Hint = "`millrace replay REC_ID` looks there, too; the answer of /v1/recommend has the rec_id, and a dry run is not recorded"
	}
	return p
}

// lacks names what a record does not hold.
func lacks(x *event.Exposure) []string {
	if x.Detail == event.DetailFull {
		return []string{}
	}
	if x.Detail == "" && len(x.Candidates) > 0 {
		return []string{"inputs"} // version 1
	}
	return []string{"candidates", "inputs"}
}
