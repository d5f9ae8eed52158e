package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
)

// ItemBatchRows is how many catalogue rows are written together; a row is about 1 KiB, so a request stays under the
// API's body limit of 1 MiB.
const ItemBatchRows = 500

// ItemReject is a row that the catalogue refused; Index counts within the call.
type ItemReject struct {
	Index  int
	Reason string
}

// ItemSink keeps the catalogue. Upsert merges rows (JSON objects, as POST /v1/items:bulk takes them) by item_id and names
// those that it refused; an error means that none of them can be relied on, and that writing them again is safe.
type ItemSink interface {
	Upsert(ctx context.Context, site string, rows []json.RawMessage) ([]ItemReject, error)
}

// ItemsConfig says how the rows of a catalogue file are read.
type ItemsConfig struct {
	Site      string
	Format    history.Format  // empty means by the file's name
	Map       history.Mapping // catalogue field -> column, from ParseItemMapping
	TimeUnit  history.Unit    // of a number in published_at and expires_at
	RejectDir string
}

// ItemsDeps are what an import of a catalogue uses. Out gets the progress (nil: nobody).
type ItemsDeps struct {
	Sink     ItemSink
	Now      func() time.Time
	Out      io.Writer
	Terminal bool
}

// ItemsSummary says what an import of a catalogue did.
type ItemsSummary struct {
	File       string `json:"file"`
	Site       string `json:"site"`
	Rows       int64  `json:"rows"`
	Written    int64  `json:"written"`
	Rejected   int64  `json:"rejected"`
	RejectFile string `json:"reject_file,omitempty"`
}

// String tells the summary to people.
func (s ItemsSummary) String() string {
	text := fmt.Sprintf("%s: %d items written to the catalogue of site %s", s.File, s.Written, s.Site)
	if s.Rejected > 0 {
		text += fmt.Sprintf("\n  %d of %d rows rejected, with reasons in %s", s.Rejected, s.Rows, s.RejectFile)
	}
	return text
}

// Items imports one catalogue file. Rows are merged into what is known of their items, so that importing
// again changes nothing.
func Items(ctx context.Context, path string, cfg ItemsConfig, deps ItemsDeps) (ItemsSummary, error) {
	if cfg.Site == "" {
		cfg.Site = event.DefaultSite
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	sum := ItemsSummary{File: path, Site: cfg.Site}
	if err := importItems(ctx, path, cfg, deps, &sum); err != nil {
		return sum, fmt.Errorf("import %s: %w", path, err)
	}
	return sum, nil
}

func importItems(ctx context.Context, path string, cfg ItemsConfig, deps ItemsDeps, sum *ItemsSummary) error {
	switch {
	case deps.Sink == nil:
		return errors.New("import needs a catalogue to write to")
	case cfg.RejectDir == "":
		return errors.New("import needs a directory for reject files")
	}
	if err := event.CheckSite(cfg.Site); err != nil {
		return fmt.Errorf("site %q %w", cfg.Site, err)
	}
	format, err := Config{Format: cfg.Format}.format(path)
	if err != nil {
		return err
	}
	s, err := takeSurvey(ctx, path, format, cfg.Site)
	if err != nil {
		return err
	}
	reader, err := newItemReader(cfg, s.columns)
	if err != nil {
		return err
	}
	p := &itemPass{
		cfg: cfg, sink: deps.Sink, reader: reader, sum: sum,
		rejects: &rejectFile{path: rejectPath(cfg.RejectDir, path, s.digest)},
		bar:     newProgress(deps.Out, deps.Terminal, filepath.Base(path), s.rows, deps.Now),
	}
	err = p.run(ctx, path, format)
	p.bar.stop(err == nil)
	return errors.Join(err, p.rejects.abandon())
}

// itemPass is one reading of a catalogue file.
type itemPass struct {
	cfg     ItemsConfig
	sink    ItemSink
	reader  *itemReader
	sum     *ItemsSummary
	rejects *rejectFile
	bar     progress
	batch   []json.RawMessage
	rows    []history.Row // the rows of the batch, for the reject file
}

func (p *itemPass) run(ctx context.Context, path string, format history.Format) error {
	err := eachRow(ctx, path, format, func(row history.Row, bad *history.RowError) error {
		p.sum.Rows++
		if bad != nil {
			p.sum.Rejected++
			return p.rejects.add(bad.Line, bad.Err.Error(), nil)
		}
		item, reason := p.reader.read(row)
		if reason != nil {
			p.sum.Rejected++
			return p.rejects.add(row.Line, reason.Error(), &row)
		}
		p.batch, p.rows = append(p.batch, item), append(p.rows, row)
		if len(p.batch) < ItemBatchRows {
			return nil
		}
		return p.write(ctx)
	}, nil)
	if err != nil {
		return err
	}
	if err := p.write(ctx); err != nil {
		return err
	}
	p.sum.RejectFile, err = p.rejects.finish()
	return err
}

func (p *itemPass) write(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	refused, err := p.sink.Upsert(ctx, p.cfg.Site, p.batch)
	if err != nil {
		return err
	}
	slices.SortFunc(refused, func(a, b ItemReject) int { return a.Index - b.Index })
	for _, r := range refused {
		if r.Index < 0 || r.Index >= len(p.rows) {
			return fmt.Errorf("catalogue refused row %d of %d: %s", r.Index, len(p.rows), r.Reason)
		}
		row := p.rows[r.Index]
		if err := p.rejects.add(row.Line, r.Reason, &row); err != nil {
			return err
		}
	}
	p.sum.Rejected += int64(len(refused))
	p.sum.Written += int64(len(p.batch) - len(refused))
	p.batch, p.rows = p.batch[:0], p.rows[:0]
	p.bar.reached(p.sum.Rows)
	return nil
}
