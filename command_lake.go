package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/lake"
)

func (a *app) lakeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lake", Short: "Look into the lake and tend it", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(a.lakeInfoCommand(), a.lakeVerifyCommand(), a.lakeCompactCommand(), a.lakeExpireCommand(), a.lakeExportCommand(), a.lakeRollbackCommand())
	return cmd
}

func (a *app) lakeInfoCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Rows, files, bytes, snapshots and landed offsets of every table",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withLake(cmd.Context(), func(store *lake.Lake) error {
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
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// withLake opens the lake. Its catalog admits several processes, so this works whether or not `up` or roles run.
func (a *app) withLake(ctx context.Context, use func(*lake.Lake) error) error {
	cfg, err := a.installed(needLake)
	if err != nil {
		return err
	}
	return a.withControl(ctx, func(known *control.Store) error {
		store, err := openLake(ctx, cfg, known, nil)
		if err != nil {
			return fmt.Errorf("open lake: %w", err)
		}
		return joinClose(use(store), store)
	})
}

// lakeTask is a command that tends one table of the lake, or all.
type lakeTask struct {
	use, short, long string
	do               func(ctx context.Context, store *lake.Lake, table string, progress io.Writer) (result any, err error)
	print            func(w io.Writer, result any)
}

func (a *app) lakeCompactCommand() *cobra.Command {
	return a.lakeTaskCommand(lakeTask{
		use: "compact", short: "Merge small data files into large ones, sorted by visitor, without duplicate events",
		long: "Merges the small files of each day into few of 128 to 512 MiB, sorted by visitor and time, and drops copies of events. The\n" +
			"files of the running day are merged where 16 of a size have piled up, those of earlier days always. Landing and readers go on\n" +
			"meanwhile. It may be broken off at any time: what was merged stays merged. The trainer role does the same every ten minutes.",
		do: func(ctx context.Context, store *lake.Lake, table string, progress io.Writer) (any, error) {
			return store.Compact(ctx, lake.CompactRequest{Table: table, Progress: compactProgress(progress)})
		},
		print: func(w io.Writer, result any) {
			fmt.Fprintln(w, "TABLE\tFILES BEFORE\tAFTER\tBYTES MERGED\tINTO\tROWS\tDUPLICATES\tSECONDS")
			for _, c := range result.([]lake.Compaction) {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\n",
					c.Table, c.FilesBefore, c.FilesAfter, c.BytesRead, c.BytesWritten, c.Rows, c.Duplicates, c.Seconds)
			}
		},
	})
}

func (a *app) lakeExpireCommand() *cobra.Command {
	return a.lakeTaskCommand(lakeTask{
		use: "expire", short: "Drop days past their retention and old versions, and delete files that nothing refers to",
		long: "Drops whole days that are past lake.retention.events or lake.retention.exposures, counted back from the newest day of the\n" +
			"table, and versions of the table that nobody needs, and deletes files that nothing has referred to for 24 hours. The trainer\n" +
			"role does the same every ten minutes, and once a day deletes files.",
		do: func(ctx context.Context, store *lake.Lake, table string, _ io.Writer) (any, error) {
			return store.Expire(ctx, table, time.Now())
		},
		print: func(w io.Writer, result any) {
			fmt.Fprintln(w, "TABLE\tDAYS DROPPED\tROWS\tSNAPSHOTS DROPPED\tLEFT\tFILES DELETED\tBYTES\tSECONDS")
			for _, e := range result.([]lake.Expiry) {
				fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\n", e.Table, e.Days, e.Rows, e.Snapshots, e.Left, e.FilesSwept, e.BytesSwept, e.Seconds)
			}
		},
	})
}

func (a *app) lakeTaskCommand(task lakeTask) *cobra.Command {
	table, asJSON := "", false
	cmd := &cobra.Command{
		Use: task.use, Short: task.short, Long: task.long, Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkTable(table); err != nil {
				return err
			}
			var result any
			err := a.withControl(cmd.Context(), func(store *control.Store) error {
				return a.withLake(cmd.Context(), func(opened *lake.Lake) error {
					return a.whenTendable(cmd.Context(), store, func(ctx context.Context) (err error) {
						result, err = task.do(ctx, opened, table, a.stderr)
						return err
					})
				})
			})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"tables": result})
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			task.print(w, result)
			return w.Flush()
		},
	}
	addTableFlag(cmd, &table)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func addTableFlag(cmd *cobra.Command, table *string) {
	cmd.Flags().StringVar(table, "table", "", "events, exposures or items (default all)")
}

// checkTable refuses a name of no table; an empty one stands for all.
func checkTable(name string) error {
	switch name {
	case "", lake.TableEvents, lake.TableExposures, lake.TableItems:
		return nil
	}
	return usageError{fmt.Errorf("--table %q: use %s, %s or %s", name, lake.TableEvents, lake.TableExposures, lake.TableItems)}
}

// tendPoll is how often a command looks whether another process has done with the lake.
const tendPoll = time.Second

// whenTendable runs work when no other process tends the lake.
func (a *app) whenTendable(ctx context.Context, store *control.Store, work func(context.Context) error) error {
	for told := false; ; told = true {
		err := store.HoldLease(ctx, lake.MaintenanceLease, holder(), tendTTL, func(ctx context.Context, _ control.Lease) error { return work(ctx) })
		if !errors.Is(err, control.ErrLeaseHeld) {
			return err
		}
		if !told {
			fmt.Fprintf(a.stderr, "waiting: %v\n", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tendPoll):
		}
	}
}

// lakeLine is how often long work on the lake says how far it has come.
const lakeLine = 2 * time.Second

// compactProgress writes a line every few seconds.
func compactProgress(to io.Writer) func(lake.CompactProgress) {
	next := time.Now().Add(lakeLine)
	return func(p lake.CompactProgress) {
		if now := time.Now(); now.After(next) {
			next = now.Add(lakeLine)
			fmt.Fprintf(to, "%s %s: %d of %d files, %d of %d MiB\n", p.Table, p.Day, p.Files, p.TotalFiles, p.Bytes>>20, p.TotalBytes>>20)
		}
	}
}
