package serving

import (
	"errors"
	"net/http"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// ReplayRequest names a list.
type ReplayRequest struct {
	Site  string `json:"site"`
	RecID string `json:"rec_id"`
}

// maxReplayBytes bounds the request.
const maxReplayBytes = 4 << 10

// handleReplay answers POST /admin/recommendations:replay with a Replay.
func (s *Serving) handleReplay(w http.ResponseWriter, r *http.Request) {
	var q ReplayRequest
	p := httpserver.ReadJSON(w, r, maxReplayBytes, &q)
	if p == nil {
		if err := event.CheckSite(q.Site); err != nil {
			p = invalid("/site", "site %s", err)
		}
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	report, err := s.Replay(r.Context(), q.Site, q.RecID)
	switch {
	case errors.Is(err, ErrUnknownList):
		writeProblem(w, r, s.unknownList())
	case errors.Is(err, ErrCompactRecord):
		writeProblem(w, r, &httpserver.Problem{
			Type: "compact-record", Title: "Not enough was recorded", Status: http.StatusUnprocessableEntity, Detail: err.Error(),
			Hint: "ask for a list with `explain: true`, or raise serving.full_exposures",
		})
	case err != nil:
		writeProblem(w, r, &httpserver.Problem{
			Type: ProblemUnavailable, Title: "The list cannot be made again", Status: http.StatusServiceUnavailable, Detail: err.Error(),
		})
	default:
		s.answer(w, r, http.StatusOK, report)
	}
}
