package serving

import (
	"context"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// continueFrom makes a request one for more of a list: what that list has shown is excluded, and what it excluded itself, which is what
// the lists before it have shown. So the record of every list says all that was excluded.
func (s *Serving) continueFrom(_ context.Context, site string, q *Request) *httpserver.Problem {
	id, err := uuid.Parse(q.More)
	if err == nil {
		if value, ok := s.recent.find(exposureKey(site, q.More), id); ok {
			shown := &event.Exposure{}
			if err = event.UnmarshalExposure(value, shown); err == nil {
				q.exclude(shown.Request.ExcludeIDs)
				for i := range shown.Items {
					q.exclude([]string{shown.Items[i].ItemID})
				}
				return nil
			}
		}
	}
	return &httpserver.Problem{
		Type: ProblemUnknownList, Title: "Unknown list", Status: http.StatusNotFound, Pointer: "/more",
		Detail: "no list of this id is remembered: it was a dry run, or it is too old",
		Hint:   "name the rec_id of a list of the last minutes, or send exclude_ids",
	}
}

// exclude adds to what the list leaves out.
func (q *Request) exclude(ids []string) {
	q.ExcludeIDs = append(q.ExcludeIDs[:len(q.ExcludeIDs):len(q.ExcludeIDs)], slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		return slices.Contains(q.ExcludeIDs, id)
	})...)
}
