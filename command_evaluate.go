package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/trainer"
	"github.com/millrace/millrace/trainer/eval"
)

func (a *app) evaluateCommand() *cobra.Command {
	var cfg eval.Config
	var text evaluateFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "evaluate --data FILE|lake",
		Short: "Measure recommenders on a click history: full ranking, intervals, tuned on validation only",
		Example: "  millrace evaluate --data clicks.csv.gz --protocol next-item --models popularity,vstan --k 20 --tune\n" +
			"  millrace evaluate --data clicks.csv.gz --map session_id=visit,item_id=sku,occurred_at=time\n" +
			"  millrace evaluate --data events.csv.gz --items items.csv.gz --protocol temporal --baseline popularity --html report.html",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := text.apply(&cfg); err != nil {
				return usageError{err}
			}
			report, err := a.evaluate(cmd.Context(), cfg, text.html)
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
	flags.StringVar(&cfg.Data, "data", "", "CSV or JSONL file, plain or gzip, or Parquet; or lake: what a training would read")
	flags.StringVar(&cfg.Items, "items", "", "catalogue file in the same formats: categories for diversity and slices, texts for models that read them")
	flags.StringVar(&cfg.Protocol, "protocol", eval.ProtocolNextItem, "how predictions are made: "+strings.Join(eval.Protocols(), ", "))
	flags.StringVar(&cfg.SplitColumn, "split-column", "", "column that says train, valid or test (next-item)")
	flags.Float64Var(&cfg.Holdout, "holdout", 0, "share that is the test: of the newest sessions (next-item; default: the last day), the newest events (temporal; 0.2), "+
		"each visitor's items (random-holdout; 0.25) or the visitors (strong-generalization; 0.1)")
	flags.StringVar(&text.testFrom, "test-from", "", "time at which the test begins (temporal), RFC 3339 or a date")
	flags.IntVar(&cfg.Seeds, "seeds", 0, "how many times a split by chance is drawn (random-holdout and strong-generalization; default 3)")
	flags.StringVar(&text.mapping, "map", "", "field=column,... for session_id, user_id, item_id, occurred_at, type, rating, transaction_id, category, props.device, props.user_agent")
	flags.StringVar(&text.unit, "time-unit", "", "unit of a numeric time column: s, ms or us (default: by size)")
	flags.StringVar(&text.weights, "weights", "", "type=weight,... what an event counts for by its type, 0 for nothing (default: 1, and 0 for what was only shown or taken back)")
	flags.Float64Var(&text.minRating, "min-rating", 0, "leave out events that are rated lower (default: all count, whatever their rating)")
	flags.StringSliceVar(&cfg.Models, "models", eval.Models(), "models to measure")
	flags.StringVar(&cfg.Baseline, "baseline", "", "model that the others are compared with, on the same predictions")
	flags.IntSliceVar(&cfg.K, "k", nil, "list lengths (default: the protocol's)")
	flags.BoolVar(&cfg.Tune, "tune", false, "choose each model's parameters on the validation part (without it: only its repeat policy)")
	flags.IntVar(&cfg.Trials, "trials", eval.DefaultTrials, "settings that tuning tries for each model")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "of the split, the search and the bootstrap")
	flags.StringVar(&cfg.Site, "site", event.DefaultSite, "site to read from the lake; of a file, the name of the shop in the report")
	flags.BoolVar(&cfg.IncludeUnseen, "include-unseen", false, "count test items that were not in the training part; those of --items may be recommended, others are misses")
	flags.StringVar(&text.html, "html", "", "write the report to this file, too, as a page with plots that needs nothing else")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) { text.rated = cmd.Flags().Changed("min-rating") }
	return cmd
}

// evaluateFlags are the flags that have to be read before they mean something.
type evaluateFlags struct {
	mapping, unit, weights, testFrom, html string
	minRating                              float64
	rated                                  bool // minRating was given
}

func (f *evaluateFlags) apply(cfg *eval.Config) (err error) {
	if cfg.Mapping, err = history.ParseMapping(f.mapping); err != nil {
		return err
	}
	if cfg.TimeUnit, err = history.ParseUnit(f.unit); err != nil {
		return err
	}
	if cfg.Weights, err = history.ParseNumbers(f.weights); err != nil {
		return fmt.Errorf("--weights: %w", err)
	}
	if f.rated {
		cfg.MinRating = &f.minRating
	}
	if f.testFrom == "" {
		return nil
	}
	if cfg.TestFrom, err = time.Parse(time.DateOnly, f.testFrom); err != nil {
		cfg.TestFrom, err = history.ParseTime(f.testFrom, cfg.TimeUnit)
	}
	if err != nil {
		return fmt.Errorf("--test-from: %w", err)
	}
	return nil
}

// evaluate runs on a file, or on what has landed.
func (a *app) evaluate(ctx context.Context, cfg eval.Config, page string) (report *eval.Report, err error) {
	if cfg.Data != eval.DataLake {
		return runEvaluation(ctx, cfg, page)
	}
	installed, err := a.installed(needLake)
	if err != nil {
		return nil, err
	}
	training, err := installed.training(cfg.Site)
	if err != nil {
		return nil, err
	}
	if len(cfg.Weights) > 0 {
		training.Weights = cfg.Weights
	}
	err = a.withLake(ctx, func(store *lake.Lake) error {
		cfg.Source = func(ctx context.Context) (*eval.Log, error) {
			return trainer.ReadLog(ctx, training, trainer.LakeSource{Lake: store})
		}
		report, err = runEvaluation(ctx, cfg, page)
		return err
	})
	return report, err
}

// runEvaluation evaluates and writes the page, if one is asked for. Its file is made first: a path that cannot be written should
// not show after an hour. A page that was not finished is not left behind.
func runEvaluation(ctx context.Context, cfg eval.Config, page string) (report *eval.Report, err error) {
	if page == "" {
		return eval.Run(ctx, cfg)
	}
	file, err := os.Create(page)
	if err != nil {
		return nil, fmt.Errorf("write report page: %w", err)
	}
	if report, err = eval.Run(ctx, cfg); err == nil {
		err = report.WriteHTML(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(page))
	}
	return report, nil
}
