package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) lakeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lake", Short: "Look into the lake", Args: exactArgs(), RunE: showHelp}
	asJSON := false
	info := &cobra.Command{
		Use:   "info",
		Short: "Rows, files, bytes, snapshots and landed offsets of every table",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.installed(needLake)
			if err != nil {
				return err
			}
			// The catalog admits readers of other processes, so this works whether or not `up` runs.
			store, err := openLake(cmd.Context(), cfg)
			if err != nil {
				return fmt.Errorf("open lake: %w", err)
			}
			defer store.Close()
			tables, err := store.Info(cmd.Context())
			if err != nil {
				return fmt.Errorf("read lake: %w", err)
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"tables": tables})
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TABLE\tROWS\tFILES\tBYTES\tSNAPSHOTS\tMETADATA")
			for _, t := range tables {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\n", t.Name, t.Rows, t.Files, t.Bytes, t.Snapshots, t.MetadataLocation)
			}
			return w.Flush()
		},
	}
	info.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.AddCommand(info)
	return cmd
}
