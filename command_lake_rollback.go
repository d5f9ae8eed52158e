package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/lake"
)

func (a *app) lakeRollbackCommand() *cobra.Command {
	table, snapshot, asJSON := "", int64(0), false
	cmd := &cobra.Command{
		Use: "rollback", Short: "List the versions of a table, or go back to one of them",
		Long: "Without --to, lists the versions of a table that can be gone back to. With it, makes the rows of that version current again, and\n" +
			"with them the positions up to which they had landed: what Kafka still has of the records behind them lands again, and what it has\n" +
			"not is noted as a gap. It is a new version with the files of the older one, so it is undone by going back once more. No version\n" +
			"from before an erasure of somebody whom it held can be gone back to.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if table == "" {
				return usageError{fmt.Errorf("name the table: --table %s, %s or %s", lake.TableEvents, lake.TableExposures, lake.TableItems)}
			}
			if err := checkTable(table); err != nil {
				return err
			}
			if !cmd.Flags().Changed("to") {
				return a.listVersions(cmd.Context(), table, asJSON)
			}
			return a.rollBack(cmd.Context(), table, snapshot, asJSON)
		},
	}
	addTableFlag(cmd, &table)
	cmd.Flags().Int64Var(&snapshot, "to", 0, "snapshot id of the version to go back to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) listVersions(ctx context.Context, table string, asJSON bool) error {
	return a.withLake(ctx, func(store *lake.Lake) error {
		versions, err := store.Versions(ctx, table)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(a.stdout).Encode(map[string]any{"table": table, "versions": versions})
		}
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SNAPSHOT\tCOMMITTED\tOPERATION\tROWS\tFILES\t")
		for _, v := range versions {
			mark := ""
			if v.Current {
				mark = "current"
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\n", v.SnapshotID, v.CommittedAt.Format(time.RFC3339), v.Operation, v.Rows, v.Files, mark)
		}
		return w.Flush()
	})
}

func (a *app) rollBack(ctx context.Context, table string, snapshot int64, asJSON bool) error {
	var done lake.Rollback
	err := a.withControl(ctx, func(known *control.Store) error {
		return a.withLake(ctx, func(store *lake.Lake) error {
			return a.whenTendable(ctx, known, func(ctx context.Context) (err error) {
				done, err = store.Rollback(ctx, table, snapshot)
				return err
			})
		})
	})
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(done)
	}
	return printRollback(a.stdout, done)
}

func printRollback(to io.Writer, r lake.Rollback) error {
	fmt.Fprintf(to, "%s has the %d rows of %s again; it had %d\n", r.Table, r.To.Rows, r.To.CommittedAt.Format(time.RFC3339), r.From.Rows)
	fmt.Fprintf(to, "undo with: millrace lake rollback --table %s --to %d\n", r.Table, r.From.SnapshotID)
	if len(r.Moved) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tEPOCH\tPARTITION\tHAD LANDED UP TO\tGOES ON FROM")
	for _, m := range r.Moved {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\n", m.Topic, m.Epoch, m.Partition, m.Was, m.Next)
	}
	return w.Flush()
}
