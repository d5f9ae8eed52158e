package serving

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/feed"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownFeed is the type of a request for a feed that the site does not have.
const ProblemUnknownFeed = "unknown-feed"

// maxFeedBytes bounds the settings of a feed; its mapping has a line for each column.
const maxFeedBytes = 64 << 10

func (s *Serving) feedEndpoints(a *api.API) {
	scope := string(control.ScopeItemsWrite)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listFeeds", Method: http.MethodGet, Path: "/v1/feeds", Tag: api.TagItems, Summary: "List the catalogue feeds", Scope: scope,
		Description: "The feeds of the site by name, each with its last run.",
	}, s.listFeeds)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getFeed", Method: http.MethodGet, Path: "/v1/feeds/{name}", Tag: api.TagItems, Summary: "Read a feed", Scope: scope,
		Description: "Its settings and its last run, with the first entries that were refused.", Problems: []string{ProblemUnknownFeed},
	}, s.getFeed)
	secretEndpoint(s, a, api.Endpoint{
		ID: "putFeed", Method: http.MethodPut, Path: "/v1/feeds/{name}", Tag: api.TagItems, Summary: "Set a feed up", Scope: scope,
		Description:  "From then on it is read by its schedule, the first time at once. Its entries are merged into the catalogue as bulk writes are.",
		MaxBodyBytes: maxFeedBytes, Body: `{"place":"https://shop.example/feed.xml","every_minutes":60,"missing":"unavailable"}`,
	}, s.putFeed)
	secretEndpoint(s, a, api.Endpoint{
		ID: "deleteFeed", Method: http.MethodDelete, Path: "/v1/feeds/{name}", Tag: api.TagItems, Summary: "Forget a feed", Scope: scope,
		Description: "It is read no more. The items that it brought stay.", Problems: []string{ProblemUnknownFeed},
	}, s.deleteFeed)
	secretEndpoint(s, a, api.Endpoint{
		ID: "runFeed", Method: http.MethodPost, Path: "/v1/feeds/{name}:run", Tag: api.TagItems, Summary: "Read a feed now", Scope: scope,
		Description: "It is read as soon as a node is free, also where it has not changed; what came of it is in its last run.", Status: http.StatusAccepted,
		Problems: []string{ProblemUnknownFeed},
	}, s.runFeed)
}

// feedAnswer is a feed as the API shows it.
type feedAnswer struct {
	Name string `json:"name" doc:"Of the feed." example:"main"`
	FeedSettings
	Requested bool        `json:"requested" doc:"A run was asked for that has not begun."`
	LastRun   *feedLastly `json:"last_run,omitempty" doc:"The last run; absent where there was none."`
}

// feedLastly is the last run of a feed.
type feedLastly struct {
	JobID     string      `json:"job_id" doc:"Its job." example:"job-01"`
	State     string      `json:"state" enum:"running,done,failed,cancelled" doc:"Where it stands."`
	Detail    string      `json:"detail" doc:"In words, what it did or why it failed."`
	StartedAt time.Time   `json:"started_at" doc:"When it began."`
	EndedAt   time.Time   `json:"ended_at,omitzero" doc:"When it ended."`
	Report    *FeedReport `json:"report,omitempty" doc:"What it did; absent while it runs."`
}

type (
	feedInput struct {
		Name string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Of the feed." example:"main"`
	}
	putFeedInput struct {
		Name string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Of the feed." example:"main"`
		api.JSON[FeedSettings]
	}
	runFeedInput struct {
		Name  string `path:"name" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"Of the feed." example:"main"`
		Force bool   `query:"force" doc:"Remove what is missing, however much that is."`
	}
	feedOutput struct {
		Body feedAnswer
	}
	feedsOutput struct {
		Body feedList
	}
	feedList struct {
		Feeds []feedAnswer `json:"feeds" doc:"By name."`
	}
)

