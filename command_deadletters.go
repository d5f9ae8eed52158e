package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/stream"
)

// defaultListedLetters is how many letters a list shows unless told otherwise: a screen or two.
const defaultListedLetters = 50

func (a *app) deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deadletters", Short: "Look at records that could not be used, and send them again", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(a.listLettersCommand(), a.replayLettersCommand())
	return cmd
}

func (a *app) listLettersCommand() *cobra.Command {
	asJSON, limit := false, defaultListedLetters
	cmd := &cobra.Command{
		Use:   "list",
		Short: "The newest dead letters: where each record stood, why it could not be used, and how it begins",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > stream.MaxListedLetters {
				return usageError{fmt.Errorf("--limit %d is not between 1 and %d", limit, stream.MaxListedLetters)}
			}
			cfg, err := a.installed(roleStream.needs())
			if err != nil {
				return err
			}
			body, err := json.Marshal(listLettersRequest{Limit: limit})
			if err != nil {
				return err
			}
			var list stream.LetterList
			err = a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
				return running.call(ctx, adminLetters, body, &list)
			})
			if err != nil {
				return fmt.Errorf("list dead letters: %w", err)
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(list)
			}
			return a.printLetters(list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().IntVar(&limit, "limit", limit, "how many letters to show, the newest")
	return cmd
}

func (a *app) printLetters(list stream.LetterList) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tTOPIC\tRECORD\tREASON\tBYTES\tREPLAYED\tBEGINS WITH")
	for _, l := range list.Letters {
		replayed := "no"
		if l.Replayed {
			replayed = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%d:%d\t%s\t%d\t%s\t%s\n", l.Time.Format(time.DateTime), l.Topic, l.Partition, l.Offset, l.Reason, l.Size, replayed, l.Excerpt)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.stdout, "%d of %d dead letters\n", len(list.Letters), list.Total)
	return err
}

func (a *app) replayLettersCommand() *cobra.Command {
	var reason, offset string
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "replay (--all | --reason REASON | --offset PARTITION:OFFSET)",
		Short: "Send records again that can be used by now; what cannot stays, and nothing is sent twice",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			req, err := replayRequest(all, reason, offset)
			if err != nil {
				return usageError{err}
			}
			cfg, err := a.installed(roleStream.needs())
			if err != nil {
				return err
			}
			err = a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
				return a.replayLetters(ctx, running, req, asJSON)
			})
			if err != nil {
				return fmt.Errorf("replay dead letters: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&all, "all", false, "every dead letter")
	flags.StringVar(&reason, "reason", "", "the letters of one reason: empty, format or invalid")
	flags.StringVar(&offset, "offset", "", "the letters of one record, PARTITION:OFFSET as `deadletters list` shows it")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a letter")
	return cmd
}

func replayRequest(all bool, reason, offset string) (req stream.ReplayRequest, err error) {
	given := 0
	for _, set := range []bool{all, reason != "", offset != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		return req, errors.New("say which letters to replay: one of --all, --reason and --offset")
	}
	req.Reason = reason
	if offset == "" {
		return req, nil
	}
	partition, rest, ok := strings.Cut(offset, ":")
	p, err1 := strconv.ParseInt(partition, 10, 32)
	o, err2 := strconv.ParseInt(rest, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return req, fmt.Errorf("--offset %q is not PARTITION:OFFSET, such as 3:1204", offset)
	}
	req.Record = &stream.RecordOffset{Partition: int32(p), Offset: o}
	return req, nil
}

// replayLetters asks for page after page and prints what became of each letter.
func (a *app) replayLetters(ctx context.Context, running adminClient, req stream.ReplayRequest, asJSON bool) error {
	counts := make(map[string]int)
	total := 0
	encoder := json.NewEncoder(a.stdout)
	for {
		body, err := json.Marshal(req)
		if err != nil {
			return err
		}
		var report stream.ReplayReport
		if err := running.call(ctx, adminReplayLetters, body, &report); err != nil {
			return err
		}
		for _, o := range report.Outcomes {
			counts[o.Outcome]++
			total++
			if asJSON {
				err = encoder.Encode(o)
			} else {
				_, err = fmt.Fprintln(a.stdout, strings.TrimSpace(fmt.Sprintf("%s %d:%d %s %s", o.Topic, o.Partition, o.Offset, o.Outcome, o.Note)))
			}
			if err != nil {
				return err
			}
		}
		if report.Next == nil {
			break
		}
		req.Cursor = report.Next
	}
	if total == 0 && req.Record != nil {
		return fmt.Errorf("no dead letter holds a record %d:%d; `millrace deadletters list` shows them", req.Record.Partition, req.Record.Offset)
	}
	if asJSON {
		return nil
	}
	replayed, repeated := counts[stream.OutcomeReplayed], counts[stream.OutcomeRepeated]
	_, err := fmt.Fprintf(a.stdout, "%d replayed, %d already replayed before, %d left\n", replayed, repeated, total-replayed-repeated)
	return err
}
