package importer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/kafka"
)

// ErrNothingImportable means that not one row of a file makes an event: the mapping is wrong, not the rows. Nothing was
// recorded, so that a better mapping may be tried.
var ErrNothingImportable = errors.New("no row can be imported")

// errFound ends a search.
var errFound = errors.New("found")

// Events imports one file. It returns when the broker has acknowledged every row and Deps.Drain has returned;
// interrupted, it goes on where it was when called again. Received_at of all events is when the import of this file first
// began, in every run, and the times of the source are kept in occurred_at.
func (im *Importer) Events(ctx context.Context, path string) (Summary, error) {
	sum, err := im.events(ctx, path)
	if err != nil {
		return sum, fmt.Errorf("import %s: %w", path, err)
	}
	return sum, nil
}

func (im *Importer) events(ctx context.Context, path string) (Summary, error) {
	sum := Summary{File: path, Site: im.cfg.Site}
	format, err := im.cfg.format(path)
	if err != nil {
		return sum, err
	}
	s, err := takeSurvey(ctx, path, format, im.cfg.Site)
	if err != nil {
		return sum, err
	}
	sum.Rows = s.rows
	b, err := newBuilder(im.cfg, format, s)
	if err != nil {
		return sum, err
	}
	ledger, err := im.deps.Ledger.CheckImport(ctx, im.cfg.Site, s.digest, path, im.cfg.reading(b.mapping))
	if err != nil {
		return sum, err
	}
	if ledger.Done {
		return sum.alreadyDone(ledger), nil
	}
	if ledger, err = im.begin(ctx, b, format, ledger); err != nil {
		return sum, err
	}
	sum.StartedAt, sum.LogicalClock, sum.UnusedColumns = ledger.StartedAt, b.logical(), b.unused(s.columns)
	var erased *erasure.Ledger
	if im.deps.Erased != nil {
		if erased, err = im.deps.Erased.Erased(ctx); err != nil {
			return sum, err
		}
	}
	p := &pass{
		im: im, erased: erased, builder: b, ledger: ledger, sum: &sum, from: ledger.NextRow,
		ids:     newIdentity(im.cfg.Site),
		rejects: &rejectFile{path: rejectPath(im.cfg.RejectDir, path, s.digest)},
		bar:     newProgress(im.deps.Out, im.deps.Terminal, filepath.Base(path), s.rows, im.deps.Now),
	}
	err = p.run(ctx, path, format)
	p.bar.stop(err == nil)
	return sum, errors.Join(err, p.rejects.abandon())
}

// begin makes the ledger's row of a new file, whose StartedAt dates every event, once a row is found that makes an
// event at all.
func (im *Importer) begin(ctx context.Context, b *builder, format history.Format, p control.ImportProgress) (control.ImportProgress, error) {
	if !p.StartedAt.IsZero() {
		return p, nil
	}
	var first error
	err := eachRow(ctx, p.File, format, func(row history.Row, bad *history.RowError) error {
		if bad == nil {
			_, err := b.build(row, "", im.deps.Now())
			if err == nil {
				return errFound
			}
			bad = &history.RowError{Line: row.Line, Err: err}
		}
		if first == nil {
			first = bad
		}
		return nil
	}, nil)
	switch {
	case err == nil && first != nil:
		return p, fmt.Errorf("%w; the first reason: %w", ErrNothingImportable, first)
	case err != nil && !errors.Is(err, errFound):
		return p, err
	}
	if err := im.deps.Ledger.SaveImportProgress(ctx, p); err != nil {
		return p, err
	}
	saved, ok, err := im.deps.Ledger.ImportProgress(ctx, p.Site, p.Digest)
	if err != nil {
		return p, err
	}
	if !ok {
		return p, errors.New("import ledger lost the row that was just saved")
	}
	return saved, nil
}

// pass is one reading of a file that sends what is not acknowledged yet. It builds every row again, also those before
// from: identities depend on the rows before, and reject file and summary then speak of the whole file.
type pass struct {
	im      *Importer
	erased  *erasure.Ledger
	builder *builder
	ledger  control.ImportProgress
	from    int64 // the first row that is not acknowledged
	ids     *identity
	rejects *rejectFile
	bar     progress
	sum     *Summary
	batch   []kafka.Record
	pending int64 // rows since the last acknowledgement
	inLog   int   // rows since the last drain
}

