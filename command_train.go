package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/trainer"
)

// newSupervisor runs trainings as child processes of this very program.
func newSupervisor(cfg *Config, store *control.Store, log *slog.Logger, metrics prometheus.Registerer) (*trainer.Supervisor, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	return trainer.NewSupervisor(trainer.SupervisorConfig{
		Control: store, Process: trainer.Process{Exe: exe}, Lake: cfg.shared("lake"), LakeCatalog: cfg.catalogPlace(), LakeREST: cfg.restCatalog(), Registry: cfg.shared("models"),
		Limits:  trainer.Limits{MemoryBytes: cfg.Trainer.MemoryBytes, Deadline: cfg.Trainer.Deadline},
		Scratch: filepath.Join(cfg.DataDir, "tuning"),
		Log:     telemetry.Component(log, "trainer"), Metrics: metrics,
	})
}

// training is what the configuration says of the trainings of a site.
func (c *Config) training(site string) (trainer.Config, error) {
	weights, err := trainer.ParseWeights(c.Trainer.Weights)
	if err != nil {
		return trainer.Config{}, fmt.Errorf("trainer.weights: %w", err)
	}
	return trainer.Config{Site: site, Window: c.Trainer.Window, Weights: weights, Skip: splitList(c.Trainer.Skip), Seed: c.Trainer.Seed}, nil
}

func (a *app) trainCommand() *cobra.Command {
	var site, tune string
	var asJSON, cancel bool
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train now on what has landed; the result is put in force if it is good enough",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.installed(needLake | needModels)
			if err != nil {
				return err
			}
			if err := event.CheckSite(site); err != nil {
				return usageError{fmt.Errorf("--site %q %w", site, err)}
			}
			training, err := cfg.training(site)
			if err != nil {
				return err
			}
			if tune != "" {
				if training.TuneTrials, training.TuneFor, err = parseBudget(tune); err != nil {
					return usageError{err}
				}
			}
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				if cancel {
					return a.cancelTraining(cmd.Context(), store, site)
				}
				log, err := a.logger(cfg)
				if err != nil {
					return err
				}
				supervisor, err := newSupervisor(cfg, store, log, nil)
				if err != nil {
					return err
				}
				result, err := supervisor.Train(cmd.Context(), trainer.Request{
					Config:   training,
					Why:      "on request",
					Wait:     true, // `up` may be training its first model just now
					Progress: a.printProgress,
				})
				if err != nil {
					return fmt.Errorf("train: %w", err)
				}
				if result.Promoted {
					a.announceModels(cmd.Context())
				}
				return a.printTraining(result, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", event.DefaultSite, "site to train")
	cmd.Flags().StringVar(&tune, "tune", "", "search parameters on the validation part: a number of settings for each model, or a time such as 30m (default: keep the champion's)")
	cmd.Flags().BoolVar(&cancel, "cancel", false, "stop the training of the site that is under way, in whichever process")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// parseBudget reads what a search may cost: a number of settings for each model, or a time for all of them.
func parseBudget(text string) (trials int, limit time.Duration, err error) {
	if trials, err = strconv.Atoi(text); err == nil && trials > 0 {
		return trials, 0, nil
	}
	if limit, err = time.ParseDuration(text); err == nil && limit > 0 {
		return 0, limit, nil
	}
	return 0, 0, fmt.Errorf("--tune %q: give the number of settings to try for each model, such as 100, or a time for all, such as 30m", text)
}

func (a *app) printProgress(p trainer.Progress) {
	left := ""
	if p.LeftSeconds >= 1 {
		left = fmt.Sprintf(" (about %s left)", time.Duration(p.LeftSeconds)*time.Second)
	}
	fmt.Fprintf(a.stderr, "%3.0f %%  %s  %s%s\n", p.Done*100, p.Stage, p.Detail, left)
}

func (a *app) cancelTraining(ctx context.Context, store *control.Store, site string) error {
	cancelled, err := trainer.Cancel(ctx, store, site)
	if err != nil {
		return err
	}
	if !cancelled {
		return fmt.Errorf("no training of site %s is under way", site)
	}
	_, err = fmt.Fprintf(a.stdout, "the training of site %s is cancelled\n", site)
	return err
}

func (a *app) printTraining(result trainer.Result, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(result)
	}
	state := "kept, not promoted"
	switch {
	case result.Version == "":
		state = "nothing trained"
	case result.Promoted:
		state = "promoted"
	}
	if result.Version != "" {
		state = result.Version + " " + state
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %s\n%d rows, %.1f s, peak memory %d MiB\n",
		state, result.Reason, result.Rows, result.Seconds, result.PeakRSSBytes>>20)
	return err
}

// trainChildCommand is the training process that the supervisor starts; people use `train`.
func (a *app) trainChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    trainer.ChildCommand,
		Hidden: true,
		Args:   exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return trainer.Child(cmd.Context(), os.Stdin, a.stdout, a.stderr)
		},
	}
}
