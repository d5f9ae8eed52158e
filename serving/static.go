package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/control"
)

const (
	// staticLength is how many items a list on disk holds: enough that the longest list survives many sold-out items.
	staticLength = 5 * control.MaxPlacementLimit
	// staticInterval is the shortest time between two writes of a site's list.
	staticInterval = time.Minute
)

// staticLists are the last rung of the ladder: per site, what was wanted most when it was last known, in memory and in
// one small file each. The list is nobody's own, so it may be shown to everybody.
type staticLists struct {
	dir string
	log *slog.Logger

	mu      sync.RWMutex // guards lists and written
	lists   map[string][]string
	written map[string]time.Time
}

// of returns a site's list, which must not be changed.
func (l *staticLists) of(site string) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lists[site]
}

// load reads the lists that an earlier run left. A broken file is reported and left out: it will be written again.
func (l *staticLists) load() error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of static lists: %w", err)
	}
	names, err := filepath.Glob(filepath.Join(l.dir, "*.json"))
	if err != nil {
		return fmt.Errorf("list static lists: %w", err)
	}
	for _, name := range names {
		var ids []string
		content, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(content, &ids)
		}
		if err != nil {
			l.log.Warn("static list is not readable; it is made again from the next trends", "file", name, "error", err)
			continue
		}
		site := filepath.Base(name)
		l.lists[site[:len(site)-len(".json")]] = ids
	}
	return nil
}

// save keeps the head of a site's trends, the rising and the wanted by turns, unless there is none: an empty reading
// must not wipe out the last good list.
func (l *staticLists) save(site string, t *siteTrends, now time.Time) {
	ids := headOf(t)
	l.mu.Lock()
	due := len(ids) > 0 && now.Sub(l.written[site]) >= staticInterval && !slices.Equal(ids, l.lists[site])
	if due {
		l.lists[site], l.written[site] = ids, now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	if err := l.write(site, ids); err != nil {
		l.log.WarnContext(context.Background(), "static list was not written", "site", site, "error", err)
	}
}

func headOf(t *siteTrends) []string {
	var ids []string
	seen := map[string]bool{}
	add := func(list []*said, i int) {
		if i < len(list) && !seen[list[i].id] && len(ids) < staticLength {
			seen[list[i].id] = true
			ids = append(ids, list[i].id)
		}
	}
	for i := range staticLength {
		add(t.popular, i)
		add(t.trending, i)
	}
	return ids
}

// write replaces the file as a whole: a reader, and a machine after a power cut, finds the old list or the new one.
func (l *staticLists) write(site string, ids []string) (err error) {
	content, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("encode static list: %w", err)
	}
	f, err := os.CreateTemp(l.dir, ".writing-*")
	if err != nil {
		return fmt.Errorf("create static list: %w", err)
	}
	defer func() {
		if removeErr := os.Remove(f.Name()); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write static list: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(l.dir, site+".json")); err != nil {
		return fmt.Errorf("name static list: %w", err)
	}
	return nil
}
