package importer

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// reportEvery is the pause between progress lines where there is no terminal: a log of a long import stays readable.
const reportEvery = 5 * time.Second

// progress shows how far a file has been read: a bar on a terminal, else a line now and then.
type progress interface {
	reached(rows int64)
	waiting(now bool) // for what was sent to land
	stop(complete bool)
}

func newProgress(out io.Writer, terminal bool, name string, total int64, now func() time.Time) progress {
	if out == nil {
		out = io.Discard
	}
	if !terminal {
		return &progressLines{out: out, name: name, total: total, now: now, last: now()}
	}
	p := &progressBar{container: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh())}
	p.bar = p.container.AddBar(total,
		mpb.PrependDecorators(decor.Name(name+" "), decor.CountersNoUnit("%d / %d rows")),
		mpb.AppendDecorators(decor.Percentage(), decor.AverageETA(decor.ET_STYLE_GO, decor.WC{W: 8}), decor.Any(p.status)),
	)
	return p
}

type progressBar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	landing   atomic.Bool // read by the drawing goroutine
}

func (p *progressBar) reached(rows int64) { p.bar.SetCurrent(rows) }

func (p *progressBar) waiting(now bool) { p.landing.Store(now) }

func (p *progressBar) status(decor.Statistics) string {
	if p.landing.Load() {
		return " waiting until every row has landed"
	}
	return ""
}

// stop leaves the bar on the screen, finished or where it was interrupted, and waits until it is drawn.
func (p *progressBar) stop(complete bool) {
	if complete {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(false)
	}
	p.container.Wait()
}

type progressLines struct {
	out   io.Writer
	name  string
	total int64
	now   func() time.Time
	last  time.Time
}

func (p *progressLines) reached(rows int64) {
	now := p.now()
	if now.Sub(p.last) < reportEvery {
		return
	}
	p.last = now
	p.line(rows)
}

// waiting says so each time: a drain is rare and may take minutes.
func (p *progressLines) waiting(now bool) {
	if now {
		_, _ = fmt.Fprintf(p.out, "%s: waiting until every row has landed\n", p.name)
	}
}

func (p *progressLines) stop(complete bool) {
	if complete {
		p.line(p.total)
	}
}

// line reports progress. A terminal that went away must not cost the import, so its error is dropped.
func (p *progressLines) line(rows int64) {
	share := 100.0
	if p.total > 0 {
		share = 100 * float64(rows) / float64(p.total)
	}
	_, _ = fmt.Fprintf(p.out, "%s: %d of %d rows (%.0f %%)\n", p.name, rows, p.total, share)
}
