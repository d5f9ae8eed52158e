package serving

import (
	"context"
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownJob is the type of a request for a job that the site does not have.
const ProblemUnknownJob = "unknown-job"

func (s *Serving) operationEndpoints(a *api.API) {
	admin := string(control.ScopeAdmin)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listAudit", Method: http.MethodGet, Path: "/v1/audit", Tag: api.TagStatus, Scope: admin, Summary: "Who changed what",
		Description: "Changes of keys, placements, rules, feeds and models, and requests for erasures: newest first, a page at a time.",
	}, s.listAudit)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listJobs", Method: http.MethodGet, Path: "/v1/jobs", Tag: api.TagStatus, Scope: admin, Summary: "List jobs",
		Description: "Trainings and other long work of the site, newest first.",
	}, s.listJobs)
	secretEndpoint(s, a, api.Endpoint{
		ID: "getJob", Method: http.MethodGet, Path: "/v1/jobs/{id}", Tag: api.TagStatus, Scope: admin, Summary: "Progress of a job",
		Description: "How far a job has come, and what became of it.", Problems: []string{ProblemUnknownJob},
	}, s.getJob)
}

type auditInput struct {
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Entries on a page."`
	PageToken string `query:"page_token" maxLength:"64" doc:"The next_page_token of the page before."`
}

type auditPage struct {
	Entries       []control.AuditRecord `json:"entries" doc:"Newest first."`
	NextPageToken string                `json:"next_page_token,omitempty" doc:"Asks for the next page; absent on the last."`
}

type auditOutput struct{ Body auditPage }

func (s *Serving) listAudit(ctx context.Context, site string, in *auditInput) (*auditOutput, *httpserver.Problem) {
	entries, err := s.control.AuditLog(ctx, site, in.PageToken, in.Limit)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	page := auditPage{Entries: entries}
	if len(entries) == in.Limit {
		page.NextPageToken = entries[len(entries)-1].ID
	}
	return &auditOutput{Body: page}, nil
}

type jobsInput struct {
	Kind  string `query:"kind" maxLength:"64" doc:"Only jobs of this kind." example:"train"`
	State string `query:"state" enum:"running,done,failed,cancelled" doc:"Only jobs in this state."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many, the newest."`
}

type jobList struct {
	Jobs []control.Job `json:"jobs" doc:"Newest first."`
}

type jobsOutput struct{ Body jobList }

func (s *Serving) listJobs(ctx context.Context, site string, in *jobsInput) (*jobsOutput, *httpserver.Problem) {
	jobs, err := s.control.Jobs(ctx, control.JobFilter{Site: site, Kind: in.Kind, State: control.JobState(in.State), Limit: in.Limit})
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &jobsOutput{Body: jobList{Jobs: append([]control.Job{}, jobs...)}}, nil
}

type jobInput struct {
	ID string `path:"id" minLength:"1" maxLength:"64" doc:"The job's id." example:"job_q5xw3m7k2ahd4e6f"`
}

type jobOutput struct{ Body control.Job }

func (s *Serving) getJob(ctx context.Context, site string, in *jobInput) (*jobOutput, *httpserver.Problem) {
	jobs, err := s.control.Jobs(ctx, control.JobFilter{Site: site, ID: in.ID, Limit: 1})
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	if len(jobs) == 0 {
		return nil, &httpserver.Problem{
			Type: ProblemUnknownJob, Title: "Unknown job", Status: http.StatusNotFound,
			Detail: "the site has no job with this id", Hint: "GET /v1/jobs lists them",
		}
	}
	return &jobOutput{Body: jobs[0]}, nil
}
