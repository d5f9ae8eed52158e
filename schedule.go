package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/trainer"
)

// schedule trains every site by itself until ctx ends: a first model as soon as there is enough data, then every night.
func (s *system) schedule(ctx context.Context) error {
	supervisor, err := newSupervisor(s.cfg, s.control, s.log, s.metrics)
	if err != nil {
		return err
	}
	nightly, err := trainer.ParseTimeOfDay(s.cfg.Trainer.At, s.cfg.Trainer.Zone)
	if err != nil {
		return fmt.Errorf("configure nightly training: %w", err)
	}
	plan, err := trainer.NewSchedule(trainer.ScheduleConfig{
		Sites: s.sites, Nightly: nightly, Control: s.control, Registry: s.registry, Rows: trainer.LakeSource{Lake: s.lake},
		Log: telemetry.Component(s.log, "trainer"),
		Train: func(ctx context.Context, site, why string) (trainer.Result, error) {
			training, err := s.cfg.training(site)
			if err != nil {
				return trainer.Result{}, err
			}
			return supervisor.Train(ctx, trainer.Request{Config: training, Why: why})
		},
	})
	if err != nil {
		return fmt.Errorf("build training schedule: %w", err)
	}
	return plan.Run(ctx)
}

// sites lists every site that has a key; the default site is one of them even without.
func (s *system) sites(ctx context.Context) ([]string, error) {
	keys, err := s.control.Keys(ctx, "")
	if err != nil {
		return nil, err
	}
	sites := []string{event.DefaultSite}
	for _, key := range keys {
		if !slices.Contains(sites, key.Site) {
			sites = append(sites, key.Site)
		}
	}
	return sites, nil
}

const (
	// tendInterval is how often the lake is compacted and its metadata tidied. At a commit every 5 s some hundred small files
	// and snapshots have come together then.
	tendInterval = 10 * time.Minute

	// tendTTL is how long the lease of the lake (lake.MaintenanceLease) outlives a process that died with it.
	tendTTL = time.Minute
)

// tendLake keeps the files of the lake few and its metadata small until ctx ends, in one trainer process at a time. A round
// that fails costs only space, and the next tries again.
func (s *system) tendLake(ctx context.Context) error {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := s.control.HoldLease(ctx, lake.MaintenanceLease, holder(), tendTTL, func(ctx context.Context, _ control.Lease) error {
			// A compaction that cannot go on is no reason to let versions pile up.
			return errors.Join(s.compactLake(ctx), s.lake.Maintain(ctx, time.Now()))
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, control.ErrLeaseHeld) {
			s.log.Warn("the lake was not tended; trying again later", "error", err)
		}
	}
}

// compactReport is how often a compaction that takes long says how far it has come.
const compactReport = 30 * time.Second

func (s *system) compactLake(ctx context.Context) error {
	log := telemetry.Component(s.log, "lake")
	next := time.Now().Add(compactReport)
	done, err := s.lake.Compact(ctx, lake.CompactRequest{Progress: func(p lake.CompactProgress) {
		if now := time.Now(); now.After(next) {
			next = now.Add(compactReport)
			log.Info("compacting", "table", p.Table, "day", p.Day, "files", p.Files, "of_files", p.TotalFiles, "bytes", p.Bytes, "of_bytes", p.TotalBytes)
		}
	}})
	for _, c := range done {
		if c.FilesRead > 0 {
			log.Info("compacted", "table", c.Table, "files", c.FilesRead, "into", c.FilesWritten, "bytes", c.BytesRead, "rows", c.Rows,
				"duplicates", c.Duplicates, "seconds", c.Seconds)
		}
	}
	return err
}
