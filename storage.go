package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/broker"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/lake"
)

// storage is the open worlds that a process works on, but no role: embedded ones below the data directory, or shared ones.
// Whoever opens it owns the data directory. What was not asked for is nil.
type storage struct {
	cfg       *Config
	log       *slog.Logger
	metrics   *prometheus.Registry
	lock      *dataLock
	control   *control.Store
	broker    *broker.Broker // nil where Kafka is a cluster of its own
	kafka     *kafka.Client
	kafkaAway bool // it did not answer at the start, and is not needed for that
	lake      *lake.Lake
	online    onlinestore.Store
	catchUp   *state.CatchUp // of the stream, for the embedded online store
	registry  *registry.Registry
}

// scratchDir is the directory below the data directory for what a lake in S3 sorts or is about to upload.
const scratchDir = "scratch"

// controlFile is the control store below the data directory; its presence marks an installation.
const controlFile = "control.db"

// openControl opens the control store, with the keys of its ledger of erased people and of its secrets where they are configured.
func openControl(ctx context.Context, cfg *Config) (*control.Store, error) {
	store, err := control.Open(ctx, cfg.controlPlace())
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ifShared(cfg, "check control.dsn and that this PostgreSQL runs"))
	}
	key, err := erasureKey(cfg)
	if err == nil && key != nil {
		err = store.UseErasureKey(ctx, key)
	}
	if err == nil {
		var sealed *seal.Key
		sealed, err = sealKey(cfg)
		store.UseSealKey(sealed)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// openLake opens the lake, which leaves out whoever the control store says was erased. setBack is told of tables that were torn; nil
// leaves them alone.
func openLake(ctx context.Context, cfg *Config, known *control.Store, setBack func(lake.SetBack)) (*lake.Lake, error) {
	place := cfg.shared("lake")
	if place.S3 != nil {
		place.Dir = cfg.path(scratchDir)
	}
	opened, err := lake.Open(ctx, lake.Config{
		Dir: place.Dir, S3: place.S3, Catalog: cfg.catalogPlace(), REST: cfg.restCatalog(),
		Retention: lake.Retention{EventDays: cfg.Lake.Retention.Events, ExposureDays: cfg.Lake.Retention.Exposures},
		Erased:    known.Ledger,
		SetBack:   setBack,
	})
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ifShared(cfg, "check bucket, lake.catalog and, for a REST catalog, lake.catalog_token and lake.warehouse"))
	}
	return opened, nil
}

// tellSetBack logs that a table of the lake was torn.
func (s *storage) tellSetBack(b lake.SetBack) {
	telemetry.Component(s.log, "lake").Error("a power cut or a faulty disk has torn the newest version of a table: it was set back to the newest whole one, "+
		"and what Kafka still has of the rows after it lands again", "table", b.Table, "torn", b.From, "whole", b.To, "rows", b.Rows, "error", b.Why)
}

func openRegistry(ctx context.Context, cfg *Config) (*registry.Registry, error) {
	models, err := registry.Open(ctx, cfg.shared("models"))
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ifShared(cfg, "check bucket"))
	}
	return models, nil
}

// openBucket opens the bucket for checkpoints of states, or nothing where all roles are one process: its states stay on the
// disk that a bucket would be on.
func openBucket(ctx context.Context, cfg *Config) (objstore.Bucket, error) {
	if cfg.Bucket == "" {
		return nil, nil //nolint:nilnil // no bucket is what the stream is told by a nil one
	}
	bucket, err := cfg.shared("").Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, ifShared(cfg, "check bucket"))
	}
	return bucket, nil
}

// ifShared is what to do about a shared world that does not open. The embedded ones say so themselves.
func ifShared(cfg *Config, hint string) string {
	if !cfg.cluster() {
		return ""
	}
	return "; " + hint
}

