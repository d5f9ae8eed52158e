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
	RecID          string              `json:"rec_id" doc:"The list."`
	Site           string              `json:"site" doc:"The site."`
	Placement      string              `json:"placement" doc:"Where it was shown."`
	Variant        string              `json:"variant,omitempty" doc:"EXPERIMENT:ARM where an experiment ran on the placement, else default."`
	ModelVersion   string              `json:"model_version,omitempty" doc:"The version that answered."`
	ServedBy       string              `json:"served_by,omitempty" doc:"The source that brought the first item most."`
	Degraded       string              `json:"degraded,omitempty" doc:"none, or the rung of the ladder that answered."`
	Stale          bool                `json:"stale,omitempty" doc:"Whether after_event was not applied in time."`
	ServedAt       time.Time           `json:"served_at" doc:"When."`
	ProfileID      string              `json:"profile_id,omitempty" doc:"The profile that the list was made from."`
	AnonymousID    string              `json:"anonymous_id,omitempty" doc:"The browser that asked."`
	UserID         string              `json:"user_id,omitempty" doc:"The user that asked."`
	SessionID      string              `json:"session_id,omitempty" doc:"The visit."`
	Request        ExposureRequest     `json:"request" doc:"What was asked."`
	Items          []ExposureItem      `json:"items" doc:"What was shown, in order."`
	Candidates     []ExposureCandidate `json:"candidates,omitempty" doc:"What was considered; in full records."`
	Features       map[string]float64  `json:"features,omitempty" doc:"Features of the request by name."`
	FeatureVersion int32               `json:"feature_version,omitempty" doc:"Which meaning of features."`
	DurationMicros int64               `json:"duration_us,omitempty" doc:"Microseconds that the list took."`
	Detail         string              `json:"detail,omitempty" doc:"compact or full: how much is recorded."`
	// Inputs are what the list was made from, as the version of serving that made it writes them: whoever else reads them finds a
	// JSON object. Only a full record has them.
	Inputs json.RawMessage `json:"inputs,omitempty" doc:"What the list was made from, for millrace replay."`
}

// ExposureRequest is the caller's question.
type ExposureRequest struct {
	ItemIDs    []string          `json:"item_ids,omitempty" doc:"As asked."`
	Limit      int32             `json:"limit,omitempty" doc:"How many were wanted."`
	Filter     string            `json:"filter,omitempty" doc:"As asked."`
	Boosts     []string          `json:"boosts,omitempty" doc:"As asked."`
	ExcludeIDs []string          `json:"exclude_ids,omitempty" doc:"As asked."`
	Diversity  *float64          `json:"diversity,omitempty" doc:"As asked."`
	Context    map[string]string `json:"context,omitempty" doc:"As asked."`
	AfterEvent string            `json:"after_event,omitempty" doc:"As asked."`
}

// ExposureItem is one position of the list that was shown; Position counts from 0. Propensity is the probability with which this item
// stood at this place, over all that was left to chance, given the request and the list that was made for it: 1 where nothing was. A
// list of which a share e explores gives one of the k places of its second half to one of n items: the item that was drawn has e/(k*n),
// what stands at another of these places, and all of them in a list that was not chosen to explore, 1-e/k. Weighing by the inverse
// makes sums over lists unbiased for each place. It is nil in records from before there was an exploration.
type ExposureItem struct {
	ItemID     string   `json:"item_id" doc:"The item."`
	Position   int32    `json:"position" doc:"From 0."`
	Score      float64  `json:"score" doc:"As it was ranked."`
	Source     string   `json:"source,omitempty" doc:"The family that brought it."`
	Propensity *float64 `json:"propensity,omitempty" doc:"The probability with which it stood there, over all that was left to chance: 1 where nothing was. Absent in old records."`
	Reasons    []string `json:"reasons,omitempty" doc:"What was told to the visitor."`
}

// ExposureCandidate is one item that was considered, with its score as it was ranked, its score by family and features by name.
type ExposureCandidate struct {
	ItemID   string             `json:"item_id" doc:"The item."`
	Score    *float64           `json:"score,omitempty" doc:"As it was ranked."`
	Scores   map[string]float64 `json:"scores,omitempty" doc:"By family."`
	Features map[string]float64 `json:"features,omitempty" doc:"By name."`
	Dropped  string             `json:"dropped,omitempty" doc:"Why it was not shown."`
}
