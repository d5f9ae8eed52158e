package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/lake"
)

// errLakeUnsound ends a verification that found something.
var errLakeUnsound = errors.New("the lake is not sound")

func (a *app) lakeVerifyCommand() *cobra.Command {
	request, asJSON := lake.VerifyRequest{}, false
	cmd := &cobra.Command{
		Use: "verify", Short: "Read all of the lake and compare it with what its tables say",
		Long: "Reads metadata, manifests and every data file, with their checksums, and compares sizes, counts, days and landed offsets with what\n" +
			"the tables say. It changes nothing, works beside everything else, and exits with 1 where something is wrong. `millrace lake\n" +
			"rollback` goes back to a version that is whole; what Kafka still has lands again then.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTable(request.Table); err != nil {
				return err
			}
			request.Progress = verifyProgress(a.stderr)
			return a.withLake(cmd.Context(), func(store *lake.Lake) error {
				found, err := store.Verify(cmd.Context(), request)
				if err != nil {
					return err
				}
				if asJSON {
					err = json.NewEncoder(a.stdout).Encode(map[string]any{"tables": found})
				} else {
					err = printVerification(a.stdout, found)
				}
				for _, v := range found {
					if !v.Sound() {
						return errors.Join(err, errLakeUnsound)
					}
				}
				return err
			})
		},
	}
	addTableFlag(cmd, &request.Table)
	cmd.Flags().BoolVar(&request.Quick, "quick", false, "leave the content of data files alone: only whether they are there and have their size")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printVerification(to io.Writer, found []lake.Verification) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tSNAPSHOTS\tFILES\tROWS\tBYTES\tDAMAGED\tROWS TWICE\tBEHIND FENCE\tOF OTHER DAY\tSECONDS")
	for _, v := range found {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\n",
			v.Table, v.Snapshots, v.Files, v.Rows, v.Bytes, v.Damaged, v.Twice, v.Behind, v.Misplaced, v.Seconds)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, v := range found {
		for _, d := range v.Damages {
			fmt.Fprintf(to, "%s: %s\n", d.File, d.Problem)
		}
		if more := v.Damaged - len(v.Damages); more > 0 {
			fmt.Fprintf(to, "and %d more files of %s\n", more, v.Table)
		}
	}
	return nil
}

// verifyProgress writes a line every few seconds.
func verifyProgress(to io.Writer) func(lake.VerifyProgress) {
	next := time.Now().Add(lakeLine)
	return func(p lake.VerifyProgress) {
		if now := time.Now(); now.After(next) {
			next = now.Add(lakeLine)
			fmt.Fprintf(to, "%s: %d of %d files, %d of %d MiB\n", p.Table, p.Files, p.TotalFiles, p.Bytes>>20, p.TotalBytes>>20)
		}
	}
}
