package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/usertoken"
)

func (a *app) tokensCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tokens", Short: "Manage what a shop's server signs user tokens with", Args: exactArgs(), RunE: showHelp,
		Long: "A page asks for the list of a named user with a token that the shop's server signed. docs/access.md has the form of the\n" +
			"token, and code that makes it in Node.js, Python, PHP and Go."}
	site := cmd.PersistentFlags().String("site", event.DefaultSite, "site of the secret")
	cmd.AddCommand(a.tokensRotateCommand(site), a.tokensListCommand(site), a.tokensEndCommand(site), a.tokensSignCommand(site))
	return cmd
}

func (a *app) tokensRotateCommand(site *string) *cobra.Command {
	var overlap time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make the site's signing secret, the first or the next, and show it, once",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				made, text, err := store.RotateSigningSecret(byCommand(cmd), *site, overlap)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(struct {
						control.SigningSecret
						Secret string `json:"secret"`
					}{made, text})
				}
				_, err = fmt.Fprintln(a.stdout, text)
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", control.DefaultOverlap, "how long tokens of the former secret are taken")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) tokensListCommand(site *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the site's signing secrets, without their texts",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				list, err := store.SigningSecrets(cmd.Context(), *site)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(map[string]any{"site": *site, "signing_secrets": list})
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ID\tSTARTS WITH\tCREATED\tENDS")
				for _, secret := range list {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", secret.ID, secret.Hint, shortTime(secret.CreatedAt), shortTime(secret.ExpiresAt))
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) tokensEndCommand(site *string) *cobra.Command {
	return &cobra.Command{
		Use:   "end ID",
		Short: "End a signing secret; its tokens stop working within a second",
		Args:  exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				if err := store.EndSigningSecret(byCommand(cmd), *site, args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "ended %s\n", args[0])
				return err
			})
		},
	}
}

// tokensSignCommand makes a token by hand: to try a page, or to compare one's own code with.
func (a *app) tokensSignCommand(site *string) *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "sign USER_ID",
		Short: "Sign a token with the site's newest signing secret, to try a page or to compare your own code with",
		Args:  exactArgs("USER_ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := event.CheckID(args[0]); err != nil {
				return usageError{fmt.Errorf("USER_ID %w", err)}
			}
			if life <= 0 || life > usertoken.MaxLife {
				return usageError{fmt.Errorf("--life %s: use more than 0s and at most %s", life, usertoken.MaxLife)}
			}
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				texts, err := store.SigningTexts(cmd.Context(), *site)
				if err != nil {
					return err
				}
				if len(texts) == 0 {
					return fmt.Errorf("site %s has no signing secret; `millrace tokens rotate --site %s` makes one", *site, *site)
				}
				_, err = fmt.Fprintln(a.stdout, usertoken.Sign(texts[len(texts)-1], usertoken.Claims{Site: *site, User: args[0], Expires: time.Now().Add(life)}))
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&life, "life", time.Hour, "how long the token works")
	return cmd
}
