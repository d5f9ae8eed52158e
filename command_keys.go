package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "Create, list, rotate and revoke API keys", Args: exactArgs(), RunE: showHelp}
	cmd.AddCommand(a.keysCreateCommand(), a.keysListCommand(), a.keysRotateCommand(), a.keysRevokeCommand())
	return cmd
}

// withControl opens the control store of the configured data directory; a running process may have it open too. What use
// changes is the command's in the audit log.
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

// byCommand is a context whose changes are a command's in the audit log.
func byCommand(cmd *cobra.Command) context.Context {
	return control.As(cmd.Context(), control.Actor{Kind: control.ActorCommand, Name: cmd.CommandPath()})
}

// shownKey is a key with its secret, which is shown this once.
type shownKey struct {
	control.Key
	Secret string `json:"key"`
}

// showKey prints a secret: alone, so that a script can read it, or with its key.
func (a *app) showKey(key control.Key, secret string, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(shownKey{key, secret})
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n", secret)
	return err
}

// keyFlags are the flags of `keys create`.
type keyFlags struct {
	key                  control.NewKey
	secret, read, asJSON bool
	scopes               []string
	expires              time.Duration
}

// chosen is the key that the flags ask for.
func (f *keyFlags) chosen(now time.Time) (control.NewKey, error) {
	if err := event.CheckSite(f.key.Site); err != nil {
		return f.key, usageError{fmt.Errorf("--site %q %w", f.key.Site, err)}
	}
	switch {
	case f.secret && f.read:
		return f.key, usageError{fmt.Errorf("--secret and --read are two kinds of keys; give one")}
	case f.secret:
		f.key.Kind = control.KeySecret
	case f.read:
		f.key.Kind = control.KeyRead
	}
	for _, scope := range f.scopes {
		f.key.Scopes = append(f.key.Scopes, control.Scope(scope))
	}
	if f.expires < 0 {
		return f.key, usageError{fmt.Errorf("--expires-in %s has passed", f.expires)}
	}
	if f.expires > 0 {
		f.key.ExpiresAt = now.Add(f.expires)
	}
	if _, err := f.key.Key(); err != nil {
		return f.key, usageError{err}
	}
	return f.key, nil
}

func (a *app) keysCreateCommand() *cobra.Command {
	f := keyFlags{key: control.NewKey{Kind: control.KeyWrite}}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a key and show it, once",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := f.chosen(time.Now())
			if err != nil {
				return err
			}
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				made, text, err := store.CreateKey(byCommand(cmd), key)
				if err != nil {
					return err
				}
				return a.showKey(made, text, f.asJSON)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.key.Site, "site", event.DefaultSite, "site the key belongs to")
	flags.StringVar(&f.key.Label, "label", "", "what the key is for")
	flags.StringSliceVar(&f.key.Origins, "origin", nil, "web origin that may use a public key, like https://shop.example (repeatable)")
	flags.BoolVar(&f.secret, "secret", false, "make a secret key (sk_...) for servers instead of a public write key (pk_...)")
	flags.BoolVar(&f.read, "read", false, "make a public key (pk_...) that reads browser-readable placements and sends no events")
	flags.StringSliceVar(&f.scopes, "scope", nil, "what a secret key may do, of "+control.ScopeNames(control.Scopes())+" (repeatable; none is everything)")
	flags.Float64Var(&f.key.Rate, "rate", 0, "requests a second that the key may make; 0 is access.key_rate")
	flags.DurationVar(&f.expires, "expires-in", 0, "end the key after this time, like 720h; 0 is never")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
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
				return printKeys(a.stdout, keys, time.Now())
			})
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "only this site's keys")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func printKeys(to io.Writer, keys []control.Key, now time.Time) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSITE\tKIND\tSTARTS WITH\tMAY\tLABEL\tCREATED\tLAST USED\tENDS")
	for _, k := range keys {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Site, k.Kind, startsWith(k, now), keyRights(k), k.Label,
			shortTime(k.CreatedAt), shortTime(k.LastUsedAt), keyEnd(k))
	}
	return w.Flush()
}

// startsWith tells a key's secrets apart: both during the overlap of a rotation.
func startsWith(k control.Key, now time.Time) string {
	if k.PreviousHint == "" || !k.RevokedAt.IsZero() || !now.Before(k.PreviousUntil) {
		return k.Hint
	}
	return fmt.Sprintf("%s, and %s until %s", k.Hint, k.PreviousHint, shortTime(k.PreviousUntil))
}

func keyRights(k control.Key) string {
	var rights []string
	if k.Kind == control.KeySecret && len(k.Scopes) == 0 {
		rights = append(rights, "everything")
	}
	for _, scope := range k.Scopes {
		rights = append(rights, string(scope))
	}
	if k.Kind != control.KeySecret {
		for _, scope := range control.Scopes() {
			if k.Allows(scope) {
				rights = append(rights, string(scope))
			}
		}
	}
	if k.Rate > 0 {
		rights = append(rights, fmt.Sprintf("%g/s", k.Rate))
	}
	return strings.Join(rights, " ")
}

func keyEnd(k control.Key) string {
	if !k.RevokedAt.IsZero() {
		return "revoked " + shortTime(k.RevokedAt)
	}
	return shortTime(k.ExpiresAt)
}

// shortTime is a time in a table, empty for never.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateTime)
}

func (a *app) keysRotateCommand() *cobra.Command {
	var overlap time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give a key another secret and show it, once; the former one works until the overlap is over",
		Long: "Both secrets work during the overlap, so that those who use the key can be changed one after the other. Rotating again ends\n" +
			"the oldest of three at once. --overlap 0s ends the former secret now: do that with one that was seen by somebody else.",
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				key, text, err := store.RotateKey(byCommand(cmd), "", args[0], overlap)
				if err != nil {
					return err
				}
				return a.showKey(key, text, asJSON)
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", control.DefaultOverlap, "how long the former secret goes on working")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) keysRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key with all its secrets; it stops working within a second",
		Args:  exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				if err := store.RevokeKey(byCommand(cmd), "", args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "revoked %s\n", args[0])
				return err
			})
		},
	}
}
