package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Create, list and revoke API keys", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(a.keysCreateCommand(), a.keysListCommand(), a.keysRevokeCommand())
	return cmd
}

// withControl opens the control store of the configured data directory; a running process may have it open too.
func (a *app) withControl(ctx context.Context, use func(*control.Store) error) error {
	cfg, err := a.installed(0)
	if err != nil {
		return err
	}
	store, err := openControl(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	return use(store)
}

func (a *app) keysCreateCommand() *cobra.Command {
	key := control.NewKey{Kind: control.KeyWrite}
	var secret, asJSON bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key and show it, once",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := event.CheckSite(key.Site); err != nil {
				return usageError{fmt.Errorf("--site %q %w", key.Site, err)}
			}
			if secret {
				key.Kind = control.KeySecret
			}
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				made, text, err := store.CreateKey(cmd.Context(), key)
				if err != nil {
					return fmt.Errorf("create key: %w", err)
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(struct {
						control.Key
						Secret string `json:"key"`
					}{made, text})
				}
				_, err = fmt.Fprintf(a.stdout, "%s\n", text)
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&key.Site, "site", event.DefaultSite, "site the key belongs to")
	flags.StringVar(&key.Label, "label", "", "what the key is for")
	flags.StringSliceVar(&key.Origins, "origin", nil, "web origin that may use a public key, like https://shop.example (repeatable)")
	flags.BoolVar(&secret, "secret", false, "make a secret key (sk_...) for servers instead of a public write key (pk_...)")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) keysListCommand() *cobra.Command {
	var site string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, without their secrets",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				keys, err := store.Keys(cmd.Context(), site)
				if err != nil {
					return fmt.Errorf("list keys: %w", err)
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(map[string]any{"keys": keys})
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ID\tSITE\tKIND\tSTARTS WITH\tLABEL\tCREATED\tREVOKED")
				for _, k := range keys {
					revoked := ""
					if !k.RevokedAt.IsZero() {
						revoked = k.RevokedAt.Format(time.DateTime)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Site, k.Kind, k.Hint, k.Label, k.CreatedAt.Format(time.DateTime), revoked)
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "only this site's keys")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) keysRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key; it stops working within a second",
		Args:  exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				if err := store.RevokeKey(cmd.Context(), args[0]); err != nil {
					return fmt.Errorf("revoke key %s: %w", args[0], err)
				}
				_, err := fmt.Fprintf(a.stdout, "revoked %s\n", args[0])
				return err
			})
		},
	}
}
