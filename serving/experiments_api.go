package serving

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

const (
	// ProblemUnknownExperiment is the type of a request for an experiment that the site does not have.
	ProblemUnknownExperiment = "unknown-experiment"
	// ProblemExperimentState is the type of a request that an experiment cannot follow where it stands.
	ProblemExperimentState = "experiment-state"
	// ProblemPlacementTested is the type of a change of a placement, or of another experiment's start, while one runs there.
	ProblemPlacementTested = "placement-in-experiment"
)

// MaxExperimentBytes has room for an experiment with the settings of all its arms.
const MaxExperimentBytes = 128 << 10

func (s *Serving) experimentEndpoints(a *api.API) {
	endpoint := func(id, method, path, summary, description string, problems ...string) api.Endpoint {
		return api.Endpoint{
			ID: id, Method: method, Path: "/v1/experiments" + path, Tag: api.TagExperiments, Scope: string(control.ScopeAdmin), Summary: summary,
			Description: description, Problems: problems,
		}
	}
	secretEndpoint(s, a, endpoint("listExperiments", http.MethodGet, "", "List experiments",
		"The experiments of the site by id: drafts, those that run, and those that were stopped."), s.listExperiments)
	secretEndpoint(s, a, endpoint("getExperiment", http.MethodGet, "/{id}", "Read an experiment",
		"An experiment with its ETag.", ProblemUnknownExperiment), s.getExperiment)
	put := endpoint("putExperiment", http.MethodPut, "/{id}", "Write a draft",
		"The draft becomes what the body says. An experiment that has been started stays as it is. An arm's settings are those of a placement, each over the placement's own; an arm without any is the "+
			"placement as it is. With If-Match only where it stands as it was read; `If-None-Match: *` only where there is none. docs/experiments.md says how visitors are told apart, and how to read the result.",
		ProblemChanged, ProblemExpression, ProblemUnknownPlacement, ProblemExperimentState)
	put.MaxBodyBytes = MaxExperimentBytes
	put.Body = `{"name":"A more diverse home page","placement":"home","arms":[{"name":"control","weight":50},{"name":"diverse","weight":50,"settings":{"diversity":0.4}}]}`
	secretEndpoint(s, a, put, s.putExperiment)
	secretEndpoint(s, a, endpoint("startExperiment", http.MethodPost, "/{id}:start", "Start an experiment",
		"Visitors are in its arms at once here, within a second elsewhere. Until it is stopped neither the experiment nor its placement changes, and no other runs there. One that runs is answered as it stands.",
		ProblemUnknownExperiment, ProblemUnknownPlacement, ProblemChanged, ProblemExpression, ProblemExperimentState, ProblemPlacementTested), s.startExperiment)
	secretEndpoint(s, a, endpoint("stopExperiment", http.MethodPost, "/{id}:stop", "Stop an experiment",
		"The placement is as it is for everybody again, at once here, within a second elsewhere. It cannot be started again; a new one has new visitors in its arms. One that was stopped is answered as it stands.",
		ProblemUnknownExperiment, ProblemChanged, ProblemExperimentState), s.stopExperiment)
	secretEndpoint(s, a, endpoint("deleteExperiment", http.MethodDelete, "/{id}", "Delete an experiment",
		"A draft, or one that was stopped, is forgotten. Lists that were recorded keep its variants: take another id for another experiment.",
		ProblemUnknownExperiment, ProblemChanged, ProblemExperimentState), s.deleteExperiment)
}

type experimentList struct {
	Experiments []control.Experiment `json:"experiments" doc:"By id."`
}

type experimentsOutput struct{ Body experimentList }

// ExperimentInput names an experiment.
type ExperimentInput struct {
	ID string `path:"id" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"The experiment." example:"diverse-home"`
}

type experimentOutput struct {
	ETag string `header:"ETag" doc:"The experiment's revision."`
	Body control.Experiment
}

// experimentWrite is what an experiment may be written with.
type experimentWrite struct {
	Name      string        `json:"name,omitempty" maxLength:"200" doc:"What people call it." example:"A more diverse home page"`
	Placement string        `json:"placement" minLength:"1" maxLength:"64" doc:"Where it is to run." example:"home"`
	Arms      []control.Arm `json:"arms" minItems:"2" maxItems:"10" doc:"What it compares."`
}

type putExperimentInput struct {
	ExperimentInput
	WriteCondition
	api.JSON[experimentWrite]
}

type changeExperimentInput struct {
	ExperimentInput
	Condition
}

