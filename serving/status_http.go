package serving

import (
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/registry"
)

// ProblemUnknownVisitor is the type of a request for a visitor of whom nothing is known.
const ProblemUnknownVisitor = "unknown-visitor"

// handleFeatures answers GET /v1/users/{id}/features: the online features as requests see them now.
func (s *Serving) handleFeatures(w http.ResponseWriter, r *http.Request, site string) {
	who, p := pathWho(r, site)
	if p != nil {
		writeProblem(w, r, p)
		return
	}
	found := &visitor{}
	err := s.visitors.load(r.Context(), found, site, identity{user: who.User, anonymous: who.Browser})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !found.known {
		writeProblem(w, r, &httpserver.Problem{
			Type: ProblemUnknownVisitor, Title: "Unknown visitor", Status: http.StatusNotFound,
			Detail: "no event of this visitor has been applied",
			Hint:   "name a user_id, or a browser as anonymous:ID; a refused consent leaves no profile",
		})
		return
	}
	s.answer(w, r, http.StatusOK, found.profile.View(found.profileID))
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
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	InForce   bool      `json:"in_force"` // on this node
	Champion  bool      `json:"champion"` // in the registry
	Promoted  bool      `json:"promoted"` // by the gate, when it was trained
	Reason    string    `json:"reason"`   // of the gate
	Damaged   string    `json:"damaged,omitempty"`
	// NotReproducible is the first erasure that took rows which the version was trained on.
	NotReproducible string                        `json:"not_reproducible_since_erasure,omitempty"`
	Models          map[string]registry.ModelInfo `json:"models"`
}

// handleModels answers GET /v1/models: the versions of the site, newest first.
func (s *Serving) handleModels(w http.ResponseWriter, r *http.Request, site string) {
	list, err := s.reg.List(r.Context(), site)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	champion, err := s.reg.ChampionVersion(r.Context(), site)
	if err != nil && !isNoChampion(err) {
		s.fail(w, r, err)
		return
	}
	answer := struct {
		Champion string         `json:"champion"`
		Models   []modelSummary `json:"models"`
	}{Champion: champion, Models: make([]modelSummary, len(list))}
	erasures, err := s.control.Erasures(r.Context(), site)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	loaded := s.models.of(site)
	for i, m := range list {
		answer.Models[i] = modelSummary{
			Version: m.Version, CreatedAt: m.CreatedAt, Champion: m.Version == champion, Promoted: m.Gate.Promoted,
			Reason: m.Gate.Reason, Damaged: m.Damaged, NotReproducible: control.NotReproducibleSince(erasures, m.CreatedAt), Models: m.Models, InForce: loaded != nil && loaded.Manifest.Version == m.Version,
		}
	}
	s.answer(w, r, http.StatusOK, answer)
}

// status is what GET /v1/status says of a site on this node.
type status struct {
	Site           string    `json:"site"`
	Ready          bool      `json:"ready"`
	Reason         string    `json:"reason,omitempty"` // why not
	ModelVersion   string    `json:"model_version"`    // "" while the ladder answers
	ModelCreatedAt time.Time `json:"model_created_at,omitzero"`
	FreshSessions  int       `json:"fresh_sessions"` // closed since the model was trained, and over it
	CatalogueItems int       `json:"catalogue_items"`
	EventItems     int       `json:"event_items"`    // items that events named, as of the last reading
	TrendsAt       time.Time `json:"clock,omitzero"` // newest occurred_at of the site
}

func (s *Serving) handleStatus(w http.ResponseWriter, r *http.Request, site string) {
	trends := s.trends.of(site)
	answer := status{Site: site, Ready: true, CatalogueItems: s.catalogue.size(site), EventItems: len(trends.items)}
	if err := s.Ready(); err != nil {
		answer.Ready, answer.Reason = false, err.Error()
	}
	if loaded := s.models.of(site); loaded != nil {
		answer.ModelVersion, answer.ModelCreatedAt, answer.FreshSessions = loaded.Manifest.Version, loaded.Manifest.CreatedAt, loaded.fresh
	}
	if trends.clock > 0 {
		answer.TrendsAt = time.UnixMilli(trends.clock).UTC()
	}
	s.answer(w, r, http.StatusOK, answer)
}