// openStorage locks the data directory and opens the worlds that are needed. On an error everything that was opened is
// closed again.
func openStorage(ctx context.Context, cfg *Config, log *slog.Logger, n needs) (_ *storage, err error) {
	s := &storage{cfg: cfg, log: log, metrics: telemetry.NewRegistry(build()), catchUp: new(state.CatchUp)}
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
	if cfg.Erasure.Key == "" && cfg.cluster() {
		if err := s.control.UseErasureKey(ctx, nil); err != nil { // nobody may go on as if nobody had been erased
			return nil, err
		}
	}
	if n.has(needKafka) {
		err := s.openKafka(ctx)
		if err != nil && n.has(spareKafka) && s.kafka != nil {
			err = s.startWithoutKafka(ctx, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if n.has(needLake) {
		if s.lake, err = openLake(ctx, cfg, s.control, s.tellSetBack); err != nil {
			return nil, err
		}
	}
	if n.has(needOnline) {
		if err := s.openOnline(ctx); err != nil {
			return nil, err
		}
	}
	if n.has(needModels) {
		if s.registry, err = openRegistry(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// openKafka makes the client of the configured cluster, or starts the embedded broker.
func (s *storage) openKafka(ctx context.Context) (err error) {
	embedded := ""
	if !s.cfg.cluster() {
		s.broker, err = broker.Start(broker.Config{DataDir: s.cfg.path("kafka"), Listen: s.cfg.KafkaListen, Log: telemetry.Component(s.log, "broker")})
		if err != nil {
			return fmt.Errorf("start broker: %w", err)
		}
		embedded = s.broker.Addr()
	}
	if s.kafka, err = newKafkaClient(s.cfg, embedded, "millrace"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := s.kafka.Reach(ctx); err != nil {
		return fmt.Errorf("reach Kafka: %w%s", err, ifShared(s.cfg, "check kafka.brokers ("+strings.Join(s.cfg.Kafka.Brokers, ", ")+") and that this cluster runs"))
	}
	return nil
}

// startWithoutKafka lets a process start that keeps what it would write: where the topics were made before, it knows them. Without
// that a collector that dies in an outage would not come back in it.
func (s *storage) startWithoutKafka(ctx context.Context, because error) error {
	_, known, err := s.control.TopicEpoch(ctx, event.TopicEvents)
	if err != nil || !known {
		return errors.Join(because, err)
	}
	s.kafkaAway = true
	s.log.Warn("starting without Kafka; events wait in the spool until it answers", "error", because)
	return nil
}

// newKafkaClient makes a client of the configured cluster, or of the embedded broker at an address.
func newKafkaClient(cfg *Config, embedded, id string) (*kafka.Client, error) {
	c := kafka.Config{Brokers: []string{embedded}, ClientID: id}
	if cfg.cluster() {
		c.Brokers, c.TLS, c.TLSCA, c.SASL = cfg.Kafka.Brokers, cfg.Kafka.TLS, cfg.Kafka.TLSCA, kafka.SASL(cfg.Kafka.SASL)
	}
	client, err := kafka.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("open kafka client: %w", err)
	}
	return client, nil
}

// openOnline opens the configured Redis, or the embedded online store.
func (s *storage) openOnline(ctx context.Context) error {
	if !s.cfg.cluster() {
		online, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: s.cfg.path("online"), CatchUp: s.catchUp, Log: telemetry.Component(s.log, "online")})
		if err != nil {
			return fmt.Errorf("open online store: %w", err)
		}
		s.online = online
		return nil
	}
	secure, err := onlineTLS(s.cfg.Online)
	if err != nil {
		return err
	}
	online, err := onlinestore.OpenRedis(onlinestore.RedisConfig{
		Addresses: s.cfg.Online.Addresses, Username: s.cfg.Online.Username, Password: s.cfg.Online.Password, TLS: secure,
	})
	if err != nil {
		return fmt.Errorf("open online store: %w; check online.addresses", err)
	}
	s.online = online
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if _, err := online.Marker(ctx); err != nil {
		return fmt.Errorf("reach Redis at %s: %w; check online.addresses, online.username, online.password, online.tls and online.tls_ca, "+
			"and that it runs", strings.Join(s.cfg.Online.Addresses, ", "), err)
	}
	return nil
}

// onlineTLS is how connections to Redis are encrypted; nil is not at all.
func onlineTLS(cfg OnlineConfig) (*tls.Config, error) {
	if !cfg.TLS {
		return nil, nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12} // the client adds the name of each server
	if cfg.TLSCA == "" {
		return secure, nil
	}
	pem, err := os.ReadFile(cfg.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("read the authority of Redis (online.tls_ca): %w", err)
	}
	secure.RootCAs = x509.NewCertPool()
	if !secure.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no PEM certificate in %s (online.tls_ca)", cfg.TLSCA)
	}
	return secure, nil
}

// answerLimit is how long a start waits for a shared world to answer: one that starts at the same moment gets its chance,
// and one that is named wrongly is reported soon.
const answerLimit = 5 * time.Second

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
