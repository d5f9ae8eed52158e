// Package importer brings history into Millrace from files: events through Kafka like everybody else's, and the
// catalogue through whatever keeps it. An import can be repeated and interrupted at will; it never counts a row twice.
package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// BatchRows is how many rows are acknowledged together, and so how many are sent again at most after a kill.
	// Larger batches were measured to be no faster; 2,000 events are about 0.7 MB.
	BatchRows = 2000

	// DrainRows is how many rows may stand in the log before the import waits for the stream to have taken them. The log
	// of the embedded broker is bounded, and drops its oldest records also where nobody has read them yet: 500,000
	// events are some 200 MB, far less than it holds, and the wait costs a few seconds at most where the stream keeps up.
	DrainRows = 500_000

	// bufferFullWait is the pause after the producer said that it is full of other people's records.
	bufferFullWait = 20 * time.Millisecond
)

// Producer writes records and returns when all are acknowledged; *kafka.Producer does.
type Producer interface {
	Produce(ctx context.Context, records []kafka.Record) error
}

// Ledger remembers how far each file has come; *control.Store does. A save sets StartedAt once.
type Ledger interface {
	CheckImport(ctx context.Context, site, digest, file, mapping string) (control.ImportProgress, error)
	ImportProgress(ctx context.Context, site, digest string) (control.ImportProgress, bool, error)
	SaveImportProgress(ctx context.Context, p control.ImportProgress) error
}

// Config says how the rows of event files are read.
type Config struct {
	Site      string            // whose history it is; empty is the default site
	Format    history.Format    // empty means by the file's name
	Map       history.Mapping   // event field -> column; fields not named here are found by their usual column names
	Type      string            // the type of rows that name none
	Types     map[string]string // the source's type names -> event types
	TimeUnit  history.Unit      // of a number in the time column
	RejectDir string            // where reject files go
	BatchRows int               // 0 means the constant BatchRows
	DrainRows int               // 0 means the constant DrainRows
}

// Ledgers tells who was erased; *control.Store does.
type Ledgers interface {
	Erased(ctx context.Context) (*erasure.Ledger, error)
}

// Deps are what an import uses. Erased, if not nil, says whose rows are left out. Drain, if not nil, returns when everything that was acknowledged has left the log for
// good; it is called after every DrainRows rows and at the end. Out gets the progress (nil: nobody), as a bar if it is a
// terminal.
type Deps struct {
	Producer Producer
	Ledger   Ledger
	Erased   Ledgers
	Drain    func(ctx context.Context) error
	Log      *slog.Logger
	Now      func() time.Time
	Out      io.Writer
	Terminal bool
}

// Importer imports event files into one site.
type Importer struct {
	cfg  Config
	deps Deps
}

// New checks the configuration.
func New(cfg Config, deps Deps) (*Importer, error) {
	if cfg.Site == "" {
		cfg.Site = event.DefaultSite
	}
	if err := event.CheckSite(cfg.Site); err != nil {
		return nil, fmt.Errorf("site %q %w", cfg.Site, err)
	}
	if cfg.BatchRows <= 0 {
		cfg.BatchRows = BatchRows
	}
	if cfg.DrainRows <= 0 {
		cfg.DrainRows = DrainRows
	}
	if cfg.RejectDir == "" {
		return nil, errors.New("import needs a directory for reject files")
	}
	if cfg.Type != "" && !event.CheckType(cfg.Type) {
		return nil, fmt.Errorf("type %q must match [a-z][a-z0-9_]{0,39}, such as view_item", cfg.Type)
	}
	for from, to := range cfg.Types {
		if !event.CheckType(to) {
			return nil, fmt.Errorf("types: %s=%s: an event type must match [a-z][a-z0-9_]{0,39}, such as view_item", from, to)
		}
	}
	if _, ok := cfg.Map[history.FieldEventID]; ok {
		return nil, errors.New("mapping: event_id cannot be mapped: an imported event's id is derived from its whole row, so that importing again adds nothing")
	}
	if deps.Producer == nil || deps.Ledger == nil {
		return nil, errors.New("import needs a producer and a ledger")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Importer{cfg: cfg, deps: deps}, nil
}

// format returns how a file is read.
func (c Config) format(path string) (history.Format, error) {
	if c.Format != "" {
		return c.Format, nil
	}
	return history.DetectFormat(path)
}

// reading is the canonical text of everything that decides what a row means. The ledger compares it, so that a file is
// never imported twice in two meanings.
func (c Config) reading(m history.Mapping) string {
	parts := []string{m.String()}
	if c.Type != "" {
		parts = append(parts, "type "+c.Type)
	}
	if len(c.Types) > 0 {
		var pairs []string
		for _, from := range slices.Sorted(maps.Keys(c.Types)) {
			pairs = append(pairs, from+"="+c.Types[from])
		}
		parts = append(parts, "types "+strings.Join(pairs, ","))
	}
	if c.TimeUnit != history.UnitAuto {
		parts = append(parts, "time unit "+string(c.TimeUnit))
	}
	return strings.Join(parts, "; ")
}