func (p *pass) run(ctx context.Context, path string, format history.Format) error {
	var next int64
	err := eachRow(ctx, path, format, func(row history.Row, bad *history.RowError) error {
		if err := p.take(row, bad, next >= p.from); err != nil {
			return err
		}
		next++
		if p.pending < int64(p.im.cfg.BatchRows) {
			return nil
		}
		return p.acknowledge(ctx, next, false)
	}, nil)
	if err != nil {
		return err
	}
	if p.sum.RejectFile, err = p.rejects.finish(); err != nil {
		return err
	}
	return p.acknowledge(ctx, next, true)
}

// take turns one row into a record of the batch, or into a reject.
func (p *pass) take(row history.Row, bad *history.RowError, send bool) error {
	if send {
		p.pending++
	}
	if bad != nil {
		return p.reject(bad.Line, bad.Err.Error(), nil)
	}
	id, err := p.ids.next(row)
	if err != nil {
		return err
	}
	e, reason := p.builder.build(row, id, p.ledger.StartedAt)
	var value []byte
	if reason == nil {
		value, reason = encode(e)
	}
	if reason != nil {
		return p.reject(row.Line, reason.Error(), &row)
	}
	if p.erased.Stops(erasure.EventRow(e)) {
		p.sum.Erased++
		return nil
	}
	p.sum.see(e.OccurredAt)
	if !send {
		p.sum.Resumed++
		return nil
	}
	p.sum.Added++
	p.batch = append(p.batch, kafka.Record{
		Topic:     event.TopicEvents,
		Partition: -1, // where the key belongs
		Key:       []byte(e.Key()),
		Value:     value,
		Headers:   []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.Schema)}},
	})
	return nil
}

// reject counts a bad row and keeps it, unless any of its words names somebody erased.
func (p *pass) reject(line int64, reason string, row *history.Row) error {
	text, err := rowText(row)
	if err != nil {
		return err
	}
	if p.erased.Mentions([]byte(text)) {
		p.sum.Erased++
		return nil
	}
	p.sum.Rejected++
	return p.rejects.add(line, reason, row)
}

func encode(e *event.Event) ([]byte, error) {
	value, err := event.Marshal(e)
	if err != nil {
		return nil, err
	}
	if len(value) > event.MaxEventBytes {
		return nil, fmt.Errorf("the event has %d bytes, the limit is %d", len(value), event.MaxEventBytes)
	}
	return value, nil
}

// acknowledge sends the batch and, only when the broker has it, moves the ledger: a kill in between sends the batch
// again, with the same ids. A ledger that says done also says that nothing is left in the log.
func (p *pass) acknowledge(ctx context.Context, next int64, done bool) error {
	if err := p.produce(ctx); err != nil {
		return err
	}
	p.inLog += len(p.batch)
	p.batch, p.pending = p.batch[:0], 0
	if done || p.inLog >= p.im.cfg.DrainRows {
		if err := p.drain(ctx); err != nil {
			return err
		}
	}
	p.ledger.NextRow, p.ledger.Done = next, done
	p.ledger.Accepted, p.ledger.Rejected = p.sum.Added+p.sum.Resumed, p.sum.Rejected
	if err := p.im.deps.Ledger.SaveImportProgress(ctx, p.ledger); err != nil {
		return err
	}
	p.bar.reached(next)
	return nil
}

// drain waits until the rows sent so far have left the log.
func (p *pass) drain(ctx context.Context) error {
	if p.im.deps.Drain == nil {
		return nil
	}
	p.bar.waiting(true)
	defer p.bar.waiting(false)
	if err := p.im.deps.Drain(ctx); err != nil {
		return fmt.Errorf("wait for landing: %w", err)
	}
	p.inLog = 0
	return nil
}

// produce sends the batch. Its records are of now, because the broker counts retention from their time; received_at may
// lie further back than that when an import goes on much later.
func (p *pass) produce(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	now := p.im.deps.Now()
	for i := range p.batch {
		p.batch[i].Time = now
	}
	for {
		err := p.im.deps.Producer.Produce(ctx, p.batch)
		if !errors.Is(err, kafka.ErrBufferFull) {
			return err
		}
		timer := time.NewTimer(bufferFullWait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
