package serving

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/internal/control"
)

// settingsCache keeps the settings of placements as they were parsed, until they change.
type settingsCache struct {
	log   *slog.Logger
	wrong rarely

	mu     sync.RWMutex // guards parsed
	parsed map[settingsName]parsedSettings
}

// settingsName is a placement, as a variant has it.
type settingsName struct{ site, name, variant string }

type parsedSettings struct {
	kind string
	raw  json.RawMessage
	*Settings
}

// maxParsedSettings bounds the settings that are kept: those of all placements, and of the arms of some hundred experiments.
const maxParsedSettings = 20_000

// of returns the settings of a placement as a variant has it. Those that another version stored and this one does not understand are as if there were
// none: a list is better than an error.
func (c *settingsCache) of(ctx context.Context, p *control.Placement, variant string) *Settings {
	name := settingsName{p.Site, p.Name, variant}
	c.mu.RLock()
	known, ok := c.parsed[name]
	c.mu.RUnlock()
	if ok && known.kind == p.Kind && bytes.Equal(known.raw, p.Settings) {
		return known.Settings
	}
	parsed, problem := ParseSettings(p.Kind, p.Settings)
	if problem != nil {
		c.wrong.warn(ctx, c.log, "the settings of placement "+p.Name+" of site "+p.Site+" are not understood and left out", problem)
		parsed = &Settings{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.parsed) >= maxParsedSettings {
		clear(c.parsed) // arms of experiments that ended, nearly all of it
	}
	c.parsed[name] = parsedSettings{p.Kind, p.Settings, parsed}
	return parsed
}
