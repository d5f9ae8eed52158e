package serving

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/registry"
)

func (s *Serving) statusEndpoints(a *api.API) {
	secretEndpoint(s, a, api.Endpoint{
		ID: "getStatus", Method: http.MethodGet, Path: "/v1/status", Tag: api.TagStatus, Scope: string(control.ScopeAdmin), Summary: "Status of the site",
		Description: "What this node serves the site with, and how the node and what it lives on do. The admin listener shows the same of all sites, with the last errors, as a page: /admin/status.",
	}, s.getStatus)
}

// handleRefreshModels answers POST /admin/models:refresh once this node has looked for new champions: a command that
// promoted one ends when it answers.
func (s *Serving) handleRefreshModels(w http.ResponseWriter, r *http.Request) {
	if err := s.models.refresh(r.Context()); err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, struct{}{})
}

// modelSummary is one version in GET /v1/models.
type modelSummary struct {
	Version   string    `json:"version" doc:"Its name." example:"20260302-120000-1"`
	CreatedAt time.Time `json:"created_at" doc:"When it was trained."`
	InForce   bool      `json:"in_force" doc:"Whether this node serves it."`
	Champion  bool      `json:"champion" doc:"Whether the registry names it as the one to serve."`
	Promoted  bool      `json:"promoted" doc:"Whether the gate promoted it when it was trained."`
	Reason    string    `json:"reason" doc:"Why the gate did, or did not."`
	Damaged   string    `json:"damaged,omitempty" doc:"What is wrong with its files."`

	NotReproducible string                        `json:"not_reproducible_since_erasure,omitempty" doc:"The first erasure that took rows which the version was trained on."`
	Models          map[string]registry.ModelInfo `json:"models" doc:"The methods in it, by name."`
}

// modelList is the versions of a site.
type modelList struct {
	Champion string         `json:"champion" doc:"The version that the registry names as the one to serve; empty while there is none."`
	Models   []modelSummary `json:"models" doc:"Newest first."`
}

type modelsOutput struct {
	Body modelList
}

func (s *Serving) listModels(ctx context.Context, site string, _ *struct{}) (*modelsOutput, *httpserver.Problem) {
	list, err := s.reg.List(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	champion, err := s.reg.ChampionVersion(ctx, site)
	if err != nil && !isNoChampion(err) {
		return nil, httpserver.Fault(err)
	}
	erasures, err := s.control.Erasures(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	answer := modelList{Champion: champion, Models: make([]modelSummary, len(list))}
	loaded := s.models.of(site)
	for i, m := range list {
		if m.Models == nil { // a damaged manifest does not say
			m.Models = map[string]registry.ModelInfo{}
		}
		answer.Models[i] = modelSummary{
			Version: m.Version, CreatedAt: m.CreatedAt, Champion: m.Version == champion, Promoted: m.Gate.Promoted,
			Reason: m.Gate.Reason, Damaged: m.Damaged, NotReproducible: control.NotReproducibleSince(erasures, m.CreatedAt),
			Models: m.Models, InForce: loaded != nil && loaded.Manifest.Version == m.Version,
		}
	}
	return &modelsOutput{Body: answer}, nil
}

// status is what GET /v1/status says of a site on this node.
type status struct {
	Site           string    `json:"site" doc:"The key's site." example:"default"`
	Ready          bool      `json:"ready" doc:"Whether requests are answered as they should be."`
	Reason         string    `json:"reason,omitempty" doc:"Why not."`
	ModelVersion   string    `json:"model_version" doc:"The version in force; empty while the ladder answers." example:"20260302-120000-1"`
	ModelCreatedAt time.Time `json:"model_created_at,omitzero" doc:"When it was trained."`
	FreshSessions  int       `json:"fresh_sessions" doc:"Sessions that were closed since the model was trained, and lie over it."`
	CatalogueItems int       `json:"catalogue_items" doc:"Rows of the catalogue."`
	EventItems     int       `json:"event_items" doc:"Items that events named, as of the last reading."`
	TrendsAt       time.Time `json:"clock,omitzero" doc:"The newest occurred_at of the site."`

	Experiments []runningExperiment `json:"experiments" doc:"Those that run, by placement."`

	Node *nodeStatus `json:"node,omitempty" doc:"What is the same for all sites of the node."`
}

// nodeStatus is what GET /v1/status says of this node. Nothing in it names a site.
type nodeStatus struct {
	Version       string            `json:"version" doc:"Of the program." example:"1.4.0"`
	StartedAt     time.Time         `json:"started_at" doc:"When it began."`
	UptimeSeconds int64             `json:"uptime_seconds" doc:"How long ago that is."`
	Neighbours    []neighbourStatus `json:"neighbours" doc:"What the node lives on, and how it answers."`
	Degraded      map[string]int64  `json:"degraded" doc:"Lists that a rung of the ladder had to answer, by rung, since the start."`
	Empty         int64             `json:"empty" doc:"Lists without an item, since the start."`

	ExposuresQueued     int   `json:"exposures_queued" doc:"Records of lists that wait for Kafka."`
	ExposuresLimit      int   `json:"exposures_limit" doc:"How many may wait."`
	ExposuresBytes      int64 `json:"exposures_bytes" doc:"Their bytes."`
	ExposuresBytesLimit int64 `json:"exposures_bytes_limit" doc:"How many bytes may wait."`
	ExposuresDropped    int64 `json:"exposures_dropped" doc:"Records that were dropped, since the start."`
}

func (s *Serving) nodeStatus() nodeStatus {
	return nodeStatus{
		Version: s.version, StartedAt: s.startedAt.UTC(), UptimeSeconds: int64(time.Since(s.startedAt).Seconds()), Neighbours: s.neighbours(),
		Degraded: s.metrics.degradedByRung(), Empty: count(s.metrics.empty),
		ExposuresQueued: len(s.exposures.queue), ExposuresLimit: maxExposureQueue,
		ExposuresBytes: s.exposures.bytes.Load(), ExposuresBytesLimit: maxExposureBytes, ExposuresDropped: count(s.metrics.dropped),
	}
}

type statusOutput struct {
	Body status
}

func (s *Serving) getStatus(ctx context.Context, site string, _ *struct{}) (*statusOutput, *httpserver.Problem) {
	answer, node := s.siteStatus(ctx, site), s.nodeStatus()
	answer.Node = &node
	return &statusOutput{Body: answer}, nil
}

func (s *Serving) siteStatus(ctx context.Context, site string) status {
	trends := s.trends.of(site)
	answer := status{Site: site, Ready: true, CatalogueItems: s.catalogue.size(site), EventItems: len(trends.items), Experiments: s.experiments.status(ctx, site)}
	if err := s.Ready(); err != nil {
		answer.Ready, answer.Reason = false, err.Error()
	}
	if loaded := s.models.of(site); loaded != nil {
		answer.ModelVersion, answer.ModelCreatedAt, answer.FreshSessions = loaded.Manifest.Version, loaded.Manifest.CreatedAt, loaded.fresh
	}
	if trends.clock > 0 {
		answer.TrendsAt = time.UnixMilli(trends.clock).UTC()
	}
	return answer
}
