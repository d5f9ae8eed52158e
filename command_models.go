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
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/registry"
)

func (a *app) modelsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "models", Short: "List, show, compare, promote and roll back model versions", Args: exactArgs(), RunE: showHelp}
	site := cmd.PersistentFlags().String("site", event.DefaultSite, "site of the models")
	open := func(ctx context.Context) (*registry.Registry, error) {
		cfg, err := a.installed(needModels)
		if err != nil {
			return nil, err
		}
		return openRegistry(ctx, cfg)
	}
	cmd.AddCommand(a.modelsListCommand(open, site), a.modelsShowCommand(open, site), a.modelsDiffCommand(open, site), &cobra.Command{
		Use: "promote VERSION", Short: "Put a version in force", Args: exactArgs("VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeChampion(cmd, open, *site, "model.promote", func(models *registry.Registry) (string, error) {
				return args[0], models.Promote(cmd.Context(), *site, args[0])
			})
		},
	}, &cobra.Command{
		Use: "rollback", Short: "Put the champion's predecessor in force again", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.changeChampion(cmd, open, *site, "model.rollback", func(models *registry.Registry) (string, error) {
				return models.Rollback(cmd.Context(), *site)
			})
		},
	})
	return cmd
}

// changeChampion puts a version in force, writes down who did it, and tells the process that runs over the data directory.
func (a *app) changeChampion(cmd *cobra.Command, open func(context.Context) (*registry.Registry, error), site, action string,
	change func(*registry.Registry) (version string, err error)) error {
	models, err := open(cmd.Context())
	if err != nil {
		return err
	}
	former, err := models.ChampionVersion(cmd.Context(), site)
	if err != nil && !errors.Is(err, registry.ErrNoChampion) && !errors.Is(err, registry.ErrCorrupt) {
		return err
	}
	version, err := change(models)
	if err != nil {
		return err
	}
	err = a.withControl(cmd.Context(), func(store *control.Store) error {
		return store.Audit(byCommand(cmd), control.AuditEntry{Site: site, Action: action, Target: version, Before: former, After: version})
	})
	a.announceModels(cmd.Context())
	_, printErr := fmt.Fprintf(a.stdout, "champion %s\n", version)
	return errors.Join(err, printErr)
}

// announceModels lets the process that runs over the data directory, if there is one, put the champion in force before the
// command ends. Without the announcement it does so within a second, so a failure is worth a line and no more.
func (a *app) announceModels(ctx context.Context) {
	cfg, err := a.installed(needModels)
	if err != nil {
		return // the command itself has said what is wrong
	}
	if cfg.cluster() {
		return // there are several to tell, on other machines
	}
	info, running, err := runningProcess(cfg.DataDir)
	if err == nil && running {
		err = adminClient{info}.call(ctx, adminModels, nil, nil)
	}
	if err != nil {
		fmt.Fprintf(a.stderr, "the running process was not told, it sees the model in force by itself: %v\n", err)
	}
}

func (a *app) modelsListCommand(open func(ctx context.Context) (*registry.Registry, error), site *string) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use: "list", Short: "Versions, newest first, with the gate's decision", Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			models, err := open(cmd.Context())
			if err != nil {
				return err
			}
			versions, err := a.listModels(cmd.Context(), models, *site)
			if err != nil {
				return err
			}
			// Damage to the champion file hides no version: one of them is the way out.
			champion, damage := models.ChampionVersion(cmd.Context(), *site)
			if errors.Is(damage, registry.ErrNoChampion) {
				damage = nil
			}
			if asJSON {
				err = json.NewEncoder(a.stdout).Encode(map[string]any{"site": *site, "champion": champion, "models": versions})
			} else {
				err = printModels(a.stdout, versions, champion)
			}
			return errors.Join(err, damage)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// listedModel is a version, and the first erasure that took rows which it was trained on: it cannot be trained again since.
type listedModel struct {
	registry.Manifest
	NotReproducible string `json:"not_reproducible_since_erasure,omitempty"`
}

func (a *app) listModels(ctx context.Context, models *registry.Registry, site string) (list []listedModel, err error) {
	versions, err := models.List(ctx, site)
	if err != nil {
		return nil, err
	}
	err = a.withControl(ctx, func(store *control.Store) error {
		erasures, err := store.Erasures(ctx, site)
		for _, m := range versions {
			list = append(list, listedModel{m, control.NotReproducibleSince(erasures, m.CreatedAt)})
		}
		return err
	})
	return list, err
}

func printModels(out io.Writer, versions []listedModel, champion string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tCREATED\tEVENTS\tITEMS\tGATE")
	for _, m := range versions {
		gate := gateText(m.Gate)
		if m.NotReproducible != "" {
			gate += "; not reproducible since erasure " + m.NotReproducible
		}
		if m.Damaged != "" {
			gate = "damaged: " + m.Damaged
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", marked(m.Version, m.Version == champion), m.CreatedAt.Format(time.DateTime), m.Source.Events, m.Source.Items, gate)
	}
	return w.Flush()
}
