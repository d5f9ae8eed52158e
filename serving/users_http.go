package serving

import (
	"context"
	"errors"
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of requests about people.
const (
	ProblemUnknownVisitor = "unknown-visitor"
	ProblemUnknownErasure = "unknown-erasure"
	ProblemNoErasureKey   = "no-erasure-key"
	ProblemNoLake         = "no-lake"
)

func (s *Serving) userEndpoints(a *api.API) {
	secretEndpoint(s, a, api.Endpoint{
		ID: "getUserFeatures", Method: http.MethodGet, Path: "/v1/users/{id}/features", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "Features of a visitor",
		Description: "The online features as requests see them now: what the visitor did, has seen and bought, and prefers.",
		Problems:    []string{ProblemUnknownVisitor},
	}, s.userFeatures)
	secretEndpoint(s, a, api.Endpoint{
		ID: "putUser", Method: http.MethodPut, Path: "/v1/users/{id}", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "Say something of a user",
		Description:  "Replaces what the shop says of a user: attributes that filters and rules know as user.NAME. In force at once here, within a second elsewhere; an erasure removes them.",
		MaxBodyBytes: MaxUserBytes, Body: `{"attributes":{"tier":"gold","age":42}}`,
	}, s.putUser)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getUser", Method: http.MethodGet, Path: "/v1/users/{id}", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "What the shop said of a user",
		Description: "The attributes of PUT.", Problems: []string{ProblemUnknownUser},
	}, s.getUser)
	api.Describe[userInput, exportOutput](a, api.Endpoint{
		ID: "exportUser", Method: http.MethodGet, Path: "/v1/users/{id}/export", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "Everything about a person",
		Description: "All that is held about a person, in all stores, as one JSON object. It is written as it is read: an error in the middle cuts the connection.",
		Problems:    []string{ProblemNoLake},
	}, s.requireSecret(control.ScopeUsers, s.handleExport))
	secretEndpoint(s, a, api.Endpoint{
		ID: "eraseUser", Method: http.MethodDelete, Path: "/v1/users/{id}", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "Erase a person", Status: http.StatusAccepted,
		Description: "From the answer on nothing of the person is shown; an erasure that removes it from every store is under way. GET /v1/erasures/{id} tells how far it is.",
		Problems:    []string{ProblemNoErasureKey},
	}, s.eraseUser)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getErasure", Method: http.MethodGet, Path: "/v1/erasures/{id}", Tag: api.TagUsers, Scope: string(control.ScopeUsers), Summary: "Progress of an erasure",
		Description: "How far an erasure has come and, when it is done, its certificate.",
		Problems:    []string{ProblemUnknownErasure},
	}, s.getErasure)
}

// userInput names a person.
type userInput struct {
	ID string `path:"id" minLength:"1" maxLength:"138" doc:"A user_id, or anonymous:ID for a browser." example:"customer-42"`
}

// who is the person that a path names.
func (in *userInput) who(site string) (erasure.Who, *httpserver.Problem) { return who(site, in.ID) }

func who(site, id string) (erasure.Who, *httpserver.Problem) {
	who, err := erasure.ParseWho(site, id)
	if err != nil {
		return who, invalid("", "the id in the path: %v", err)
	}
	return who, nil
}

type featuresOutput struct {
	Body feature.ProfileView
}

func (s *Serving) userFeatures(ctx context.Context, site string, in *userInput) (*featuresOutput, *httpserver.Problem) {
	who, p := in.who(site)
	if p != nil {
		return nil, p
	}
	found := &visitor{}
	if err := s.visitors.load(ctx, found, site, identity{user: who.User, anonymous: who.Browser}); err != nil {
		return nil, httpserver.Fault(err)
	}
	if !found.known {
		return nil, &httpserver.Problem{
			Type: ProblemUnknownVisitor, Title: "Unknown visitor", Status: http.StatusNotFound,
			Detail: "no event of this visitor has been applied",
			Hint:   "name a user_id, or a browser as anonymous:ID; a refused consent leaves no profile",
		}
	}
	return &featuresOutput{Body: found.profile.View(found.profileID)}, nil
}

// remembered is a visitor without what was erased: neither a user nor a browser of an erased person is known any more, until the
// online store holds nothing of them, and whoever it holds then is somebody new.
func (v *visitors) remembered(ctx context.Context, site string, who identity) (identity, error) {
	forgotten, err := v.control.Forgotten(ctx)
	if err != nil || forgotten == nil {
		return who, err
	}
	if _, gone := forgotten.Until(erasure.Row{Site: site, User: who.user}); gone {
		who.user = ""
	}
	if _, gone := forgotten.Until(erasure.Row{Site: site, Browser: who.anonymous}); gone {
		who.anonymous = ""
	}
	return who, nil
}

type eraseOutput struct {
	Location string `header:"Location" doc:"Where the erasure tells how far it is."`
	Body     control.Erasure
}

func (s *Serving) eraseUser(ctx context.Context, site string, in *userInput) (*eraseOutput, *httpserver.Problem) {
	who, p := in.who(site)
	if p != nil {
		return nil, p
	}
	e, err := s.control.RequestErasure(ctx, who)
	s.attributes.forget(site, who.User)
	if errors.Is(err, control.ErrNoErasureKey) {
		return nil, &httpserver.Problem{
			Type: ProblemNoErasureKey, Title: "No erasure key", Status: http.StatusServiceUnavailable,
			Detail: "erased people are known by keyed hashes, and no key is configured; nothing was erased",
			Hint:   "set erasure.key for all roles: MILLRACE_ERASURE__KEY_FILE names a file with the output of `openssl rand -hex 32`",
		}
	}
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &eraseOutput{Location: "/v1/erasures/" + e.ID, Body: e}, nil
}

type erasureInput struct {
	ID string `path:"id" maxLength:"128" doc:"The id that DELETE /v1/users/{id} answered." example:"019c0f6e-5d2a-7c31-9a4e-2f7d1c0b8a55"`
}

type erasureOutput struct {
	Body control.Erasure
}

func (s *Serving) getErasure(ctx context.Context, site string, in *erasureInput) (*erasureOutput, *httpserver.Problem) {
	e, err := s.control.Erasure(ctx, site, in.ID)
	if errors.Is(err, control.ErrUnknownErasure) {
		return nil, &httpserver.Problem{
			Type: ProblemUnknownErasure, Title: "Unknown erasure", Status: http.StatusNotFound,
			Detail: "no erasure of this site has this id", Hint: "the answer of DELETE /v1/users/{id} has the id; `millrace users erasures` lists all",
		}
	}
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &erasureOutput{Body: e}, nil
}

// exportOutput is what is held about a person, by store.
type exportOutput struct {
	Body map[string]any
}

// handleExport answers GET /v1/users/{id}/export with everything that is held about a person. An error in the middle cuts the
// connection, so that half an answer is not taken for a whole one.
func (s *Serving) handleExport(w http.ResponseWriter, r *http.Request, site string) {
	id, p := pathText(r)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	who, p := who(site, id)
	if p == nil && s.export == nil {
		p = &httpserver.Problem{
			Type: ProblemNoLake, Title: "Not from this process", Status: http.StatusNotImplemented,
			Detail: "the serving role does not read the lake", Hint: "run `millrace users export` where the stream's configuration is",
		}
	}
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := s.export.Export(r.Context(), who, w); err != nil {
		s.log.ErrorContext(r.Context(), "an export was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}
