package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

// versionTime is the time of publication that a version's name begins with: names sort by age.
const versionTime = "20060102T150405.000Z"

// ErrCorrupt is what a *CorruptError is.
var ErrCorrupt = errors.New("model file is damaged")

// errMissing is why a file that a version must have cannot be used.
var errMissing = errors.New("it is missing")

// CorruptError names the damaged file and why it cannot be used.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("model file %s is damaged (%v); restore it, or run `millrace train` to make a new version, or put another "+
		"one in force with `millrace models promote VERSION` (`millrace models list` shows them)", e.Path, e.Err)
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
	// Reports are the version's evaluation for people and programs: self-contained files that no model needs.
	Reports []File `json:"reports,omitempty"`
	// Damaged says in a listing what is wrong with the manifest file; then only Version, Site and CreatedAt are known.
	// It is empty on disk.
	Damaged string `json:"damaged,omitempty"`
}

// Source is the data that the models were fitted on.
type Source struct {
	// SnapshotID is the lake snapshot of the events table; Fences are the Kafka offsets up to which it holds the events
	// topic, by partition, and Epoch the life of the topic that they are of. A closed session that knows of an event behind
	// them goes over the version (serving); every other one is in it.
	SnapshotID int64            `json:"snapshot_id,string"`
	Epoch      int64            `json:"epoch,omitempty"` // 0 in versions made before it was noted
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
	Kind       string            `json:"kind" doc:"Which method." example:"vmisknn"`
	Params     json.RawMessage   `json:"params" doc:"Its settings."`
	Metrics    map[string]Metric `json:"metrics,omitempty" doc:"On the newest part of the data, fitted on the part before it."`
	FitSeconds float64           `json:"fit_seconds" doc:"How long fitting took."`
}

// Metric is a figure with its bootstrap 95 % interval.
type Metric struct {
	Value float64 `json:"value" doc:"The figure." example:"0.31"`
	Low   float64 `json:"low" doc:"Of its 95 % interval." example:"0.29"`
	High  float64 `json:"high" doc:"Of its 95 % interval." example:"0.33"`
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

// List returns the manifests of a site, newest first. Of a version whose manifest is damaged it returns what the name
// tells, and Damaged. It reads no artifact: Promote and Load find damage there.
func (r *Registry) List(ctx context.Context, site string) ([]Manifest, error) {
	names, err := r.versions(ctx, site)
	if err != nil {
		return nil, err
	}
	list := make([]Manifest, 0, len(names))
	for _, name := range names {
		m, err := r.Manifest(ctx, site, name)
		if errors.Is(err, ErrUnknownVersion) {
			continue // pruned by another process since the directory was listed
		}
		var corrupt *CorruptError
		if errors.As(err, &corrupt) {
			m, err = damagedManifest(site, name, corrupt), nil
		}
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// damagedManifest stands in a listing for a manifest that cannot be read.
func damagedManifest(site, version string, corrupt *CorruptError) Manifest {
	m := Manifest{
		Version: version, Site: site, Models: map[string]ModelInfo{}, Files: []File{},
		Damaged: fmt.Sprintf("%s: %v", path.Base(filepath.ToSlash(corrupt.Path)), corrupt.Err),
	}
	// A name that Publish did not make tells no time.
	m.CreatedAt, _ = time.Parse(versionTime, version[:min(len(version), len(versionTime))])
	return m
}

// Manifest reads the manifest of one version: an *UnknownVersionError when there is no such version, a *CorruptError
// when the file is damaged or missing.
func (r *Registry) Manifest(ctx context.Context, site, version string) (Manifest, error) {
	if err := checkNames(site, version); err != nil {
		return Manifest{}, err
	}
	if err := ctx.Err(); err != nil {
		return Manifest{}, err
	}
	key := path.Join(site, version, manifestName)
	b, err := r.readBounded(ctx, key)
	if errors.Is(err, objstore.ErrNotFound) {
		known, listErr := r.versions(ctx, site)
		if slices.Contains(known, version) {
			return Manifest{}, &CorruptError{Path: r.Location(key), Err: errMissing}
		}
		return Manifest{}, errors.Join(&UnknownVersionError{Site: site, Version: version, Known: known}, listErr)
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("read model manifest: %w", err)
	}
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return Manifest{}, &CorruptError{Path: r.Location(key), Err: err}
	}
	if m.Site != site || m.Version != version {
		return Manifest{}, &CorruptError{Path: r.Location(key), Err: fmt.Errorf("it describes version %q of site %q", m.Version, m.Site)}
	}
	return m, nil
}

// stored is what is in the bucket of one version.
type stored struct {
	manifest   bool
	incomplete *objstore.Info // its marker; nil where there is none
}

// listStored lists all there is of a site's versions, by name.
func (r *Registry) listStored(ctx context.Context, site string) (map[string]stored, error) {
	out := make(map[string]stored)
	for info, err := range r.bucket.List(ctx, site+"/") {
		if err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
		version, file, below := strings.Cut(strings.TrimPrefix(info.Key, site+"/"), "/")
		if !below || !versionPattern.MatchString(version) {
			continue
		}
		s := out[version]
		switch file {
		case manifestName:
			s.manifest = true
		case incompleteName:
			s.incomplete = &info
		}
		out[version] = s
	}
	return out, nil
}

// versions lists the versions of a site, newest first: names begin with the time of publication. One that has lost its
// manifest is still one, and damaged.
func (r *Registry) versions(ctx context.Context, site string) ([]string, error) {
	all, err := r.listStored(ctx, site)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, s := range all {
		if s.manifest || s.incomplete == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// readBounded reads a small file.
func (r *Registry) readBounded(ctx context.Context, key string) ([]byte, error) {
	body, err := r.bucket.Get(ctx, key, 0, MaxManifestBytes+1)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if len(b) > MaxManifestBytes {
		return nil, &CorruptError{Path: r.Location(key), Err: fmt.Errorf("it is longer than %d bytes", MaxManifestBytes)}
	}
	return b, nil
}
