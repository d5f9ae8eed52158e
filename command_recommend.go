package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/lake"
	"github.com/millrace/millrace/serving"
)

// userLists is what `recommend` is asked for.
type userLists struct {
	serving.UserListsRequest
	users, out        string
	overwrite, asJSON bool
}

func (a *app) recommendCommand() *cobra.Command {
	l := userLists{}
	cmd := &cobra.Command{
		Use: "recommend --users FILE --placement P --out FILE.parquet", Short: "Write a list for each of many people to one file, for e-mail",
		Long: "Reads one user id a line (anonymous:ID is a browser), a CSV file with the column user_id, or JSON lines with user_id, and writes a Parquet\n" +
			"file with the columns user_id, placement, position, item_id, score, reasons, model_version and rec_id. An id that cannot be one is\n" +
			"reported with its line and left out. The lists are recorded as shown with --record only.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.users == "" || l.Placement == "" || l.out == "" {
				return usageError{errors.New("recommend: --users, --placement and --out are needed")}
			}
			if l.Limit < 0 || l.Limit > control.MaxPlacementLimit {
				return usageError{fmt.Errorf("recommend: --limit %d: use 1 to %d", l.Limit, control.MaxPlacementLimit)}
			}
			cfg, err := a.installed(roleServing.needs())
			if err != nil {
				return err
			}
			return a.withRunning(cmd.Context(), cfg, roleServing, func(ctx context.Context, running adminClient) error {
				return a.writeUserLists(ctx, running, &l)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&l.users, "users", "", "whose lists: a file of ids")
	flags.StringVar(&l.Placement, "placement", "", "the placement that the lists are of")
	flags.StringVar(&l.out, "out", "", "the Parquet file to write")
	flags.IntVar(&l.Limit, "limit", 0, "items a list (default: the placement's own)")
	flags.StringVar(&l.Site, "site", event.DefaultSite, "the site")
	flags.BoolVar(&l.Record, "record", false, "record the lists as shown")
	flags.BoolVar(&l.overwrite, "overwrite", false, "replace the file where it exists")
	flags.BoolVar(&l.asJSON, "json", false, "print one JSON object at the end")
	return cmd
}

// userListsSummary is what became of the ids of a file.
type userListsSummary struct {
	File  string `json:"file"`
	Users int64  `json:"users"`
	Rows  int64  `json:"rows"`
	Bad   int64  `json:"bad"`
}

// maxBadShown is how many bad ids are told one by one.
const maxBadShown = 20

func (a *app) writeUserLists(ctx context.Context, running adminClient, l *userLists) error {
	in, err := os.Open(l.users)
	if err != nil {
		return fmt.Errorf("recommend: %w", err)
	}
	defer in.Close()
	sum := userListsSummary{File: l.out}
	progress := exportProgress(a.stderr)
	err = writeWhole(l.out, l.overwrite, func(w io.Writer) error {
		file, err := lake.NewListFile(w)
		if err != nil {
			return err
		}
		flush := func() error {
			if len(l.Users) == 0 {
				return nil
			}
			rows, err := writeChunk(ctx, running, &l.UserListsRequest, file)
			sum.Users, sum.Rows = sum.Users+int64(len(l.Users)), sum.Rows+rows
			progress(sum.Rows)
			l.Users = l.Users[:0]
			return err
		}
		err = eachUser(in, func(line int64, id string, err error) error {
			if err == nil {
				_, err = serving.CheckListUser(l.Site, id)
			}
			if err != nil {
				if sum.Bad++; sum.Bad <= maxBadShown {
					fmt.Fprintf(a.stderr, "%s line %d: %q is left out: %v\n", l.users, line, id, err)
				}
				return nil
			}
			if l.Users = append(l.Users, id); len(l.Users) < serving.MaxListUsers {
				return nil
			}
			return flush()
		})
		if err == nil {
			err = flush() // of a file that could not be read, no more lists are made
		}
		return errors.Join(err, file.Close())
	})
	if err != nil {
		return fmt.Errorf("recommend: %w", err)
	}
	if l.asJSON {
		return json.NewEncoder(a.stdout).Encode(sum)
	}
	_, err = fmt.Fprintf(a.stdout, "lists for %d people, %d rows, written to %s; %d ids were left out\n", sum.Users, sum.Rows, l.out, sum.Bad)
	return err
}

// writeChunk asks for the lists of some people and writes them.
func writeChunk(ctx context.Context, running adminClient, request *serving.UserListsRequest, file *lake.ListFile) (rows int64, err error) {
	question, err := json.Marshal(request)
	if err != nil {
		return 0, err
	}
	var lists []serving.UserList
	if err := running.call(ctx, adminUserLists, question, &lists); err != nil {
		return 0, err
	}
	for _, list := range lists {
		for i, item := range list.Items {
			err := file.Write(&lake.ListItem{
				UserID: list.UserID, Placement: request.Placement, Position: int32(i), ItemID: item.ItemID, Score: item.Score,
				Reasons: item.Reasons, ModelVersion: list.ModelVersion, RecID: list.RecID, Variant: list.Variant,
			})
			if err != nil {
				return rows, err
			}
			rows++
		}
	}
	return rows, nil
}
