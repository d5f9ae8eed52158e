package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	var options systemOptions
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run everything in this process: broker, collector, stream, lake, trainer, serving",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.config()
			if err != nil {
				return err
			}
			if err := cfg.refuse(sharedKeys, "`millrace up` brings broker, database and stores of its own; to run over shared ones "+
				"use `millrace tracker`, `stream`, `trainer` and `serving`"); err != nil {
				return err
			}
			options.roles, options.schedule = allRoles, true
			return a.runSystem(cmd.Context(), cfg, options)
		},
	}
	flags := cmd.Flags()
	a.overrides.String(flags, "listen", "listen", "public address (default 127.0.0.1:8080; port 0 picks a free one)")
	a.overrides.String(flags, "kafka-listen", "kafka_listen", "address of the embedded Kafka-protocol broker, loopback only (default 127.0.0.1:9092)")
	a.overrides.String(flags, "admin-listen", "admin_listen", "address of metrics, profiles and commands (default 127.0.0.1:9090)")
	flags.BoolVar(&options.demo, "demo", false, "add a small shop at /demo/ with simulated shoppers, on a site of its own")
	return cmd
}

// runSystem runs roles until ctx ends and tells where everything is; `ready` is the last line.
func (a *app) runSystem(ctx context.Context, cfg *Config, options systemOptions) (err error) {
	log, err := a.logger(cfg)
	if err != nil {
		return err
	}
	s, err := newSystem(ctx, cfg, log, options)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, s) }()
	return alongside(ctx, s.Run, func(ctx context.Context) error {
		if err := s.waitReady(ctx); err != nil {
			return ignoreEnd(ctx, err)
		}
		if err := a.printAddresses(s); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

func (a *app) printAddresses(s *system) error {
	admin := "http://" + s.admin.Addr()
	url := admin // what a role says ready with that has nothing public
	lines := [][2]string{{"data", s.cfg.DataDir}}
	add := func(name, at string) { lines = append(lines, [2]string{name, at}) }
	if s.broker != nil {
		add("kafka", s.broker.Addr())
	}
	add("admin", admin+"/metrics")
	if s.public != nil {
		url = "http://" + s.public.Addr()
	}
	if s.tracker != nil {
		add("events", url+"/v1/events")
		add("beacon", url+"/millrace.js")
	}
	if s.serving != nil {
		add("recommend", url+"/v1/recommend")
	}
	if _, err := os.Stat(s.cfg.path(keysFile)); err == nil {
		add("keys", s.cfg.path(keysFile))
	}
	if s.demo != nil {
		add("demo shop", url+demoPath)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(a.stdout, "%-10s %s\n", line[0], line[1]); err != nil {
			return fmt.Errorf("print addresses: %w", err)
		}
	}
	_, err := fmt.Fprintf(a.stdout, "ready %s\n", url)
	return err
}
