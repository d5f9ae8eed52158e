package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/telemetry"
)

// build says what is running: what the linker was told, else what the compiler recorded.
func build() telemetry.Build {
	b := telemetry.ReadBuild(version)
	if commit != "" {
		b.Commit = commit
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and compiler",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			b := build()
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(b)
			}
			_, err := fmt.Fprintf(a.stdout, "millrace %s (%s, %s)\n", b.Version, b.Commit, b.Go)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
