// Command millrace is a real-time clickstream recommendation engine: collector, broker, stream job, lake, trainer and
// recommendation API in one binary. See ARCHITECTURE.md for the rooms of the house.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // nightly runs name a zone, and small images have no zone database

	"github.com/spf13/cobra"
)

// version and commit are set by the linker; see the Makefile.
var (
	version = "dev"
	commit  string
)

// Exit codes of the program, part of the contract with scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(os.Stderr, err))
}

// usageError marks a mistake in how a command was called, as opposed to one that happened while it ran.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitCode reports err, once for the whole program, and says how the process ends.
func exitCode(stderr io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(stderr, "millrace: %v\n", err)
		return exitFailed
	}
}

// Run is the whole program: it parses args, runs one command until it is done or ctx ends, and returns its error.
// Results go to stdout, logs and progress to stderr.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := newRootCommand(&app{stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// app is what every command shares: where it writes, and the flags of the root.
type app struct {
	stdout, stderr io.Writer
	configFile     string
	overrides      overrides
}

func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "millrace",
		Short:         "Real-time clickstream recommendations: collect, stream, store, train and serve in one binary",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; run 'millrace --help'", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; run '%s --help'", err, cmd.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "configuration file (YAML)")
	a.overrides.String(flags, "data-dir", "data_dir", "where everything is kept (default ./millrace-data)")
	a.overrides.String(flags, "log-level", "log.level", "debug, info, warn or error (default info)")
	root.AddCommand(a.roleCommands()...)
	root.AddCommand(
		a.upCommand(), a.importCommand(), a.trainCommand(), a.trainChildCommand(), a.evaluateCommand(),
		a.modelsCommand(), a.lakeCommand(), a.featuresCommand(), a.deadLettersCommand(), a.usersCommand(), a.topicsCommand(), a.keysCommand(), a.replayCommand(), a.recommendCommand(), a.tokensCommand(),
		a.benchCommand(), a.loadCommand(), a.configCommand(), a.versionCommand(),
	)
	return root
}

// exactArgs is cobra.ExactArgs with an error that says what was expected.
func exactArgs(what ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(what) {
			return usageError{fmt.Errorf("%s takes %d argument(s) %v, got %d; run '%[1]s --help'", cmd.CommandPath(), len(what), what, len(args))}
		}
		return nil
	}
}
