package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// swapSeconds is how long half of the load lasts while versions change: until another version has come into force, as gentle work
	// beside it, and longer than several intervals between checkpoints and commits of the lake.
	swapSeconds = 40
	// swapFull is how long a whole `up` is asked before, as fast as it answers, in seconds: each page once or twice.
	swapFull = 6
	// swapAfter is when the other version is promoted.
	swapAfter = 4 * time.Second
	// swapEvents is the pause between two events of visitors, so that there is something to make a checkpoint of.
	swapEvents = 20 * time.Millisecond
	// swapLimit is the time in milliseconds that all but one request in a thousand may take meanwhile.
	swapLimit = 50
)

// swap lets half of what a whole `up` can answer arrive at it while another version is put in force, checkpoints are made and the lake
// commits, and then the same at the constant handler.
func (b *servingBench) swap(ctx context.Context) error {
	if b.other == "" {
		return nil
	}
	placement := b.load.placements[0].name
	if _, err := b.answeredAndLanded(ctx, placement); err != nil { // pages are remembered, and nothing is left of earlier measurements
		return err
	}
	most, err := b.answeredAndLanded(ctx, placement)
	if err != nil {
		return err
	}
	order := loadOrder{Connections: halfConnections, Seconds: swapSeconds, Rate: most / 2}
	stop, err := b.profile(ctx, "swap", profileProcessors, order)
	if err != nil {
		return err
	}
	got, err := b.duringSwap(ctx, func() (loadReport, error) { return b.send(placement, b.toServing(order)) })
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	constant, err := b.duringSwap(ctx, func() (loadReport, error) { return b.send(placement, b.toConstant(placement, order)) })
	if err != nil {
		return err
	}
	for _, r := range []struct {
		what   string
		report loadReport
	}{{placement, got}, {"constant", constant}} {
		b.say("%s at %.0f/s while versions change: p50 %.2f, p99 %.2f, p99.9 %.2f, slowest %.1f ms, %d failed %s", r.what, order.Rate,
			r.report.P50, r.report.P99, r.report.P999, r.report.Slowest, r.report.Failed, r.report.Trouble)
	}
	if err := b.emit("swap_failed", float64(got.Failed+got.Empty), "requests", 0, "none may"); err != nil {
		return err
	}
	if err := b.emit("swap_p999", got.P999, "ms", swapLimit, "what is promised"); err != nil {
		return err
	}
	return b.emit("swap_p999_beside_constant", got.P999, "ms", constant.P999, "the constant answer beside the same changes")
}

// answeredAndLanded is how many requests a second a whole `up` answers in the long run, when every list that it serves goes through its
// stream to its lake as well.
func (b *servingBench) answeredAndLanded(ctx context.Context, placement string) (float64, error) {
	start := time.Now()
	got, err := b.ask(ctx, placement, loadOrder{Connections: servingConnections, Seconds: swapFull})
	if err != nil {
		return 0, err
	}
	if err := (adminClient{b.system.info}).call(ctx, adminDrain, nil, nil); err != nil {
		return 0, err
	}
	return float64(got.Answers) / time.Since(start).Seconds(), nil
}

// duringSwap runs load while a version comes into force, visitors click and the lake commits.
func (b *servingBench) duringSwap(ctx context.Context, load func() (loadReport, error)) (report loadReport, err error) {
	before, err := b.commits(ctx)
	if err != nil {
		return report, err
	}
	former := b.other
	err = alongside(ctx, b.click, func(ctx context.Context) error {
		return alongside(ctx, b.promote, func(context.Context) error {
			report, err = load()
			return err
		})
	})
	if err != nil {
		return report, err
	}
	if b.other == former {
		return report, fmt.Errorf("the other version has not come into force in %d s", swapSeconds)
	}
	after, err := b.commits(ctx)
	if err == nil && after == before {
		err = fmt.Errorf("the lake has not committed in %d s", swapSeconds)
	}
	return report, err
}

// promote puts the other version in force after a while, as `millrace models promote` does.
func (b *servingBench) promote(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(swapAfter):
	}
	now, err := b.system.registry.ChampionVersion(ctx, event.DefaultSite)
	if err != nil {
		return err
	}
	if err := b.system.registry.Promote(ctx, event.DefaultSite, b.other); err != nil {
		return err
	}
	start := time.Now()
	if err := (adminClient{b.system.info}).call(ctx, adminModels, nil, nil); err != nil {
		return ignoreEnd(ctx, err)
	}
	b.say("another version is in force after %.1f s", time.Since(start).Seconds())
	b.other = now
	return nil
}

// click sends events until ctx ends.
func (b *servingBench) click(ctx context.Context) error {
	tick := time.NewTicker(swapEvents)
	defer tick.Stop()
	for n := 0; ; n++ {
		at := time.Now().UTC()
		body := fmt.Appendf(nil, `{"event_id":%q,"type":"view_item","anonymous_id":%q,"item_id":%q,"occurred_at":%q}`,
			event.NewID(at), b.visitors[n%len(b.visitors)], b.items[n%len(b.items)], at.Format(time.RFC3339Nano))
		if _, err := b.call(ctx, http.MethodPost, "/v1/events", b.write, body); err != nil {
			return ignoreEnd(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// commits is how many commits the lake has made.
func (b *servingBench) commits(ctx context.Context) (int, error) {
	tables, err := b.system.lake.Info(ctx)
	if err != nil {
		return 0, err
	}
	commits := 0
	for _, table := range tables {
		commits += table.Snapshots
	}
	return commits, nil
}
