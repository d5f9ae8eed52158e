package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"

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
		Log: telemetry.Component(log, "trainer"), Metrics: metrics,
	})
}

func (a *app) trainCommand() *cobra.Command {
	var site, tune string
	var asJSON bool
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
			trials := 0
			if tune != "" {
				if trials, err = strconv.Atoi(tune); err != nil || trials < 1 {
					return usageError{fmt.Errorf("--tune %q: give the number of settings to try for each model, such as 100", tune)}
				}
			}
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				log, err := a.logger(cfg)
				if err != nil {
					return err
				}
				supervisor, err := newSupervisor(cfg, store, log, nil)
				if err != nil {
					return err
				}
				result, err := supervisor.Train(cmd.Context(), trainer.Request{
					Config: trainer.Config{Site: site, Window: cfg.Trainer.Window, Seed: cfg.Trainer.Seed, TuneTrials: trials},
					Why:    "on request",
					Wait:   true, // `up` may be training its first model just now
					Progress: func(p trainer.Progress) {
						fmt.Fprintf(a.stderr, "%3.0f %%  %s  %s\n", p.Done*100, p.Stage, p.Detail)
					},
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
	cmd.Flags().StringVar(&tune, "tune", "", "number of settings to try for each model on the validation part (default: keep the champion's)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
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
