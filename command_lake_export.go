package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/lake"
)

// lakeExport is what `lake export` is asked for.
type lakeExport struct {
	scan              lake.ScanRequest
	format            string
	from, to          string
	overwrite, asJSON bool
}

func (a *app) lakeExportCommand() *cobra.Command {
	e := lakeExport{}
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write the rows of a table to one file",
		Long: "Writes rows of a table to a Parquet file with the lake's columns, or as JSON lines, which `millrace import events` takes again;\n" +
			"a name that ends in .gz is compressed, and - is the standard output. Rows of people who were erased are left out.",
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := e.parse(args[0]); err != nil {
				return usageError{err}
			}
			return a.withLake(cmd.Context(), func(store *lake.Lake) error { return a.export(cmd.Context(), store, e, args[0]) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&e.scan.Table, "table", lake.TableEvents, "events, exposures or items")
	flags.StringVar(&e.format, "format", "", "parquet or jsonl (default: by the file's name)")
	flags.StringVar(&e.scan.Site, "site", "", "only this site")
	flags.StringVar(&e.from, "from", "", "only what happened at this time (RFC 3339) or later")
	flags.StringVar(&e.to, "to", "", "only what happened before this time (RFC 3339)")
	flags.Int64Var(&e.scan.SnapshotID, "snapshot", 0, "an older version of the table (see `lake rollback`)")
	flags.BoolVar(&e.overwrite, "overwrite", false, "replace FILE where it exists")
	flags.BoolVar(&e.asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

func (e *lakeExport) parse(file string) error {
	if e.scan.Table == "" {
		return fmt.Errorf("--table: use %s, %s or %s", lake.TableEvents, lake.TableExposures, lake.TableItems)
	}
	if err := checkTable(e.scan.Table); err != nil {
		return err
	}
	if e.format == "" {
		switch name := strings.TrimSuffix(file, ".gz"); {
		case strings.HasSuffix(name, ".parquet"):
			e.format = string(lake.ExportParquet)
		case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"):
			e.format = string(lake.ExportJSONL)
		default:
			return fmt.Errorf("%s tells no format: add --format parquet or --format jsonl", file)
		}
	}
	if e.format != string(lake.ExportParquet) && e.format != string(lake.ExportJSONL) {
		return fmt.Errorf("--format %q: use parquet or jsonl", e.format)
	}
	if e.format == string(lake.ExportParquet) && strings.HasSuffix(file, ".gz") {
		return errors.New("a Parquet file is compressed inside: leave .gz away")
	}
	for _, bound := range []struct {
		flag, text string
		to         *time.Time
	}{{"--from", e.from, &e.scan.From}, {"--to", e.to, &e.scan.To}} {
		if bound.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, bound.text)
		if err != nil {
			return fmt.Errorf("%s %q is no time like 2026-11-01T00:00:00Z", bound.flag, bound.text)
		}
		*bound.to = at
	}
	return nil
}

func (a *app) export(ctx context.Context, store *lake.Lake, e lakeExport, file string) error {
	began := time.Now()
	var rows int64
	write := func(w io.Writer) (err error) {
		rows, err = store.Export(ctx, e.scan, lake.ExportFormat(e.format), w, exportProgress(a.stderr))
		return err
	}
	summary := a.stdout
	var err error
	if file == "-" {
		summary, err = a.stderr, write(a.stdout)
	} else {
		err = writeWhole(file, e.overwrite, write)
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", e.scan.Table, err)
	}
	if e.asJSON {
		return json.NewEncoder(summary).Encode(map[string]any{"table": e.scan.Table, "rows": rows, "file": file, "seconds": time.Since(began).Seconds()})
	}
	_, err = fmt.Fprintf(summary, "%d rows of %s written to %s\n", rows, e.scan.Table, file)
	return err
}

// writeWhole makes a file that is there only when it is whole.
func writeWhole(file string, overwrite bool, write func(io.Writer) error) (err error) {
	if _, err := os.Stat(file); err == nil && !overwrite {
		return fmt.Errorf("%s exists; --overwrite replaces it", file)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := file + ".partial"
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial))
		}
	}()
	if err := compressing(f, strings.HasSuffix(file, ".gz"), write); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(partial, file)
}

func compressing(to io.Writer, packed bool, write func(io.Writer) error) error {
	buffered := bufio.NewWriterSize(to, 1<<20)
	if !packed {
		if err := write(buffered); err != nil {
			return err
		}
		return buffered.Flush()
	}
	w := gzip.NewWriter(buffered)
	if err := write(w); err != nil {
		return err
	}
	return errors.Join(w.Close(), buffered.Flush())
}

// exportProgress writes a line every few seconds.
func exportProgress(to io.Writer) func(int64) {
	next := time.Now().Add(lakeLine)
	return func(rows int64) {
		if now := time.Now(); now.After(next) {
			next = now.Add(lakeLine)
			fmt.Fprintf(to, "%d rows\n", rows)
		}
	}
}
