package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/telemetry"
)

const (
	servingRounds = 5 // the median counts
	// servingRound is how long each of what is compared is asked for in a round, in seconds.
	servingRound = 1.5
	// servingConnections ask in a closed loop; they are enough to keep two processors busy.
	servingConnections = 16
	// halfConnections is how many requests may be under way at half of the load: far more than are, so that none waits for another.
	halfConnections = 64
	// servingHalf is how long half of the load lasts in a round, in seconds: dozens of answers above the last percentile.
	servingHalf = 2
	// halfLimit is the time in milliseconds that all but one request in a hundred may take at half of the load.
	halfLimit = 5
	// servingWarm is how long a placement is asked before anything is measured, in seconds.
	servingWarm = 1
)

// servingOptions say which part of the benchmark runs, on which data.
type servingOptions struct {
	data     string // a folder of real data; empty: made here
	only     string // the name of one load; empty: all
	profiles string // a folder for processor profiles of the measured process; empty: none
}

func (o *servingOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.data, "data", "", "serving: folder of real click histories (default $"+dataVariable+"; without one they are made)")
	flags.StringVar(&o.only, "load", "", "serving: one load only, shop or large")
	flags.StringVar(&o.profiles, "profiles", "", "serving: folder for profiles and traces of the process while placements are asked")
	for _, name := range []string{"load", "profiles"} {
		_ = flags.MarkHidden(name) // it fails for names that are not there
	}
}

// servingLoad is a shop that is asked.
type servingLoad struct {
	name string
	fill func(ctx context.Context, b *servingBench) error
	// placements that are measured, each with the share of its limit that it should reach.
	placements []servingPlacement
}

type servingPlacement struct {
	name   string
	target float64 // requests a second
	scan   bool    // the limit is the scan of all factors, not the constant handler
}

func servingLoads() []servingLoad {
	return []servingLoad{
		{"shop", fillShop, []servingPlacement{{name: "session", target: 10_000}, {name: "item", target: 10_000}}},
		{"large", fillLarge, []servingPlacement{{name: "item", target: 8_000}, {name: "home", target: 500, scan: true}}},
	}
}

// run measures the recommendation API over real HTTP: the serving role in this process over the worlds of `up`, asked by a generator
// of load in another one on the same processors. Beside every placement stands the same HTTP stack that answers so many bytes
// without thinking, in the same rounds.
func (o *servingOptions) run(ctx context.Context, progress io.Writer, emit func(benchResult) error) (err error) {
	load, err := startGenerator(ctx, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, load.stop()) }()
	for _, l := range servingLoads() {
		if o.only != "" && o.only != l.name {
			continue
		}
		b := &servingBench{options: o, load: l, generator: load, progress: progress, emitted: emit}
		if err := b.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// servingBench is one load, over a directory of its own.
type servingBench struct {
	options   *servingOptions
	load      servingLoad
	generator *generator
	progress  io.Writer
	emitted   func(benchResult) error

	dir      string
	cfg      *Config
	log      *slog.Logger
	system   *system // that runs now
	secret   string
	write    string             // the key of those who click
	other    string             // a version that is not in force; empty: none
	most     map[string]float64 // requests a second, by placement
	limits   map[string]float64 // of the constant handler
	constant *constantServer
	visitors []string // who is asked for
	items    []string // of product pages that are asked for
}

// run fills the directory with all roles, measures with serving alone, and changes versions with all roles again.
func (b *servingBench) run(ctx context.Context) (err error) {
	b.dir, err = os.MkdirTemp("", "millrace-bench-serving-")
	if err != nil {
		return fmt.Errorf("make bench directory: %w", err)
	}
	defer os.RemoveAll(b.dir)
	b.cfg, err = loadConfig("", nil, map[string]any{
		"data_dir": filepath.Join(b.dir, "data"), "log.level": "warn",
		"listen": anyLoopbackPort, "kafka_listen": anyLoopbackPort, "admin_listen": anyLoopbackPort,
	})
	if err != nil {
		return err
	}
	if b.log, err = telemetry.NewLogger(b.progress, "warn", b.cfg.Log.Format); err != nil {
		return err
	}
	if b.constant, err = newConstantServer(b.log); err != nil {
		return err
	}
	return alongside(ctx, b.constant.server.Run, func(ctx context.Context) error {
		if err := b.with(ctx, allRoles, b.fill); err != nil {
			return err
		}
		if err := b.with(ctx, roleServing, b.measure); err != nil {
			return err
		}
		return b.with(ctx, allRoles, b.swap)
	})
}

// with runs roles over the directory for as long as use takes.
func (b *servingBench) with(ctx context.Context, roles roleSet, use func(context.Context) error) (err error) {
	if b.system, err = newSystem(ctx, b.cfg, b.log, systemOptions{roles: roles}); err != nil {
		return err
	}
	defer func() { err = joinClose(err, b.system) }()
	return alongside(ctx, b.system.Run, func(ctx context.Context) error {
		if err := b.system.waitReady(ctx); err != nil {
			return fmt.Errorf("wait until ready: %w", err)
		}
		return use(ctx)
	})
}

func (b *servingBench) fill(ctx context.Context) error {
	keys, err := b.system.createKeys(ctx, event.DefaultSite, nil, "bench-keys.json")
	if err != nil {
		return err
	}
	b.secret, b.write = keys.SecretKey, keys.WriteKey
	start := time.Now()
	if err := b.load.fill(ctx, b); err != nil {
		return err
	}
	b.say("ready after %.0f s", time.Since(start).Seconds())
	return nil
}

func (b *servingBench) measure(ctx context.Context) error {
	if err := b.fullLoad(ctx); err != nil {
		return err
	}
	if err := b.added(ctx); err != nil {
		return err
	}
	return b.halfLoad(ctx)
}

// emit reports a figure of this load.
func (b *servingBench) emit(metric string, value float64, unit string, limit float64, limitIs string) error {
	r := benchResult{Bench: "serving", Metric: b.load.name + "_" + metric, Value: value, Unit: unit}
	return b.emitted(r.against(limit, limitIs))
}

func (b *servingBench) say(format string, values ...any) {
	fmt.Fprintf(b.progress, b.load.name+": "+format+"\n", values...)
}