func (s *Serving) listExperiments(ctx context.Context, site string, _ *struct{}) (*experimentsOutput, *httpserver.Problem) {
	list, err := s.control.Experiments(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &experimentsOutput{Body: experimentList{Experiments: append([]control.Experiment{}, list...)}}, nil
}

func (s *Serving) getExperiment(ctx context.Context, site string, in *ExperimentInput) (*experimentOutput, *httpserver.Problem) {
	return experimentAnswer(s.control.Experiment(ctx, site, in.ID))
}

func (s *Serving) putExperiment(ctx context.Context, site string, in *putExperimentInput) (*experimentOutput, *httpserver.Problem) {
	e := control.Experiment{Site: site, ID: in.ID, Name: in.Value.Name, Placement: in.Value.Placement, Arms: in.Value.Arms}
	if err := e.Check(); err != nil {
		return nil, experimentProblem(err)
	}
	if p := s.checkArms(ctx, &e); p != nil {
		return nil, p
	}
	return experimentAnswer(s.control.PutExperiment(ctx, e, in.tag()))
}

func (s *Serving) startExperiment(ctx context.Context, site string, in *changeExperimentInput) (*experimentOutput, *httpserver.Problem) {
	e, err := s.control.Experiment(ctx, site, in.ID)
	if err != nil {
		return nil, experimentProblem(err)
	}
	if e.State == control.ExperimentDraft {
		if p := s.checkArms(ctx, &e); p != nil { // the placement may be another than it was
			return nil, p
		}
	}
	return experimentAnswer(s.control.StartExperiment(ctx, site, in.ID, in.tag()))
}

func (s *Serving) stopExperiment(ctx context.Context, site string, in *changeExperimentInput) (*experimentOutput, *httpserver.Problem) {
	return experimentAnswer(s.control.StopExperiment(ctx, site, in.ID, in.tag()))
}

func (s *Serving) deleteExperiment(ctx context.Context, site string, in *changeExperimentInput) (*struct{}, *httpserver.Problem) {
	if err := s.control.DeleteExperiment(ctx, site, in.ID, in.tag()); err != nil {
		return nil, experimentProblem(err)
	}
	return &struct{}{}, nil
}

// checkArms reports what is wrong with the settings of arms, laid over their placement.
func (s *Serving) checkArms(ctx context.Context, e *control.Experiment) *httpserver.Problem {
	placement, p := s.placement(ctx, e.Site, e.Placement)
	if p != nil {
		return p
	}
	for i := range e.Arms {
		at := "/arms/" + strconv.Itoa(i) + "/settings"
		own, err := e.Arms[i].Of(placement)
		if err != nil {
			return invalid(at, "%v", err)
		}
		if err := own.Check(); err != nil {
			return invalid(at, "over those of the placement: %v", err)
		}
		if _, p := ParseSettings(own.Kind, own.Settings); p != nil {
			p.Pointer = at + p.Pointer
			return p
		}
	}
	return nil
}

// experimentAnswer answers with an experiment as the control store returned it.
func experimentAnswer(e control.Experiment, err error) (*experimentOutput, *httpserver.Problem) {
	if err != nil {
		return nil, experimentProblem(err)
	}
	return &experimentOutput{ETag: quoteETag(e.ETag()), Body: e}, nil
}

func experimentProblem(err error) *httpserver.Problem {
	var field *control.FieldError
	var state *control.ExperimentStateError
	switch {
	case errors.As(err, &field):
		p := invalid(field.Pointer, "%s", field.Detail)
		p.Hint = field.Hint
		return p
	case errors.As(err, &state):
		return stateProblem(state)
	case errors.Is(err, control.ErrUnknownExperiment):
		return &httpserver.Problem{
			Type: ProblemUnknownExperiment, Title: "Unknown experiment", Status: http.StatusNotFound,
			Detail: control.ErrUnknownExperiment.Error(), Hint: "GET /v1/experiments lists them",
		}
	case errors.Is(err, control.ErrTooManyExperiments):
		return atLimit(control.ErrTooManyExperiments, "delete one that was stopped; the lists that it served stay recorded")
	case errors.Is(err, control.ErrLongExperiment):
		return invalid("", "%v", control.ErrLongExperiment)
	}
	return placementProblem(err)
}

// stateProblem says what may be done with an experiment where it stands.
func stateProblem(state *control.ExperimentStateError) *httpserver.Problem {
	hint := map[control.ExperimentState]string{
		control.ExperimentDraft:   "start it first",
		control.ExperimentRunning: "what runs stays as it is, or its figures would mean nothing: stop it, and begin another under a new id",
		control.ExperimentStopped: "begin another under a new id",
	}[state.State]
	return &httpserver.Problem{Type: ProblemExperimentState, Title: "Not as it stands", Status: http.StatusConflict, Detail: state.Error(), Hint: hint}
}
