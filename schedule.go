package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/telemetry"
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
			return supervisor.Train(ctx, trainer.Request{
				Config: trainer.Config{Site: site, Window: s.cfg.Trainer.Window, Seed: s.cfg.Trainer.Seed},
				Why:    why,
			})
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
