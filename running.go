package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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

// withRunning calls use with the process that owns the data directory: the one that runs there, or one started here for
// as long as use takes, on free ports and without nightly training.
func (a *app) withRunning(ctx context.Context, cfg *Config, use func(context.Context, adminClient) error) (err error) {
	info, ok, err := runningProcess(cfg.DataDir)
	if err != nil {
		return err
	}
	if ok {
		return use(ctx, adminClient{info})
	}
	log, err := telemetry.NewLogger(a.stderr, "warn", cfg.Log.Format)
	if err != nil {
		return usageError{err}
	}
	own := *cfg
	own.Listen, own.KafkaListen, own.AdminListen = anyLoopbackPort, anyLoopbackPort, anyLoopbackPort
	s, err := newSystem(ctx, &own, log, systemOptions{})
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
