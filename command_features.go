package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/stream"
)

func (a *app) featuresCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "features", Short: "Check the online features", Args: exactArgs(), RunE: showHelp}
	asJSON := false
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Rebuild every feature from lake and log and compare: 0 differences means exact",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.installed()
			if err != nil {
				return err
			}
			var report stream.Report
			err = a.withRunning(cmd.Context(), cfg, func(ctx context.Context, running adminClient) error {
				return running.call(ctx, adminVerify, nil, &report)
			})
			if err != nil {
				return fmt.Errorf("verify features: %w", err)
			}
			return a.printVerification(report, asJSON)
		},
	}
	verify.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.AddCommand(verify)
	return cmd
}

func (a *app) printVerification(report stream.Report, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(a.stdout).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%d profiles, %d differences\n", report.Profiles, report.Differences)
	}
	if report.Differences > 0 {
		return fmt.Errorf("%d features differ from their history; please report this with the output of --json", report.Differences)
	}
	return nil
}
