package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// config reads the configuration of this call.
func (a *app) config() (*Config, error) {
	return loadConfig(a.configFile, os.Environ(), a.overrides.given())
}

// configFor reads the configuration of this call for a command that works on some of the worlds. Where they are shared ones,
// all of them must be named.
func (a *app) configFor(n needs) (*Config, error) {
	cfg, err := a.config()
	if err == nil && cfg.cluster() {
		err = cfg.require("this command", n)
	}
	return cfg, err
}

// installed reads the configuration of this call for a command that needs an installation to work on: a mistyped
// directory must not look like an empty one.
func (a *app) installed(n needs) (*Config, error) {
	cfg, err := a.configFor(n)
	if err != nil || cfg.cluster() {
		return cfg, err
	}
	if _, err := os.Stat(cfg.path(controlFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no Millrace data in %s: start `millrace up` on it first, or name another directory with --data-dir", cfg.DataDir)
	} else if err != nil {
		return nil, fmt.Errorf("look into data directory: %w", err)
	}
	return cfg, nil
}

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Print or check the configuration", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(&cobra.Command{
		Use: "print", Short: "Print every key, its value and where that came from", Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			return a.printConfig(cfg)
		},
	}, &cobra.Command{
		Use: "check", Short: "Check the configuration; exit code 2 and one line a mistake where it is wrong", Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if _, err := a.config(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(a.stdout, "configuration is valid")
			return err
		},
	})
	return cmd
}

func (a *app) printConfig(cfg *Config) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, key := range slices.Sorted(maps.Keys(cfg.values)) {
		fmt.Fprintf(w, "%s\t%v\t(%s)\n", key, cfg.shown(key), cfg.origin[key])
	}
	return w.Flush()
}

// showHelp is what a command does that only groups others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }
