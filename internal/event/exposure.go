package event

import (
	"encoding/json"
	"time"
)

// ExposureSchema is the schema header of the exposures topic. Version 2 says in Detail what a record holds; in version 1 every
// record had its candidates, and none what the list was made from.
const ExposureSchema = "exposure/2"

// How much an exposure holds.
const (
	DetailCompact = "compact" // what was asked and shown
	DetailFull    = "full"    // also what was considered, and what the list was made from
)

// Exposure is one list that was served: what was asked, what was considered, what was shown and why. It is the training
// material of rankers and the evidence behind "explain"; it cannot be back-filled.
type Exposure struct {
	RecID          string              `json:"rec_id"`
	Site           string              `json:"site"`
	Placement      string              `json:"placement"`
	Variant        string              `json:"variant,omitempty"`
	ModelVersion   string              `json:"model_version,omitempty"`
	ServedBy       string              `json:"served_by,omitempty"`
	Degraded       string              `json:"degraded,omitempty"`
	Stale          bool                `json:"stale,omitempty"`
	ServedAt       time.Time           `json:"served_at"`
	ProfileID      string              `json:"profile_id,omitempty"` // key of the profile that made the query
	AnonymousID    string              `json:"anonymous_id,omitempty"`
	UserID         string              `json:"user_id,omitempty"`
	SessionID      string              `json:"session_id,omitempty"`
	Request        ExposureRequest     `json:"request"`
	Items          []ExposureItem      `json:"items"`
	Candidates     []ExposureCandidate `json:"candidates,omitempty"`
	Features       map[string]float64  `json:"features,omitempty"` // request-level features by name
	FeatureVersion int32               `json:"feature_version,omitempty"`
	DurationMicros int64               `json:"duration_us,omitempty"`
	Detail         string              `json:"detail,omitempty"` // DetailCompact or DetailFull, "" in version 1
	// Inputs are what the list was made from, as the version of serving that made it writes them: whoever else reads them finds a
	// JSON object. Only a full record has them.
	Inputs json.RawMessage `json:"inputs,omitempty"`
}

// ExposureRequest is the caller's question.
type ExposureRequest struct {
	ItemIDs    []string          `json:"item_ids,omitempty"`
	Limit      int32             `json:"limit,omitempty"`
	Filter     string            `json:"filter,omitempty"`
	Boosts     []string          `json:"boosts,omitempty"`
	ExcludeIDs []string          `json:"exclude_ids,omitempty"`
	Diversity  *float64          `json:"diversity,omitempty"`
	Context    map[string]string `json:"context,omitempty"`
	AfterEvent string            `json:"after_event,omitempty"`
}

// ExposureItem is one position of the list that was shown; Position counts from 0. Propensity is the probability with
// which the logging policy showed the item there, nil where the list was deterministic.
type ExposureItem struct {
	ItemID     string   `json:"item_id"`
	Position   int32    `json:"position"`
	Score      float64  `json:"score"`
	Source     string   `json:"source,omitempty"` // the family that brought it: vmisknn, transitions, trending, ...
	Propensity *float64 `json:"propensity,omitempty"`
	Reasons    []string `json:"reasons,omitempty"`
}

// ExposureCandidate is one item that was considered, with its score as it was ranked, its score by family and features by name.
type ExposureCandidate struct {
	ItemID   string             `json:"item_id"`
	Score    *float64           `json:"score,omitempty"` // nil in version 1
	Scores   map[string]float64 `json:"scores,omitempty"`
	Features map[string]float64 `json:"features,omitempty"`
	Dropped  string             `json:"dropped,omitempty"` // why it was not shown: unavailable, excluded, seen, ...
}
