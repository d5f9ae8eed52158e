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
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/stream"
)

func (a *app) usersCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "users", Short: "Erase people, prove it, and tell what is held about somebody", Args: exactArgs(), RunE: showHelp}
	site := cmd.PersistentFlags().String("site", event.DefaultSite, "site of the person")
	cmd.AddCommand(a.eraseCommand(site), a.verifyErasedCommand(site), a.exportUserCommand(site), a.erasuresCommand(site))
	return cmd
}

// aboutUser runs f with a process that owns the stream's part of the installation, and the body of a call about a person.
func (a *app) aboutUser(ctx context.Context, site, id string, f func(ctx context.Context, running adminClient, body []byte) error) error {
	if _, err := erasure.ParseWho(site, id); err != nil {
		return usageError{fmt.Errorf("%q is neither a user_id nor anonymous:ID of a browser, or --site is none: %w", id, err)}
	}
	body, err := json.Marshal(userRequest{Site: site, ID: id})
	if err != nil {
		return err
	}
	cfg, err := a.installed(roleStream.needs())
	if err != nil {
		return err
	}
	return a.withRunning(ctx, cfg, roleStream, func(ctx context.Context, running adminClient) error { return f(ctx, running, body) })
}

func (a *app) eraseCommand(site *string) *cobra.Command {
	asJSON, wait := false, true
	cmd := &cobra.Command{
		Use:   "erase ID",
		Short: "Erase a user, or a browser as anonymous:ID, from every store; nothing of it is shown from the start of this",
		Long: "Erases everything that happened before now: online features, states, sessions and links, rows of the lake with their files and\n" +
			"older versions, records of the logs. Once asked for, it goes on whatever happens to this command. It takes about as long as\n" +
			"`millrace features rebuild`, for one person or for many at once, and ends with a certificate of what every store held.",
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.aboutUser(cmd.Context(), *site, args[0], func(ctx context.Context, running adminClient, body []byte) error {
				var e control.Erasure
				err := running.call(ctx, adminErase, body, &e)
				if err != nil {
					return fmt.Errorf("erase: %w", err)
				}
				if wait {
					if e, err = a.followErasure(ctx, running, e); err != nil {
						return fmt.Errorf("erase (%s goes on without this command): %w", e.ID, err)
					}
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(e)
				}
				return printErasure(a.stdout, e)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until it is done; --wait=false only asks for it")
	return cmd
}

// followErasure tells how an erasure goes until it is done.
func (a *app) followErasure(ctx context.Context, running adminClient, e control.Erasure) (control.Erasure, error) {
	body, err := json.Marshal(erasureRequest{Site: e.Site, Erasure: e.ID})
	if err != nil {
		return e, err
	}
	look := time.NewTicker(rebuildLook)
	defer look.Stop()
	told, trouble := control.ErasureStep(""), ""
	for e.Step != control.ErasureDone {
		if e.Step != told || e.Trouble != trouble {
			told, trouble = e.Step, e.Trouble
			fmt.Fprintf(a.stderr, "%s %s\n", e.Step, e.Trouble)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return e, ctx.Err()
		}
		var next control.Erasure
		if err := running.call(ctx, adminErasure, body, &next); err != nil {
			return e, err
		}
		e = next
	}
	return e, nil
}

// printErasure shows how far an erasure has come, and its certificate.
func printErasure(to io.Writer, e control.Erasure) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "erasure\t%s\nsite\t%s\nstep\t%s\nuntil\t%s\n", e.ID, e.Site, e.Step, e.Until.Format(time.RFC3339Nano))
	if e.Trouble != "" {
		fmt.Fprintf(w, "trouble\t%s\n", e.Trouble)
	}
	if !e.FinishedAt.IsZero() {
		fmt.Fprintf(w, "finished\t%s\n", e.FinishedAt.Format(time.RFC3339Nano))
	}
	var c stream.Certificate
	if len(e.Certificate) > 0 {
		if err := json.Unmarshal(e.Certificate, &c); err != nil {
			return fmt.Errorf("read certificate: %w", err)
		}
		fmt.Fprintln(w, "\nSTORE\tBEFORE\tAFTER")
		for _, store := range c.Before.Stores() {
			after := "not looked yet"
			if n, looked := c.After[store]; looked {
				after = fmt.Sprint(n)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\n", store, c.Before[store], after)
		}
	}
	return w.Flush()
}

func (a *app) verifyErasedCommand(site *string) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "verify-erased ID",
		Short: "Look for a person in every row, state, record, dead letter and reject file; exit code 1 if something is found",
		Long: "Of somebody who was erased this looks for what happened before the erasure: whoever came back under the same id is somebody\n" +
			"new. Of anybody else it finds everything. Texts of other people's rows that are equal to the id are counted as mentions: they\n" +
			"are no finding, because nobody can say what they mean.",
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var report stream.PersonReport
			err := a.aboutUser(cmd.Context(), *site, args[0], func(ctx context.Context, running adminClient, body []byte) error {
				return running.call(ctx, adminVerifyErased, body, &report)
			})
			if err != nil {
				return err
			}
			return a.printPerson(report, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func (a *app) printPerson(report stream.PersonReport, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(a.stdout).Encode(report); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "STORE\tFOUND\tMENTIONS")
		for _, store := range report.Found.Stores() {
			mentions := ""
			if n, looked := report.Mentions[store]; looked {
				mentions = fmt.Sprint(n)
			}
			fmt.Fprintf(w, "%s\t%d\t%s\n", store, report.Found[store], mentions)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	switch {
	case report.Total > 0 && len(report.Erasures) == 0:
		return fmt.Errorf("%d things are held about this person, who was not erased", report.Total)
	case report.Total > 0 && !report.Done:
		return fmt.Errorf("%d things are held about this person, whose erasure is under way", report.Total)
	case report.Total > 0:
		return fmt.Errorf("%d things are held about this person, who was erased: run `millrace users erase` again, and please report this with the output of --json", report.Total)
	}
	return nil
}

func (a *app) exportUserCommand(site *string) *cobra.Command {
	return &cobra.Command{
		Use:   "export ID",
		Short: "Print everything that is held about a user, or a browser as anonymous:ID, as one JSON object",
		Args:  exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.aboutUser(cmd.Context(), *site, args[0], func(ctx context.Context, running adminClient, body []byte) error {
				return running.copy(ctx, adminExport, body, a.stdout)
			})
		},
	}
}

func (a *app) erasuresCommand(site *string) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "erasures",
		Short: "List the erasures of a site; they say what was done, not to whom",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withControl(cmd.Context(), func(store *control.Store) error {
				list, err := store.Erasures(cmd.Context(), *site)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(a.stdout).Encode(map[string]any{"site": *site, "erasures": list})
				}
				w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "ERASURE\tSTEP\tREQUESTED\tFINISHED\tTROUBLE")
				for _, e := range list {
					finished := ""
					if !e.FinishedAt.IsZero() {
						finished = e.FinishedAt.Format(time.DateTime)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.Step, e.RequestedAt.Format(time.DateTime), finished, e.Trouble)
				}
				return w.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}
