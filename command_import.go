package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/tracker"
	"github.com/millrace/millrace/tracker/importer"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Bring in history: events and the catalogue", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(a.importEventsCommand(), a.importItemsCommand())
	return cmd
}

// importFlags are what both imports share, still as text.
type importFlags struct {
	site, format, mapping, unit, rejects string
	asJSON                               bool
}

func (f *importFlags) add(cmd *cobra.Command, mapUsage string) {
	flags := cmd.Flags()
	flags.StringVar(&f.site, "site", event.DefaultSite, "site that the rows belong to")
	flags.StringVar(&f.format, "format", "", "csv or jsonl, plain or gzip, or parquet (default: by the file's name)")
	flags.StringVar(&f.mapping, "map", "", mapUsage)
	flags.StringVar(&f.unit, "time-unit", "", "unit of a numeric time: s, ms or us (default: by size)")
	flags.StringVar(&f.rejects, "reject-dir", "", "where rejected rows are written (default DATA-DIR/rejected)")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object a file")
	cmd.Args = func(_ *cobra.Command, files []string) error {
		if len(files) == 0 {
			return usageError{fmt.Errorf("name the files to import; run '%s --help'", cmd.CommandPath())}
		}
		return nil
	}
}

// parse reads the texts; format stays empty where the file's name decides.
func (f *importFlags) parse(cfg *Config) (format history.Format, unit history.Unit, err error) {
	if f.format != "" {
		if format, err = history.ParseFormat(f.format); err != nil {
			return "", "", usageError{err}
		}
	}
	if unit, err = history.ParseUnit(f.unit); err != nil {
		return "", "", usageError{err}
	}
	if f.rejects == "" {
		f.rejects = cfg.path(rejectedDir)
	}
	return format, unit, os.MkdirAll(f.rejects, 0o700)
}

func (a *app) importEventsCommand() *cobra.Command {
	var f importFlags
	var oneType, types string
	cmd := &cobra.Command{
		Use:   "events FILE...",
		Short: "Import events with their original times; again and again adds nothing",
		Example: "  millrace import events clicks.csv.gz --format csv --type view_item \\\n" +
			"    --map anonymous_id=session_id,session_id=session_id,item_id=item_id,occurred_at=timestamp",
	}
	f.add(cmd, "field=column,... of: "+fmt.Sprint(history.Fields()))
	cmd.Flags().StringVar(&oneType, "type", "", "event type of rows that name none, such as view_item")
	cmd.Flags().StringVar(&types, "types", "", "the file's type names in ours: pv=view_item,buy=purchase")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cfg, err := a.configFor(roleStream.needs())
		if err != nil {
			return err
		}
		ic := importer.Config{Site: f.site, Type: oneType}
		if ic.Format, ic.TimeUnit, err = f.parse(cfg); err != nil {
			return err
		}
		ic.RejectDir = f.rejects
		if ic.Map, err = history.ParseMapping(f.mapping); err != nil {
			return usageError{err}
		}
		if ic.Types, err = history.ParseTypes(types); err != nil {
			return usageError{err}
		}
		if err := readable(files); err != nil {
			return err
		}
		if cfg.cluster() {
			ic.DrainRows = math.MaxInt // that log is bounded by time alone, so the import need not wait for the stream in between
		}
		return a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
			return a.importEvents(ctx, cfg, ic, running, files, f.asJSON)
		})
	}
	return cmd
}

// importEvents sends the files through Kafka and waits until they are applied and have landed.
func (a *app) importEvents(ctx context.Context, cfg *Config, ic importer.Config, running adminClient, files []string, asJSON bool) error {
	ledger, err := openControl(ctx, cfg)
	if err != nil {
		return err
	}
	defer ledger.Close()
	client, err := newKafkaClient(cfg, running.info.Kafka, "millrace-import")
	if err != nil {
		return err
	}
	defer client.Close()
	producer := kafka.NewProducer(client, kafka.ProducerConfig{})
	return alongside(ctx, producer.Run, func(ctx context.Context) error {
		im, err := importer.New(ic, importer.Deps{
			Producer: tracker.Patient{Gate: tracker.Gate{Producer: producer, Intake: ledger}}, Ledger: ledger, Erased: ledger, Out: a.stderr, Terminal: isTerminal(a.stderr),
			Drain: func(ctx context.Context) error { return running.call(ctx, adminDrain, nil, nil) },
		})
		if err != nil {
			return usageError{err}
		}
		for _, file := range files {
			summary, err := im.Events(ctx, file)
			var column *history.MissingColumnError
			if errors.As(err, &column) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			if err := a.printSummary(asJSON, summary); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) importItemsCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:     "items FILE...",
		Short:   "Import the catalogue; rows are merged into what is known of their items",
		Example: "  millrace import items catalogue.csv --map item_id=sku,title=name,categories=group",
	}
	f.add(cmd, "field=column,... of the catalogue: item_id, title, categories, brand, price, ...")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cfg, err := a.configFor(roleServing.needs())
		if err != nil {
			return err
		}
		ic := importer.ItemsConfig{Site: f.site}
		if ic.Format, ic.TimeUnit, err = f.parse(cfg); err != nil {
			return err
		}
		ic.RejectDir = f.rejects
		if ic.Map, err = importer.ParseItemMapping(f.mapping); err != nil {
			return usageError{err}
		}
		if err := readable(files); err != nil {
			return err
		}
		return a.withRunning(cmd.Context(), cfg, roleServing, func(ctx context.Context, running adminClient) error {
			deps := importer.ItemsDeps{Sink: itemSink{running}, Out: a.stderr, Terminal: isTerminal(a.stderr)}
			for _, file := range files {
				summary, err := importer.Items(ctx, file, ic, deps)
				if err != nil {
					return err
				}
				if err := a.printSummary(f.asJSON, summary); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

// readable reports the first file that cannot be opened, before anything is started for it.
func readable(files []string) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return usageError{fmt.Errorf("import: %w", err)}
		}
		f.Close()
	}
	return nil
}

func (a *app) printSummary(asJSON bool, summary fmt.Stringer) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(summary)
	}
	_, err := fmt.Fprintln(a.stdout, summary)
	return err
}

// itemSink writes catalogue rows through the running process, which owns the catalogue.
type itemSink struct{ running adminClient }

// Upsert implements importer.ItemSink.
func (s itemSink) Upsert(ctx context.Context, site string, rows []json.RawMessage) ([]importer.ItemReject, error) {
	body, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("encode items: %w", err)
	}
	var answer struct {
		Rejected []struct {
			Index int
			event.Problem
		}
	}
	if err := s.running.call(ctx, adminItems+"?site="+site, body, &answer); err != nil {
		return nil, err
	}
	var rejects []importer.ItemReject
	for _, r := range answer.Rejected {
		rejects = append(rejects, importer.ItemReject{Index: r.Index, Reason: r.Error()})
	}
	return rejects, nil
}

// isTerminal reports whether w is one, where a progress bar can redraw itself.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && filepath.Base(f.Name()) != "null"
}
