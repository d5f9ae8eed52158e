package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrCorrupt is what a *CorruptError is.
var ErrCorrupt = errors.New("model file is damaged")

// CorruptError names the damaged file and why it cannot be used.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("model file %s is damaged (%v); run `millrace train` to make a new version, or `millrace models rollback` "+
		"to go back to the one before", e.Path, e.Err)
}

// Unwrap returns why the file cannot be used.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Manifest says what a version is. It names no user, visitor or session, and neither do the artifacts.
type Manifest struct {
	Version   string    `json:"version"`
	Site      string    `json:"site"`
	CreatedAt time.Time `json:"created_at"`
	Source    Source    `json:"source"`
	Seed      uint64    `json:"seed"`
	// Models says how each model was fitted and how it did, by the name it serves under.
	Models map[string]ModelInfo `json:"models"`
	Gate   Gate                 `json:"gate"`
	Files  []File               `json:"files"`
}

// Source is the data that the models were fitted on.
type Source struct {
	// SnapshotID is the lake snapshot of the events table; Fences are the Kafka offsets up to which it holds the events
	// topic, by partition.
	SnapshotID int64            `json:"snapshot_id,string"`
	Fences     map[string]int64 `json:"fences,omitempty"`
	From       time.Time        `json:"from"` // occurred_at of the first event used
	To         time.Time        `json:"to"`   // occurred_at of the last event used
	Logical    bool             `json:"logical_clock,omitempty"`
	Rows       int64            `json:"rows"`     // events read
	Events     int64            `json:"events"`   // item interactions kept of them
	Sessions   int64            `json:"sessions"` // sessions of two or more interactions
	Items      int64            `json:"items"`
}

// ModelInfo is one model of a version.
type ModelInfo struct {
	Kind       string            `json:"kind"`
	Params     json.RawMessage   `json:"params"`
	Metrics    map[string]Metric `json:"metrics,omitempty"` // on the test part, fitted on the part before it
	FitSeconds float64           `json:"fit_seconds"`
}

// Metric is a figure with its bootstrap 95 % interval.
type Metric struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Gate is the decision whether the version was put in force when it was trained.
type Gate struct {
	Promoted bool   `json:"promoted"`
	Reason   string `json:"reason"`
	// Champion is the version that was in force at the time, empty when there was none.
	Champion string `json:"champion,omitempty"`
	// Examples is the number of predictions that were judged.
	Examples int `json:"examples"`
}

// File is one artifact of a version.
type File struct {
	Model  string `json:"model"` // the name it serves under; "vocabulary" for the item ids
	Kind   string `json:"kind"`  // chooses the codec
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}
