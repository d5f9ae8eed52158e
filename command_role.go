package main

import (
	"github.com/spf13/cobra"
)

// roleCommands are the commands that run one role each, over the shared worlds that the configuration names.
func (a *app) roleCommands() []*cobra.Command {
	return []*cobra.Command{
		a.roleCommand("tracker", "Run the collector: take events from browsers and servers, write them to Kafka", roleTracker),
		a.roleCommand("stream", "Run the stream job: features to the online store, rows to the lake", roleStream),
		a.roleCommand("trainer", "Run the trainer: a model every night, and the lake kept tidy", roleTrainer),
		a.roleCommand("serving", "Run the recommendation API and the catalogue", roleServing),
	}
}

func (a *app) roleCommand(name, short string, role roleSet) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Long: short + ".\n\nOne role in a process of its own, as many processes as you like. All of an installation share a Kafka cluster\n" +
			"(kafka.brokers), a PostgreSQL database (control.dsn), a Redis or Valkey (online.addresses) and a directory (bucket).\n" +
			"The data directory is private to the process.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if err := cfg.require(cmd.CommandPath(), role.needs()); err != nil {
				return err
			}
			if err := cfg.refuse(embeddedKeys, "only `millrace up` brings a broker and a demo shop"); err != nil {
				return err
			}
			return a.runSystem(cmd.Context(), cfg, systemOptions{roles: role, schedule: true})
		},
	}
	flags := cmd.Flags()
	if role.public() {
		a.overrides.String(flags, "listen", "listen", "public address (default 127.0.0.1:8080; port 0 picks a free one)")
	}
	a.overrides.String(flags, "admin-listen", "admin_listen", "address of metrics, health and profiles (default 127.0.0.1:9090)")
	return cmd
}
