// Package registry keeps trained models in a bucket: some objects per version, published atomically and never changed
// afterwards, and small aliases that say which version is in force.
//
//	<site>/<version>/manifest.json   what it is, what it was trained on, how it did, checksums of the files below; written last
//	<site>/<version>/report.*        its evaluation, for people and for programs
//	<site>/<version>/<name>.arrow    one artifact, in the format of internal/model/artifact; .bin in versions of the earlier form
//	<site>/<version>/incomplete      while the version is being written or removed: without a manifest beside it, it is none
//	<site>/champion                  JSON: the version in force and its predecessors
//
// Any process may publish, promote and read at the same time: a reader sees a whole version or none.
package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/objstore"
)

const (
	// KeepVersions is how many versions of a site stay on disk. The champion and those that it can be rolled back to
	// stay whatever their age.
	KeepVersions = 10

	// keepPredecessors is how many steps a rollback can go back.
	keepPredecessors = 3

	// abandonedAfter is the age at which a half-published version belongs to a publisher that died. Publishing takes
	// seconds, a minute on a slow line.
	abandonedAfter = time.Hour

	// MaxManifestBytes bounds what is read of a manifest or alias; real ones have some kilobytes.
	MaxManifestBytes = 4 << 20

	manifestName   = "manifest.json"
	championName   = "champion"
	incompleteName = "incomplete"
)

