package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/trainer/eval"
)

func (a *app) evaluateCommand() *cobra.Command {
	var cfg eval.Config
	var mapping, unit string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "evaluate --data FILE",
		Short: "Measure recommenders on a click history: full ranking, intervals, tuned on validation only",
		Example: "  millrace evaluate --data clicks.csv.gz --protocol next-item --models popularity,vstan --k 20 --tune\n" +
			"  millrace evaluate --data clicks.csv.gz --map session_id=visit,item_id=sku,occurred_at=time",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cfg.Mapping, err = history.ParseMapping(mapping); err != nil {
				return usageError{err}
			}
			if cfg.TimeUnit, err = history.ParseUnit(unit); err != nil {
				return usageError{err}
			}
			report, err := eval.Run(cmd.Context(), cfg)
			var usage *eval.UsageError
			var column *history.MissingColumnError
			if errors.As(err, &usage) || errors.As(err, &column) {
				return usageError{err}
			}
			if err != nil {
				return fmt.Errorf("evaluate: %w", err)
			}
			if asJSON {
				return report.WriteJSON(a.stdout)
			}
			return report.WriteTable(a.stdout)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Data, "data", "", "CSV or JSONL file, plain or gzip, or Parquet")
	flags.StringVar(&cfg.Protocol, "protocol", eval.ProtocolNextItem, "how predictions are made")
	flags.StringVar(&cfg.SplitColumn, "split-column", "", "column that says train, valid or test")
	flags.Float64Var(&cfg.Holdout, "holdout", 0, "share of the newest sessions that is the test (default: the last day)")
	flags.StringVar(&mapping, "map", "", "field=column,... for session_id, item_id, occurred_at")
	flags.StringVar(&unit, "time-unit", "", "unit of a numeric time column: s, ms or us (default: by size)")
	flags.StringSliceVar(&cfg.Models, "models", eval.Models(), "models to measure")
	flags.IntSliceVar(&cfg.K, "k", []int{20}, "list lengths")
	flags.BoolVar(&cfg.Tune, "tune", false, "choose each model's parameters on the validation part (without it: only its repeat policy)")
	flags.IntVar(&cfg.Trials, "trials", eval.DefaultTrials, "settings that tuning tries for each model")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "of the search and of the bootstrap")
	flags.StringVar(&cfg.Site, "site", event.DefaultSite, "name of the shop in the report")
	flags.BoolVar(&cfg.IncludeUnseen, "include-unseen", false, "count test items that were not in the training part, as misses")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
