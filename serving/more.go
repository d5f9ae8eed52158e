package serving

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

const (
	// moreWait bounds how long a request for more of a list looks for the list: a visitor waits for it.
	moreWait = 2 * time.Second
	// maxMore bounds the requests that look further than this node's memory at once: anybody who reads a placement may name ids that
	// are nowhere, and each costs a search in the log.
	maxMore = 8
)

// errManyLook says that maxMore requests are looking for lists already.
var errManyLook = errors.New("too many requests look for lists that are not in this node's memory")

// continueFrom makes a request one for more of a list: what that list has shown is excluded, and what it excluded itself, which is what
// the lists before it have shown. So the record of every list says all that was excluded. It stays in the variant of the list. A page goes on with lists of its own visitor
// alone, because what an answer leaves out tells what another was shown; of another's it learns as much as of one that never was.
func (s *Serving) continueFrom(ctx context.Context, from reader, q *Request) *httpserver.Problem {
	shown, err := s.lookUp(ctx, from.key.Site, q.More)
	if err == nil && !from.mayContinue(shown, q) {
		err = ErrUnknownList
	}
	switch {
	case errors.Is(err, ErrUnknownList):
		return &httpserver.Problem{
			Type: ProblemUnknownList, Title: "Unknown list", Status: http.StatusNotFound, Pointer: "/more",
			Detail: "no list of this id is recorded: it was a dry run, it is too old, it was made for somebody else, or its visitor was erased",
			Hint:   "name the rec_id of a list that was answered, or send exclude_ids",
		}
	case err != nil:
		s.lostLists.warn(ctx, s.log, "a list could not be continued", err)
		return &httpserver.Problem{
			Type: ProblemUnavailable, Title: "Not everything could be searched", Status: http.StatusServiceUnavailable, Pointer: "/more",
			Detail: "the list is not in the memory of this node, and what is behind it does not answer in time", Hint: "try again, or send exclude_ids",
		}
	}
	if shown.Placement == q.Placement {
		q.variant = shown.Variant
	}
	ids := slices.Clone(shown.Request.ExcludeIDs)
	for i := range shown.Items {
		ids = append(ids, shown.Items[i].ItemID)
	}
	q.exclude(ids)
	return nil
}

// mayContinue reports whether a list was made for who asks. A server may speak for every visitor of its site. A list that was made for
// a user is the user's: a browser that has logged out begins a new one.
func (from reader) mayContinue(shown *event.Exposure, q *Request) bool {
	if from.key.Kind == control.KeySecret {
		return true
	}
	return shown.AnonymousID == q.AnonymousID && (shown.UserID == "" || shown.UserID == q.UserID)
}

// lookUp is recall for a visitor who waits: it returns errManyLook rather than search the log with too many others.
func (s *Serving) lookUp(ctx context.Context, site, recID string) (*event.Exposure, error) {
	id, err := uuid.Parse(recID)
	if err != nil {
		return nil, ErrUnknownList
	}
	if _, ok := s.recent.find(exposureKey(site, recID), id); !ok {
		select {
		case s.looking <- struct{}{}:
			defer func() { <-s.looking }()
		default:
			return nil, errManyLook
		}
	}
	ctx, cancel := context.WithTimeout(ctx, moreWait)
	defer cancel()
	x, _, err := s.recall(ctx, site, recID)
	return x, err
}

// exclude adds to what the list leaves out, each id once: a visitor who goes on and on excludes thousands.
func (q *Request) exclude(ids []string) {
	if len(ids) == 0 {
		return
	}
	known := make(map[string]struct{}, len(q.ExcludeIDs)+len(ids))
	for _, id := range q.ExcludeIDs {
		known[id] = struct{}{}
	}
	q.ExcludeIDs = slices.Clip(q.ExcludeIDs) // the caller's own list stays as it is
	for _, id := range ids {
		if _, excluded := known[id]; !excluded {
			known[id] = struct{}{}
			q.ExcludeIDs = append(q.ExcludeIDs, id)
		}
	}
}