var (
	// ErrNoChampion means that no version of the site is in force yet.
	ErrNoChampion = errors.New("no model has been promoted yet; `millrace train` makes one as soon as there is enough data")

	// ErrUnknownVersion is what an *UnknownVersionError is.
	ErrUnknownVersion = errors.New("unknown model version")

	// ErrFenced means that a training that began later has put its version in force.
	ErrFenced = errors.New("a training that began later has put its version in force")

	// ErrAmbiguousVersion means a beginning of several versions' names.
	ErrAmbiguousVersion = errors.New("which of several model versions is meant")

	// ErrNothingToRollBackTo means that the champion has no predecessor that is still on disk.
	ErrNothingToRollBackTo = errors.New("there is no earlier champion to go back to")

	versionPattern = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.-]{0,63}$`)
)

// UnknownVersionError names the versions that do exist, newest first.
type UnknownVersionError struct {
	Site, Version string
	Known         []string
}

func (e *UnknownVersionError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("unknown model version %q: site %s has no models", e.Version, e.Site)
	}
	return fmt.Sprintf("unknown model version %q of site %s; known are %s", e.Version, e.Site, strings.Join(e.Known, ", "))
}

// Is makes errors.Is(err, ErrUnknownVersion) true.
func (e *UnknownVersionError) Is(target error) bool { return target == ErrUnknownVersion }

// Registry is the models in a bucket. It holds no state, so it is safe for concurrent use.
type Registry struct {
	place  objstore.Place
	bucket objstore.Bucket
}

// Open opens the registry in a bucket.
func Open(ctx context.Context, place objstore.Place) (*Registry, error) {
	bucket, err := place.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open model registry: %w", err)
	}
	return &Registry{place: place, bucket: bucket}, nil
}

// Location names a file of the registry for people: a path, or an s3:// URL.
func (r *Registry) Location(key string) string { return r.place.Location(key) }

// alias is the content of an alias file.
type alias struct {
	Version string `json:"version"`
	// Predecessors are former champions, the newest first.
	Predecessors []string `json:"predecessors,omitempty"`
	// Fence is the greatest fence of a training that put a version in force.
	Fence int64 `json:"fence,omitempty"`
}

// ChampionVersion returns the version in force, or ErrNoChampion. It reads one tiny file, so it can be asked each second.
func (r *Registry) ChampionVersion(ctx context.Context, site string) (string, error) {
	a, err := r.readAlias(ctx, site)
	return a.Version, err
}

// Champion returns the manifest of the version in force; ok is false when there is none yet.
func (r *Registry) Champion(ctx context.Context, site string) (m Manifest, ok bool, err error) {
	version, err := r.ChampionVersion(ctx, site)
	if errors.Is(err, ErrNoChampion) {
		return Manifest{}, false, nil
	}
	if err != nil {
		return Manifest{}, false, err
	}
	m, err = r.Manifest(ctx, site, version)
	return m, err == nil, err
}

// Predecessors returns the former champions that a rollback can go back to, the newest first, or ErrNoChampion. Nothing
// says that they are intact, or still on disk.
func (r *Registry) Predecessors(ctx context.Context, site string) ([]string, error) {
	a, err := r.readAlias(ctx, site)
	return a.Predecessors, err
}

// Promote puts a version in force: readers that poll ChampionVersion see the old one or the new one, never neither.
// Before, it checks every file of the version: a damaged one is a *CorruptError, an absent one an *UnknownVersionError,
// and the champion stays. A damaged alias file is replaced, and what it said of predecessors is lost.
func (r *Registry) Promote(ctx context.Context, site, version string) error {
	return r.promote(ctx, site, version, math.MaxInt64)
}

// PromoteFenced is Promote by a training of a fence, the time when it began: one that stood still while another training came and
// went gets ErrFenced instead of taking the site back.
func (r *Registry) PromoteFenced(ctx context.Context, site, version string, fence int64) error {
	return r.promote(ctx, site, version, fence)
}

func (r *Registry) promote(ctx context.Context, site, version string, fence int64) error {
	if err := r.verify(ctx, site, version); err != nil {
		return fmt.Errorf("promote model: %w", err)
	}
	a, err := r.readAlias(ctx, site)
	if err != nil && !errors.Is(err, ErrNoChampion) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("promote model: %w", err)
	}
	if fence < a.Fence {
		return fmt.Errorf("promote model: %w", ErrFenced)
	}
	if a.Version == version {
		return nil
	}
	next := alias{Version: version, Predecessors: a.Predecessors, Fence: a.Fence}
	if fence != math.MaxInt64 {
		next.Fence = fence
	}
	if a.Version != "" {
		next.Predecessors = slices.Insert(slices.Clone(a.Predecessors), 0, a.Version)
	}
	next.Predecessors = slices.DeleteFunc(next.Predecessors, func(v string) bool { return v == version })
	next.Predecessors = next.Predecessors[:min(len(next.Predecessors), keepPredecessors)]
	if err := r.writeAlias(ctx, site, next); err != nil {
		return fmt.Errorf("promote model: %w", err)
	}
	return nil
}

// Rollback puts the champion's predecessor in force again and returns it. Doing it twice goes two steps back. A
// predecessor that is no longer on disk is passed over; a damaged one is a *CorruptError, and the champion stays: how far
// to go back is then for the caller to say, by Promote.
func (r *Registry) Rollback(ctx context.Context, site string) (string, error) {
	a, err := r.readAlias(ctx, site)
	if err != nil {
		return "", fmt.Errorf("roll back model: %w", err)
	}
	for i, version := range a.Predecessors {
		err := r.verify(ctx, site, version)
		if errors.Is(err, ErrUnknownVersion) {
			continue
		}
		if err == nil {
			err = r.writeAlias(ctx, site, alias{Version: version, Predecessors: a.Predecessors[i+1:], Fence: a.Fence})
		}
		if err != nil {
			return "", fmt.Errorf("roll back model: %w", err)
		}
		return version, nil
	}
	return "", fmt.Errorf("roll back model of site %s: %w", site, ErrNothingToRollBackTo)
}

func (r *Registry) readAlias(ctx context.Context, site string) (alias, error) {
	if err := event.CheckSite(site); err != nil {
		return alias{}, fmt.Errorf("read champion: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return alias{}, err
	}
	key := path.Join(site, championName)
	b, err := r.readBounded(ctx, key)
	if errors.Is(err, objstore.ErrNotFound) {
		return alias{}, ErrNoChampion
	}
	if err != nil {
		return alias{}, fmt.Errorf("read champion: %w", err)
	}
	var a alias
	if err := json.Unmarshal(b, &a); err != nil || !versionPattern.MatchString(a.Version) {
		return alias{}, &CorruptError{Path: r.Location(key), Err: errors.Join(errors.New("it names no version"), err)}
	}
	return a, nil
}

func (r *Registry) writeAlias(ctx context.Context, site string, a alias) error {
	b, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode champion: %w", err)
	}
	b = append(b, '\n')
	if err := r.bucket.Put(ctx, path.Join(site, championName), bytes.NewReader(b), int64(len(b))); err != nil {
		return fmt.Errorf("write champion: %w", err)
	}
	return nil
}

func checkNames(site, version string) error {
	if err := event.CheckSite(site); err != nil {
		return err
	}
	if !versionPattern.MatchString(version) {
		return &UnknownVersionError{Site: site, Version: version}
	}
	return nil
}
