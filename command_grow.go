package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/stream"
)

const (
	// growLook is how often a grow is asked how far it has come.
	growLook = 200 * time.Millisecond
	// growIdle is how long nobody may be at work on it before that is told: a process of the stream takes it up in a second.
	growIdle = 5 * time.Second
)

func (a *app) growCommand() *cobra.Command {
	var partitions int32
	asJSON := false
	cmd := &cobra.Command{
		Use:   "grow TOPIC --partitions N",
		Short: "Give the topic of events or exposures more partitions; meanwhile collectors ask their clients to send later",
		Args:  exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if partitions < 1 {
				return usageError{fmt.Errorf("--partitions %d: say how many the topic shall have", partitions)}
			}
			cfg, err := a.installed(roleStream.needs())
			if err != nil {
				return err
			}
			var status stream.GrowStatus
			err = a.withRunning(cmd.Context(), cfg, roleStream, func(ctx context.Context, running adminClient) error {
				status, err = a.followGrow(ctx, running, growRequest{Topic: args[0], Partitions: partitions})
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(map[string]any{"topic": status.Topic, "epoch": status.Epoch, "partitions": status.Partitions})
			}
			_, err = fmt.Fprintf(a.stdout, "%s: epoch %d, %d partitions\n", status.Topic, status.Epoch, status.Partitions)
			return err
		},
	}
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "how many partitions the topic shall have, more than now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// followGrow asks for a grow and tells its steps until it is done. Once asked for, it does not depend on this command: a
// process that dies goes on with it at its next start.
func (a *app) followGrow(ctx context.Context, running adminClient, req growRequest) (status stream.GrowStatus, err error) {
	body, err := json.Marshal(req)
	if err != nil {
		return status, err
	}
	if err := running.call(ctx, adminGrow, body, nil); err != nil {
		return status, err
	}
	look := time.NewTicker(growLook)
	defer look.Stop()
	told, idle := control.GrowStep(""), time.NewTimer(growIdle)
	defer idle.Stop()
	for {
		status = stream.GrowStatus{}
		if err := running.call(ctx, adminGrowStatus, body, &status); err != nil {
			return status, err
		}
		if status.Step == "" {
			return status, nil
		}
		if status.Step != told {
			told = status.Step
			fmt.Fprintf(a.stderr, "%s: %s\n", status.Topic, told)
		}
		if status.Holder != "" {
			idle.Reset(growIdle)
		}
		select {
		case <-look.C:
		case <-idle.C:
			fmt.Fprintf(a.stderr, "%s: waits for a `millrace stream`, and none is at work on it: start one; it goes on with this by itself, "+
				"whether this command runs or not\n", status.Topic)
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}