func (s *Serving) listFeeds(ctx context.Context, site string, _ *struct{}) (*feedsOutput, *httpserver.Problem) {
	all, err := s.feeds.control.Feeds(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	out := &feedsOutput{Body: feedList{Feeds: make([]feedAnswer, len(all))}}
	for i, f := range all {
		if out.Body.Feeds[i], err = s.showFeed(ctx, f); err != nil {
			return nil, httpserver.Fault(err)
		}
	}
	return out, nil
}

func (s *Serving) getFeed(ctx context.Context, site string, in *feedInput) (*feedOutput, *httpserver.Problem) {
	f, err := s.feeds.control.Feed(ctx, site, in.Name)
	if err != nil {
		return nil, feedProblem(err)
	}
	shown, err := s.showFeed(ctx, f)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &feedOutput{Body: shown}, nil
}

func (s *Serving) showFeed(ctx context.Context, f control.Feed) (feedAnswer, error) {
	shown := feedAnswer{Name: f.Name, Requested: !f.RequestedAt.IsZero()}
	if err := json.Unmarshal(f.Settings, &shown.FeedSettings); err != nil {
		return shown, err
	}
	shown.Place = feed.Name(shown.Place)
	if f.Job == "" {
		return shown, nil
	}
	jobs, err := s.feeds.control.Jobs(ctx, control.JobFilter{ID: f.Job, Kind: jobFeed, Site: f.Site})
	if err != nil || len(jobs) == 0 {
		return shown, err
	}
	j := jobs[0]
	shown.LastRun = &feedLastly{JobID: j.ID, State: string(j.State), Detail: j.Detail, StartedAt: j.StartedAt, EndedAt: j.EndedAt}
	if len(j.Result) > 0 {
		err = json.Unmarshal(j.Result, &shown.LastRun.Report)
	}
	return shown, err
}

func (s *Serving) putFeed(ctx context.Context, site string, in *putFeedInput) (*feedOutput, *httpserver.Problem) {
	if err := in.Value.check(s.feeds.source); err != nil {
		return nil, invalid("", "%s", err)
	}
	settings, err := json.Marshal(in.Value)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	if err := s.feeds.control.PutFeed(ctx, control.Feed{Site: site, Name: in.Name, Settings: settings}); err != nil {
		return nil, feedProblem(err)
	}
	s.feeds.ask()
	return s.getFeed(ctx, site, &feedInput{Name: in.Name})
}

func (s *Serving) deleteFeed(ctx context.Context, site string, in *feedInput) (*struct{}, *httpserver.Problem) {
	if err := s.feeds.control.DeleteFeed(ctx, site, in.Name); err != nil {
		return nil, feedProblem(err)
	}
	return nil, nil
}

func (s *Serving) runFeed(ctx context.Context, site string, in *runFeedInput) (*feedOutput, *httpserver.Problem) {
	if err := s.feeds.control.RequestFeed(ctx, site, in.Name, in.Force); err != nil {
		return nil, feedProblem(err)
	}
	s.feeds.ask()
	return s.getFeed(ctx, site, &feedInput{Name: in.Name})
}

// ask has the schedule looked at soon.
func (f *feeds) ask() {
	select {
	case f.asked <- struct{}{}:
	default: // it will be anyway
	}
}

func feedProblem(err error) *httpserver.Problem {
	if errors.Is(err, control.ErrUnknownFeed) {
		return &httpserver.Problem{
			Type: ProblemUnknownFeed, Title: "Unknown feed", Status: http.StatusNotFound, Detail: "the site has no feed of this name",
			Hint: "PUT /v1/feeds/{name} sets one up",
		}
	}
	if errors.Is(err, control.ErrTooManyFeeds) {
		return atLimit(control.ErrTooManyFeeds, "delete one that is not read any more")
	}
	if errors.Is(err, control.ErrLongFeed) {
		return atLimit(control.ErrLongFeed, "map fewer columns: those that are not named have their own names")
	}
	return httpserver.Fault(err)
}
