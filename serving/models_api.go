package serving

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/registry"
)

// Problem types of requests about model versions.
const (
	ProblemUnknownModel   = "unknown-model"
	ProblemModelDamaged   = "model-damaged"
	ProblemNoEarlierModel = "no-earlier-model"
)

// refreshWait bounds how long an answer waits for this node to serve the version: large ones take longer to check than a caller waits.
const refreshWait = 800 * time.Millisecond

func (s *Serving) modelEndpoints(a *api.API) {
	scope := string(control.ScopeModels)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listModels", Method: http.MethodGet, Path: "/v1/models", Tag: api.TagModels, Scope: scope, Summary: "List model versions",
		Description: "The trained versions of the site, newest first, with what they were measured at.",
	}, s.listModels)
	secretEndpoint(s, a, api.Endpoint{
		ID: "promoteModel", Method: http.MethodPost, Path: "/v1/models/{version}:promote", Tag: api.TagModels, Scope: scope, Summary: "Put a version in force",
		Description: "Every file of the version is checked before. It is in force here with the answer where it loads within a second, elsewhere a second later.",
		Problems:    []string{ProblemUnknownModel, ProblemModelDamaged, httpserver.ProblemNotFound},
	}, s.promoteModel)
	secretEndpoint(s, a, api.Endpoint{
		ID: "rollbackModel", Method: http.MethodPost, Path: "/v1/models:rollback", Tag: api.TagModels, Scope: scope, Summary: "Go back to the version before",
		Description: "Puts the newest former champion in force that is still sound.", Problems: []string{ProblemNoEarlierModel, ProblemModelDamaged},
	}, s.rollbackModel)
}

type promoteInput struct {
	Version string `path:"version" minLength:"1" maxLength:"64" doc:"The version, or a beginning of only one." example:"20260302-120000-1"`
}

type championBody struct {
	Champion string `json:"champion" doc:"The version in force now." example:"20260302-120000-1"`
	Former   string `json:"former" doc:"The version before; empty for none."`
}

type championOutput struct{ Body championBody }

func (s *Serving) promoteModel(ctx context.Context, site string, in *promoteInput) (*championOutput, *httpserver.Problem) {
	return s.changeChampion(ctx, site, "model.promote", func() (string, error) {
		version, err := s.reg.Resolve(ctx, site, in.Version)
		if err != nil {
			return "", err
		}
		return version, s.reg.Promote(ctx, site, version)
	})
}

func (s *Serving) rollbackModel(ctx context.Context, site string, _ *struct{}) (*championOutput, *httpserver.Problem) {
	return s.changeChampion(ctx, site, "model.rollback", func() (string, error) { return s.reg.Rollback(ctx, site) })
}

// changeChampion makes a change, writes it down, and answers when this node serves it.
func (s *Serving) changeChampion(ctx context.Context, site, action string, change func() (string, error)) (*championOutput, *httpserver.Problem) {
	former, err := s.reg.ChampionVersion(ctx, site)
	if err != nil && !isNoChampion(err) && !errors.Is(err, registry.ErrCorrupt) {
		return nil, httpserver.Fault(err)
	}
	version, err := change()
	if err != nil {
		return nil, modelProblem(err)
	}
	body := championBody{Champion: version, Former: former}
	if err := s.control.Audit(ctx, control.AuditEntry{Site: site, Action: action, Target: version, Before: former, After: version}); err != nil {
		return nil, httpserver.Fault(err)
	}
	// A version that takes longer to load is in force when it is loaded: the promotion itself has happened.
	look, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	if err := s.models.refresh(look); err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, httpserver.Fault(err)
	}
	return &championOutput{Body: body}, nil
}

func modelProblem(err error) *httpserver.Problem {
	switch {
	case errors.Is(err, registry.ErrUnknownVersion), errors.Is(err, registry.ErrAmbiguousVersion):
		return &httpserver.Problem{
			Type: ProblemUnknownModel, Title: "Unknown model", Status: http.StatusNotFound, Detail: err.Error(), Hint: "GET /v1/models lists the versions",
		}
	case errors.Is(err, registry.ErrCorrupt):
		return &httpserver.Problem{
			Type: ProblemModelDamaged, Title: "Model damaged", Status: http.StatusConflict, Detail: err.Error(), Hint: "promote another version, or train one",
		}
	case errors.Is(err, registry.ErrNothingToRollBackTo), isNoChampion(err):
		return &httpserver.Problem{
			Type: ProblemNoEarlierModel, Title: "No earlier model", Status: http.StatusConflict, Detail: err.Error(), Hint: "promote a version that GET /v1/models lists",
		}
	}
	return httpserver.Fault(err)
}
