package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/telemetry"
)

// anyLoopbackPort lets the kernel pick a port that only this machine reaches.
const anyLoopbackPort = "127.0.0.1:0"

func (a *app) logger(cfg *Config) (*slog.Logger, error) {
	log, err := telemetry.NewLogger(a.stderr, cfg.Log.Level, cfg.Log.Format)
	if err != nil {
		return nil, usageError{err}
	}
	return log, nil
}

// joinClose adds the error of closing c to the error of a finished piece of work.
func joinClose(err error, c interface{ Close() error }) error {
	return errors.Join(err, c.Close())
}

// alongside runs work while background runs beside it. When work is done the background is stopped and waited for; when
// the background fails, work's context ends.
func alongside(ctx context.Context, background, work func(context.Context) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	backgroundCtx, stop := context.WithCancel(groupCtx)
	defer stop()
	group.Go(func() error { return background(backgroundCtx) })
	group.Go(func() error {
		defer stop()
		return work(groupCtx)
	})
	return group.Wait()
}

// withRunning calls use with a process that can answer for a role: the one that runs over the data directory, or else one
// started here for as long as use takes, on free ports and without nightly training. Over shared worlds only the role that
// is asked runs here, beside those of the installation; a stream then takes no partitions from the others.
func (a *app) withRunning(ctx context.Context, cfg *Config, role roleSet, use func(context.Context, adminClient) error) error {
	if cfg.cluster() {
		return withCommandDir(cfg, func(own *Config) error {
			return a.withStarted(ctx, own, systemOptions{roles: role, answer: true}, use)
		})
	}
	info, ok, err := runningProcess(cfg.DataDir)
	if err != nil {
		return err
	}
	if ok {
		return use(ctx, adminClient{info})
	}
	own := *cfg
	return a.withStarted(ctx, &own, systemOptions{roles: allRoles}, use)
}

// withStarted runs roles on free ports for as long as use takes.
func (a *app) withStarted(ctx context.Context, cfg *Config, options systemOptions, use func(context.Context, adminClient) error) (err error) {
	log, err := telemetry.NewLogger(a.stderr, "warn", cfg.Log.Format)
	if err != nil {
		return usageError{err}
	}
	cfg.Listen, cfg.KafkaListen, cfg.AdminListen = anyLoopbackPort, anyLoopbackPort, anyLoopbackPort
	s, err := newSystem(ctx, cfg, log, options)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, s) }()
	return alongside(ctx, s.Run, func(ctx context.Context) error {
		if err := s.waitReady(ctx); err != nil {
			return fmt.Errorf("wait until ready: %w", err)
		}
		return use(ctx, adminClient{s.info})
	})
}

// withCommandDir lends a command over shared worlds a data directory for as long as it runs: the configured one may belong
// to a role.
func withCommandDir(cfg *Config, use func(*Config) error) error {
	dir, err := os.MkdirTemp("", "millrace-command-")
	if err != nil {
		return fmt.Errorf("make a directory for this command: %w", err)
	}
	own := *cfg
	own.DataDir = dir
	return errors.Join(use(&own), os.RemoveAll(dir))
}
