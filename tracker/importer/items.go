package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
)

// ItemBatchRows is how many catalogue rows are written together; a row is about 1 KiB, so a request stays under the
// API's body limit of 1 MiB.
const ItemBatchRows = 500

// CatalogueItem is a row of the catalogue, as the API takes it.
type CatalogueItem struct {
	ItemID      string         `json:"item_id"`
	ItemGroupID string         `json:"item_group_id,omitempty"`
	Title       string         `json:"title,omitempty"`
	Categories  []string       `json:"categories,omitempty"`
	Brand       string         `json:"brand,omitempty"`
	Price       *float64       `json:"price,omitempty"`
	Currency    string         `json:"currency,omitempty"`
	Available   bool           `json:"available"`
	URL         string         `json:"url,omitempty"`
	ImageURL    string         `json:"image_url,omitempty"`
	PublishedAt time.Time      `json:"published_at,omitzero"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero"`
	Labels      []string       `json:"labels,omitempty"`
	Fields      map[string]any `json:"fields,omitempty"`
}

// ItemReject is a row that the catalogue refused; Index counts within the call.
type ItemReject struct {
	Index  int
	Reason string
}

// ItemSink keeps the catalogue. Upsert writes rows by item_id and names those that it refused; an error means that none
// of them can be relied on, and that writing them again is safe.
type ItemSink interface {
	Upsert(ctx context.Context, site string, rows []CatalogueItem) ([]ItemReject, error)
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

// Items imports one catalogue file. Rows replace what is known of their items, so that importing again changes nothing.
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
	batch   []CatalogueItem
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

// itemFields are the columns of the catalogue, each with usual other names of its column.
func itemFields() map[string][]string {
	return map[string][]string{
		"item_id":       {"id", "sku"},
		"item_group_id": nil,
		"title":         {"item_name", "name"},
		"categories":    {"category", "item_category", "category_id", "genres"},
		"brand":         {"item_brand"},
		"price":         {"unit_price"},
		"currency":      nil,
		"available":     {"in_stock"},
		"url":           {"link"},
		"image_url":     {"image", "image_link"},
		"published_at":  nil,
		"expires_at":    nil,
		"labels":        {"tags"},
	}
}

// ParseItemMapping reads "field=column,field=column" for catalogue files. A column name may hold anything but a comma.
func ParseItemMapping(text string) (history.Mapping, error) {
	out := history.Mapping{}
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	known := itemFields()
	for pair := range strings.SplitSeq(text, ",") {
		field, column, ok := strings.Cut(pair, "=")
		field, column = strings.TrimSpace(field), strings.TrimSpace(column)
		if !ok || field == "" || column == "" {
			return nil, fmt.Errorf("mapping: %q is not of the form field=column", pair)
		}
		if _, ok := known[field]; !ok {
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			slices.Sort(names)
			return nil, fmt.Errorf("mapping: there is no catalogue field %q; the fields are %s (other columns become fields by themselves)",
				field, strings.Join(names, ", "))
		}
		if _, twice := out[field]; twice {
			return nil, fmt.Errorf("mapping: %q is given twice", field)
		}
		out[field] = column
	}
	return out, nil
}
