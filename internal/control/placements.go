package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// The kinds of list that a placement may show; each is also the name of a standard placement.
const (
	KindHome     = "home"     // personal
	KindItem     = "item"     // similar to an item
	KindSession  = "session"  // what comes next
	KindCart     = "cart"     // bought together
	KindTrending = "trending" // rising now
	KindPopular  = "popular"  // most wanted
	KindRecent   = "recent"   // recently viewed
	KindAgain    = "again"    // buy again
	KindExplore  = "explore"  // new, or hardly met by anybody yet
)

const (
	// DefaultPlacementLimit is the length of a standard list: three rows of four, or one swipeable shelf.
	DefaultPlacementLimit = 12
	// MaxPlacementLimit bounds a list; longer ones are pages of a catalogue, not recommendations.
	MaxPlacementLimit = 100
	// NoETag stands for a row that is not there.
	NoETag = "none"
	// maxSettingsBytes bounds the JSON settings of one placement.
	maxSettingsBytes = 64 << 10
	// maxPlacements bounds the placements of a site, and with them the cache.
	maxPlacements = 1_000
)

var (
	// ErrUnknownPlacement is what an *UnknownPlacementError is.
	ErrUnknownPlacement = errors.New("unknown placement")

	// ErrTooManyPlacements means that the site has as many placements as it may have.
	ErrTooManyPlacements = fmt.Errorf("the site has %d placements, which is the limit", maxPlacements)

	// ErrChanged means that a row is not as the caller knows it, by its ETag.
	ErrChanged = errors.New("it was changed since it was read; read it again")

	placementName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
)

// UnknownPlacementError names the placements that a site does have.
type UnknownPlacementError struct {
	Site, Name string
	Known      []string
}

func (e *UnknownPlacementError) Error() string {
	return fmt.Sprintf("unknown placement %q on site %s; known are %s", clip(e.Name), e.Site, strings.Join(e.Known, ", "))
}

// Is makes errors.Is(err, ErrUnknownPlacement) true.
func (e *UnknownPlacementError) Is(target error) bool { return target == ErrUnknownPlacement }

// Placement is a place on a page that shows a list. Settings is a JSON object, its content up to the kind.
type Placement struct {
	Site            string          `json:"site" doc:"Whose it is." example:"default"`
	Name            string          `json:"name" doc:"What requests call it." example:"home"`
	Kind            string          `json:"kind" doc:"What its lists follow from." example:"home"`
	Limit           int             `json:"limit" doc:"How many items a list has." example:"12"`
	BrowserReadable bool            `json:"browser_readable" doc:"Whether pages may read it with a public key."`
	Settings        json.RawMessage `json:"settings,omitempty" doc:"An object; what is left out follows from the kind."`
	UpdatedAt       time.Time       `json:"updated_at,omitzero" doc:"When it was written; absent for a standard one as it comes."` // zero for a standard placement as it comes
}

// Kinds lists the kinds of placements; the standard placements carry the same names.
func Kinds() []string {
	return []string{KindHome, KindItem, KindSession, KindCart, KindTrending, KindPopular, KindRecent, KindAgain, KindExplore}
}

// Placement returns one placement of a site, or an *UnknownPlacementError. The answer is at most CacheAge old.
func (s *Store) Placement(ctx context.Context, site, name string) (Placement, error) {
	stored, err := s.storedPlacements(ctx, site)
	if err != nil {
		return Placement{}, err
	}
	if p, ok := stored[name]; ok {
		return p, nil
	}
	if slices.Contains(Kinds(), name) {
		return standardPlacement(site, name), nil
	}
	return Placement{}, &UnknownPlacementError{Site: site, Name: name, Known: slices.Sorted(maps.Keys(withStandard(site, stored)))}
}

// Placements lists the placements of a site by name: the standard ones, overridden and extended by stored rows.
func (s *Store) Placements(ctx context.Context, site string) ([]Placement, error) {
	stored, err := s.storedPlacements(ctx, site)
	if err != nil {
		return nil, err
	}
	all := withStandard(site, stored)
	list := make([]Placement, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list, nil
}

// storedPlacements returns a site's rows by name; the caller only reads them.
func (s *Store) storedPlacements(ctx context.Context, site string) (map[string]Placement, error) {
	if err := event.CheckSite(site); err != nil {
		return nil, fmt.Errorf("read placements: %w", err)
	}
	stored, err := s.placements.get(ctx)
	return stored[site], err
}

// withStandard merges a site's rows over the standard placements.
func withStandard(site string, stored map[string]Placement) map[string]Placement {
	all := make(map[string]Placement, len(stored)+len(Kinds()))
	for _, kind := range Kinds() {
		all[kind] = standardPlacement(site, kind)
	}
	maps.Copy(all, stored)
	return all
}

func standardPlacement(site, kind string) Placement {
	return Placement{Site: site, Name: kind, Kind: kind, Limit: DefaultPlacementLimit}
}

// Check reports the first thing that makes a placement one that cannot be stored.
func (p Placement) Check() error {
	if err := event.CheckSite(p.Site); err != nil {
		return err
	}
	if !placementName.MatchString(p.Name) {
		return fmt.Errorf("name %q is not 1 to 64 characters of a-z, 0-9, _ and -", clip(p.Name))
	}
	if !slices.Contains(Kinds(), p.Kind) {
		return fmt.Errorf("kind %q is none of %s", clip(p.Kind), strings.Join(Kinds(), ", "))
	}
	if p.Limit < 1 || p.Limit > MaxPlacementLimit {
		return fmt.Errorf("limit %d is not within 1 to %d", p.Limit, MaxPlacementLimit)
	}
	if len(p.Settings) > maxSettingsBytes {
		return fmt.Errorf("settings are longer than %d bytes", maxSettingsBytes)
	}
	var object map[string]json.RawMessage
	if len(p.Settings) > 0 && json.Unmarshal(p.Settings, &object) != nil {
		return errors.New("settings are not a JSON object")
	}
	return nil
}

// loadPlacements reads the stored placements by site and name.
func (s *Store) loadPlacements(ctx context.Context) (map[string]map[string]Placement, error) {
	return readPlacements(ctx, s.db, "")
}

func readPlacements(ctx context.Context, from rowsOf, where string, args ...any) (map[string]map[string]Placement, error) {
	rows, err := from.QueryContext(ctx,
		`SELECT site, name, kind, list_limit, browser_readable, settings, updated_at FROM placements `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read placements: %w", err)
	}
	defer rows.Close()
	all := map[string]map[string]Placement{}
	for rows.Next() {
		var p Placement
		var settings string
		var readable int
		var updated int64
		if err := rows.Scan(&p.Site, &p.Name, &p.Kind, &p.Limit, &readable, &settings, &updated); err != nil {
			return nil, fmt.Errorf("read placement: %w", err)
		}
		p.BrowserReadable, p.UpdatedAt = readable != 0, fromMillis(updated)
		if settings != "" {
			p.Settings = json.RawMessage(settings)
		}
		if all[p.Site] == nil {
			all[p.Site] = map[string]Placement{}
		}
		all[p.Site][p.Name] = p
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read placements: %w", err)
	}
	return all, nil
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
