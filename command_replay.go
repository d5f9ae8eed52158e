package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/serving"
)

// errReplayDiffers ends the command when a list could not be made again as it was.
var errReplayDiffers = errors.New("the list that is made again is not the one that was shown")

func (a *app) replayCommand() *cobra.Command {
	site, asJSON := event.DefaultSite, false
	cmd := &cobra.Command{
		Use: "replay REC_ID", Short: "Make a list again from its record, and say whether it is the one that was shown",
		Long: "Finds the record of a list in the memory of the running process, in the log or in the lake, and makes the list again with the code that\n" +
			"served it: ranking, rules and filling from the proposals in the record, and the proposals of the model from the version and the profile\n" +
			"that it names. Ends with 1 where anything differs. Lists that were asked with `explain: true` can be made again, and a sampled share of\n" +
			"the others (serving.full_exposures).",
		Args: exactArgs("REC_ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.installed((roleStream | roleServing).needs())
			if err != nil {
				return err
			}
			question, err := json.Marshal(serving.ReplayRequest{Site: site, RecID: args[0]})
			if err != nil {
				return err
			}
			var report serving.Replay
			err = a.withRunning(cmd.Context(), cfg, roleStream|roleServing, func(ctx context.Context, running adminClient) error {
				return running.call(ctx, adminReplay, question, &report)
			})
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			if asJSON {
				err = json.NewEncoder(a.stdout).Encode(report)
			} else {
				err = printReplay(a.stdout, &report)
			}
			if err == nil && !report.Identical {
				err = errReplayDiffers
			}
			return err
		},
	}
	cmd.Flags().StringVar(&site, "site", site, "the site of the list")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printReplay(out io.Writer, r *serving.Replay) error {
	_, err := fmt.Fprintf(out, "list %s of %s on site %s, served %s by model %s, found in: %s\n", r.RecID, r.Placement, r.Site,
		r.ServedAt.UTC().Format(time.DateTime), orNone(r.ModelVersion), r.FoundIn)
	return errors.Join(err, printVerdict(out, "ranking", r.Ranking), printVerdict(out, "proposals", r.Proposals))
}

func printVerdict(out io.Writer, name string, v serving.Verdict) error {
	word := "identical"
	if !v.Identical {
		word = "DIFFERENT"
	}
	_, err := fmt.Fprintf(out, "%s: %s (compared: %s)\n", name, word, orNone(strings.Join(v.Compared, ", ")))
	for _, d := range v.Differences {
		_, lineErr := fmt.Fprintf(out, "  differs: %s\n", d)
		err = errors.Join(err, lineErr)
	}
	for _, s := range v.NotCompared {
		_, lineErr := fmt.Fprintf(out, "  not compared: %s\n", s)
		err = errors.Join(err, lineErr)
	}
	return err
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
