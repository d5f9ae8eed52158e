package serving

import (
	"errors"
	"net/http"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// MaxListUsers is how many lists one call makes: with the longest lists their answer stays below 16 MiB.
const MaxListUsers = 200

// UserListsRequest asks for the list of each of several people, as `millrace recommend --users` does.
type UserListsRequest struct {
	Site      string   `json:"site"`
	Placement string   `json:"placement"`
	Limit     int      `json:"limit"` // 0 is the placement's own
	Record    bool     `json:"record"`
	Users     []string `json:"users"` // user ids, or anonymous:ID
}

// UserList is the list of one of them.
type UserList struct {
	UserID       string         `json:"user_id"`
	RecID        string         `json:"rec_id"`
	ModelVersion string         `json:"model_version"`
	Variant      string         `json:"variant"` // EXPERIMENT:ARM, or control.DefaultVariant
	Items        []UserListItem `json:"items"`
}

// UserListItem is a position of it.
type UserListItem struct {
	ItemID  string   `json:"item_id"`
	Score   float64  `json:"score"`
	Reasons []string `json:"reasons"`
}

// handleUserLists answers POST /admin/recommendations:users with a list of UserList, in the order of the users.
func (s *Serving) handleUserLists(w http.ResponseWriter, r *http.Request) {
	var in UserListsRequest
	p := httpserver.ReadJSON(w, r, MaxRequestBytes, &in)
	var placement control.Placement
	var requests []*Request
	if p == nil {
		requests, p = in.requests()
	}
	if p == nil {
		placement, p = s.placement(r.Context(), in.Site, in.Placement)
	}
	if p == nil && len(requests) > 0 {
		p = checkNeeds(placement, requests[0])
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	lists := make([]UserList, len(requests))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, request := range requests {
		group.Go(func() error {
			if err := r.Context().Err(); err != nil {
				return err // a list that nobody gets must not be recorded as shown
			}
			a := s.recommend(r.Context(), in.Site, placement, request)
			list := UserList{UserID: in.Users[i], RecID: a.RecID, ModelVersion: a.ModelVersion, Variant: a.Variant, Items: make([]UserListItem, len(a.Items))}
			for j, item := range a.Items {
				list.Items[j] = UserListItem{item.ItemID, item.Score, item.Reasons}
			}
			lists[i] = list
			return r.Context().Err()
		})
	}
	if group.Wait() != nil {
		return // the command was stopped: nobody is left to answer, and nothing of ours went wrong
	}
	s.answer(w, r, http.StatusOK, lists)
}

// requests are those of the people, checked as any other.
func (in *UserListsRequest) requests() ([]*Request, *httpserver.Problem) {
	if err := event.CheckSite(in.Site); err != nil {
		return nil, invalid("/site", "site %s", err)
	}
	if len(in.Users) > MaxListUsers {
		return nil, invalid("/users", "users has %d ids, the limit is %d", len(in.Users), MaxListUsers)
	}
	requests := make([]*Request, len(in.Users))
	for i, id := range in.Users {
		who, err := CheckListUser(in.Site, id)
		if err != nil {
			return nil, invalid("/users", "%q: %v", id, err)
		}
		requests[i] = &Request{Placement: in.Placement, UserID: who.User, AnonymousID: who.Browser, Fields: []string{}, DryRun: !in.Record}
		if in.Limit != 0 {
			requests[i].Limit = &in.Limit
		}
		if p := requests[i].check(); p != nil {
			return nil, p
		}
	}
	return requests, nil
}

// CheckListUser reads the id of somebody who is to get a list: a user_id, or anonymous:ID.
func CheckListUser(site, id string) (erasure.Who, error) {
	if id == "" {
		return erasure.Who{}, errors.New("the id is empty")
	}
	return erasure.ParseWho(site, id)
}
