package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/lake"
)

// productTopics are the topics that every installation has.
var productTopics = []string{event.TopicEvents, event.TopicDead, event.TopicExposures, event.TopicFeatures, event.TopicItems}

// storage is an open data directory: the broker and every store, but no role. Whoever opens it owns the directory.
type storage struct {
	cfg      *Config
	log      *slog.Logger
	metrics  *prometheus.Registry
	lock     *dataLock
	control  *control.Store
	broker   *broker.Broker
	kafka    *kafka.Client
	lake     *lake.Lake
	online   *onlinestore.Embedded
	registry *registry.Registry
}

// controlFile is the control store below the data directory; its presence marks an installation.
const controlFile = "control.db"

func openControl(ctx context.Context, cfg *Config) (*control.Store, error) {
	store, err := control.Open(ctx, cfg.path(controlFile))
	if err != nil {
		return nil, fmt.Errorf("open control store: %w", err)
	}
	return store, nil
}

// openStorage locks the data directory, starts the broker and opens every store. On an error everything that was opened
// is closed again.
func openStorage(ctx context.Context, cfg *Config, log *slog.Logger) (_ *storage, err error) {
	s := &storage{cfg: cfg, log: log, metrics: telemetry.NewRegistry(build())}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = lockDataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	if s.control, err = openControl(ctx, cfg); err != nil {
		return nil, err
	}
	if s.broker, err = broker.Start(broker.Config{DataDir: cfg.path("kafka"), Listen: cfg.KafkaListen, Log: telemetry.Component(log, "broker")}); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if s.kafka, err = kafka.NewClient(kafka.Config{Brokers: []string{s.broker.Addr()}, ClientID: "millrace"}); err != nil {
		return nil, fmt.Errorf("open kafka client: %w", err)
	}
	if s.lake, err = lake.Open(ctx, lake.Config{Dir: cfg.path("lake")}); err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	if s.online, err = onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: cfg.path("online"), Log: telemetry.Component(log, "online")}); err != nil {
		return nil, fmt.Errorf("open online store: %w", err)
	}
	if s.registry, err = registry.Open(cfg.path("models")); err != nil {
		return nil, fmt.Errorf("open model registry: %w", err)
	}
	return s, nil
}

// ensureTopics creates the topics that are missing and refuses those that are not the ones Millrace knows. Partition
// counts are fixed at creation: the configured one counts for new topics only.
func (s *storage) ensureTopics(ctx context.Context) error {
	configured := int32(s.cfg.Broker.Partitions)
	var specs []kafka.TopicSpec
	for _, name := range productTopics {
		known, ok, err := s.control.TopicEpoch(ctx, name)
		if err != nil {
			return fmt.Errorf("read epoch of topic %s: %w", name, err)
		}
		spec := kafka.TopicSpec{Name: name, Partitions: configured, Config: broker.TopicConfig(s.cfg.Broker.Retention, s.cfg.Broker.RetentionBytes)}
		if ok {
			spec.Partitions = known.Partitions
		}
		if spec.Partitions != configured {
			s.log.Warn("broker.partitions is ignored: the topic was made with another count", "topic", name, "configured", configured, "partitions", spec.Partitions)
		}
		specs = append(specs, spec)
	}
	created, err := s.kafka.EnsureTopics(ctx, specs)
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	var errs []error
	var recreated []string
	for _, spec := range specs {
		_, err := s.control.EnsureEpoch(ctx, spec.Name, spec.Partitions, slices.Contains(created, spec.Name))
		errs = append(errs, err)
		if errors.Is(err, control.ErrTopicRecreated) {
			recreated = append(recreated, spec.Name)
		}
	}
	if len(recreated) > 1 {
		errs = append(errs, fmt.Errorf("all of them at once: millrace topics adopt %s", strings.Join(recreated, " ")))
	}
	return errors.Join(errs...)
}

// Close closes what is open, the last opened first.
func (s *storage) Close() error {
	var errs []error
	closing := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", what, err))
		}
	}
	if s.online != nil {
		closing("online store", s.online.Close())
	}
	if s.lake != nil {
		closing("lake", s.lake.Close())
	}
	if s.kafka != nil {
		s.kafka.Close()
	}
	if s.broker != nil {
		closing("broker", s.broker.Close())
	}
	if s.control != nil {
		closing("control store", s.control.Close())
	}
	if s.lock != nil {
		closing("lock", s.lock.Close())
	}
	return errors.Join(errs...)
}
