package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/stream"
)

func (a *app) featuresCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "features", Short: "Check the online features, or make them again", Args: exactArgs(), RunE: showHelp}
	asJSON := false
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Rebuild every feature from lake and log and compare with what serving reads and with the states: 0 differences means exact",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.installed(roleStream.needs())
			if err != nil {
				return err
			}
			var report stream.Report
			err = a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
				return running.call(ctx, adminVerify, nil, &report)
			})
			if err != nil {
				return fmt.Errorf("verify features: %w", err)
			}
			return a.printVerification(report, asJSON)
		},
	}
	verify.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.AddCommand(verify, a.rebuildCommand())
	return cmd
}

func (a *app) rebuildCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make every feature again from lake and log beside the live ones, and swap; events go on meanwhile",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.installed(roleStream.needs())
			if err != nil {
				return err
			}
			started := time.Now()
			var status stream.RebuildStatus
			err = a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
				status, err = a.followRebuild(ctx, running)
				return err
			})
			if err != nil {
				return fmt.Errorf("rebuild features: %w", err)
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"generation": status.Generation, "partitions": status.Partitions,
					"seconds": time.Since(started).Seconds()})
			}
			_, err = fmt.Fprintf(a.stdout, "%d partitions made again in %s\n", status.Partitions, time.Since(started).Round(time.Millisecond))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// rebuildLook is how often a rebuild is asked how far it has come, and rebuildTell how often that is told.
const (
	rebuildLook = 200 * time.Millisecond
	rebuildTell = 2 * time.Second
)

// followRebuild asks for a rebuild and tells how it goes until it is done. Once asked for, it does not depend on this
// command: a process that dies goes on with it at its next start.
func (a *app) followRebuild(ctx context.Context, running adminClient) (status stream.RebuildStatus, err error) {
	if err := running.call(ctx, adminRebuild, nil, &status); err != nil {
		return status, err
	}
	body, err := json.Marshal(rebuildStatusRequest{Generation: status.Generation})
	if err != nil {
		return status, err
	}
	look := time.NewTicker(rebuildLook)
	defer look.Stop()
	told := time.Now()
	for status.Done < status.Partitions {
		select {
		case <-look.C:
		case <-ctx.Done():
			return status, ctx.Err()
		}
		if err := running.call(ctx, adminRebuildStatus, body, &status); err != nil {
			return status, err
		}
		if time.Since(told) >= rebuildTell {
			told = time.Now()
			fmt.Fprintf(a.stderr, "%d of %d partitions, %d of %d landed events\n", status.Done, status.Partitions, status.Replayed, status.Landed)
		}
	}
	return status, nil
}

func (a *app) printVerification(report stream.Report, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(a.stdout).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%d profiles, %d items, %d differences\n%s", report.Profiles, report.Items, report.Differences, statesLine(report.States))
	}
	if report.Differences > 0 {
		for _, what := range report.Described {
			fmt.Fprintln(a.stderr, what)
		}
		return fmt.Errorf("%d rows differ from their history; please report this with the output of --json", report.Differences)
	}
	return nil
}

// statesLine tells which states were compared, and how far each had come.
func statesLine(states []stream.VerifiedState) string {
	if len(states) == 0 {
		return ""
	}
	var all stream.Compared
	var line strings.Builder
	for i, s := range states {
		all.Add(s.Compared)
		fmt.Fprintf(&line, "%s %d at ", strings.Repeat(",", min(i, 1)), s.Partition)
		if s.Found {
			fmt.Fprintf(&line, "(%d, %d)", s.Epoch, s.Offset)
		} else {
			line.WriteString("none")
		}
	}
	return fmt.Sprintf("states: %d profiles, %d items; partitions%s\n", all.Profiles, all.Items, line.String())
}
