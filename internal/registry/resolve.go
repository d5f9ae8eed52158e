package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/event"
)

// Resolve finds the version that a person means: the one in force by the name champion (ErrNoChampion where there is none), or
// a version by its name or by a beginning that no other one has. An unknown one is an
// *UnknownVersionError, a beginning of several ErrAmbiguousVersion. It reads no manifest:
// the version may be damaged.
func (r *Registry) Resolve(ctx context.Context, site, name string) (version string, err error) {
	if name == championName {
		return r.ChampionVersion(ctx, site)
	}
	if err := event.CheckSite(site); err != nil {
		return "", err
	}
	known, err := r.versions(ctx, site)
	if err != nil {
		return "", err
	}
	if slices.Contains(known, name) {
		return name, nil
	}
	var meant []string
	for _, version := range known {
		if name != "" && strings.HasPrefix(version, name) {
			meant = append(meant, version)
		}
	}
	switch len(meant) {
	case 0:
		return "", &UnknownVersionError{Site: site, Version: name, Known: known}
	case 1:
		return meant[0], nil
	}
	return "", fmt.Errorf("%w: %d of site %s begin with %q: %s; give more of the name", ErrAmbiguousVersion, len(meant), site, name, strings.Join(meant, ", "))
}
