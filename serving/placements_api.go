package serving

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemChanged is the type of a write whose If-Match is not what stands.
const ProblemChanged = "changed-meanwhile"

// maxPlacementBytes has room for the settings of a placement.
const maxPlacementBytes = 128 << 10

func (s *Serving) placementEndpoints(a *api.API) {
	admin := string(control.ScopeAdmin)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listPlacements", Method: http.MethodGet, Path: "/v1/placements", Tag: api.TagPlacements, Scope: admin, Summary: "List placements",
		Description: "The placements of the site by name: the standard ones, and those that were written.",
	}, s.listPlacements)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getPlacement", Method: http.MethodGet, Path: "/v1/placements/{name}", Tag: api.TagPlacements, Scope: admin, Summary: "Read a placement",
		Description: "A placement with its ETag.", Problems: []string{ProblemUnknownPlacement},
	}, s.getPlacement)
	secretEndpoint(s, a, api.Endpoint{
		ID: "putPlacement", Method: http.MethodPut, Path: "/v1/placements/{name}", Tag: api.TagPlacements, Scope: admin, Summary: "Write a placement",
		Description:  "The placement becomes what the body says; one with a standard name changes the standard one. In force at once here, within a second elsewhere; not while an experiment runs there. With If-Match only where it stands as it was read; `If-None-Match: *` only where there is none.",
		MaxBodyBytes: maxPlacementBytes, Body: `{"kind":"home","limit":8,"browser_readable":true}`, Problems: []string{ProblemChanged, ProblemPlacementTested},
	}, s.putPlacement)
	secretEndpoint(s, a, api.Endpoint{
		ID: "deletePlacement", Method: http.MethodDelete, Path: "/v1/placements/{name}", Tag: api.TagPlacements, Scope: admin, Summary: "Delete a placement",
		Description: "A standard placement is as it comes again, another one is gone.", Problems: []string{ProblemUnknownPlacement, ProblemChanged, ProblemPlacementTested},
	}, s.deletePlacement)
}

type placementList struct {
	Placements []control.Placement `json:"placements" doc:"By name."`
}

type placementsOutput struct{ Body placementList }

// PlacementInput names a placement.
type PlacementInput struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z0-9][a-z0-9_-]{0,63}$" doc:"The placement." example:"home"`
}

type placementOutput struct {
	ETag string `header:"ETag" doc:"Identifies the content."`
	Body control.Placement
}

// placementWrite is what a placement may be written with.
type placementWrite struct {
	Kind            string          `json:"kind" enum:"home,item,session,cart,trending,popular,recent,again,explore" doc:"What its lists follow from." example:"home"`
	Limit           int             `json:"limit" minimum:"1" maximum:"100" doc:"How many items a list has." example:"12"`
	BrowserReadable bool            `json:"browser_readable,omitempty" doc:"Whether pages may read it with a public key." example:"true"`
	Settings        json.RawMessage `json:"settings,omitempty" doc:"An object; what is left out follows from the kind."`
}

type putPlacementInput struct {
	PlacementInput
	WriteCondition
	api.JSON[placementWrite]
}

type deletePlacementInput struct {
	PlacementInput
	Condition
}

func quoteETag(tag string) string { return `"` + tag + `"` }

// Condition is what a change demands of what stands.
type Condition struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"The ETag of what was read."`
}

// tag is what has to stand, as the control store takes it: a tag, or "" for anything.
func (c *Condition) tag() string {
	if c.IfMatch == "*" {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(c.IfMatch, "W/"), `"`)
}

// WriteCondition is the same of a write, which may also demand that there is nothing.
type WriteCondition struct {
	Condition
	IfNoneMatch string `header:"If-None-Match" maxLength:"100" doc:"* to write only where there is none."`
}

// tag is likewise, control.NoETag where nothing has to stand.
func (c *WriteCondition) tag() string {
	if c.IfNoneMatch == "*" {
		return control.NoETag
	}
	return c.Condition.tag()
}

func (s *Serving) listPlacements(ctx context.Context, site string, _ *struct{}) (*placementsOutput, *httpserver.Problem) {
	list, err := s.control.Placements(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &placementsOutput{Body: placementList{Placements: list}}, nil
}

func (s *Serving) getPlacement(ctx context.Context, site string, in *PlacementInput) (*placementOutput, *httpserver.Problem) {
	p, problem := s.placement(ctx, site, in.Name)
	if problem != nil {
		problem.Pointer = ""
		return nil, problem
	}
	return &placementOutput{ETag: quoteETag(p.ETag()), Body: p}, nil
}

func (s *Serving) putPlacement(ctx context.Context, site string, in *putPlacementInput) (*placementOutput, *httpserver.Problem) {
	w := in.Value
	written := control.Placement{Site: site, Name: in.Name, Kind: w.Kind, Limit: w.Limit, BrowserReadable: w.BrowserReadable, Settings: w.Settings}
	if err := written.Check(); err != nil {
		return nil, invalid("", "the placement: %v", err)
	}
	if _, p := ParseSettings(w.Kind, w.Settings); p != nil {
		p.Pointer = "/settings" + p.Pointer
		return nil, p
	}
	if err := s.control.PutPlacementIf(ctx, written, in.tag()); err != nil {
		return nil, placementProblem(err)
	}
	return s.getPlacement(ctx, site, &in.PlacementInput)
}

func (s *Serving) deletePlacement(ctx context.Context, site string, in *deletePlacementInput) (*struct{}, *httpserver.Problem) {
	if err := s.control.DeletePlacement(ctx, site, in.Name, in.tag()); err != nil {
		return nil, placementProblem(err)
	}
	return &struct{}{}, nil
}

// atLimit refuses one more of what there are as many of as may be.
func atLimit(limit error, hint string) *httpserver.Problem {
	p := invalid("", "%v", limit)
	p.Hint = hint
	return p
}

func placementProblem(err error) *httpserver.Problem {
	var unknown *control.UnknownPlacementError
	var tested *control.PlacementTestedError
	switch {
	case errors.As(err, &tested):
		return &httpserver.Problem{
			Type: ProblemPlacementTested, Title: "An experiment runs there", Status: http.StatusConflict, Detail: tested.Error(),
			Hint: "POST /v1/experiments/" + tested.Experiment + ":stop ends it; rules change all arms alike meanwhile",
		}
	case errors.Is(err, control.ErrChanged):
		return &httpserver.Problem{
			Type: ProblemChanged, Title: "Changed meanwhile", Status: http.StatusPreconditionFailed,
			Detail: "it does not stand as If-Match or If-None-Match says", Hint: "read it again and send the change on top of that",
		}
	case errors.Is(err, control.ErrTooManyPlacements):
		return atLimit(control.ErrTooManyPlacements, "delete one that no page asks for")
	case errors.As(err, &unknown):
		return &httpserver.Problem{
			Type: ProblemUnknownPlacement, Title: "Unknown placement", Status: http.StatusNotFound,
			Detail: unknown.Error(), Hint: "GET /v1/placements lists them",
		}
	}
	return httpserver.Fault(err)
}
