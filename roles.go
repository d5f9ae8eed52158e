package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/feed"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/ratelimit"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/serving"
	"github.com/millrace/millrace/stream"
	"github.com/millrace/millrace/tracker"
	"github.com/millrace/millrace/tracker/spool"
)

// The roles, as a set: `up` runs all of them in one process, each role's own command runs one.
const (
	roleTracker roleSet = 1 << iota
	roleStream
	roleTrainer
	roleServing

	allRoles = roleTracker | roleStream | roleTrainer | roleServing
)

type roleSet uint8

func (r roleSet) has(role roleSet) bool { return r&role != 0 }

// public reports whether the roles have something to offer to browsers and shops.
func (r roleSet) public() bool { return r.has(roleTracker) || r.has(roleServing) }

// needs are the worlds that the roles meet the others in.
func (r roleSet) needs() (n needs) {
	for role, of := range map[roleSet]needs{
		roleTracker: needKafka,
		roleStream:  needKafka | needLake | needOnline,
		roleTrainer: needLake | needModels,
		roleServing: needKafka | needOnline | needModels,
	} {
		if r.has(role) {
			n |= of
		}
	}
	if r == roleTracker {
		n |= spareKafka
	}
	return n
}

// systemOptions say which roles run, and which of the optional parts beside them.
type systemOptions struct {
	roles    roleSet
	schedule bool // train by itself: a first model as soon as there is enough data, then every night
	demo     bool // the demo shop and its simulated shoppers
	answer   bool // the stream takes no partitions and only answers the calls of a command
}

// system is the roles of one process, wired over one storage. The roles meet only in topics and stores. A role that does
// not run here is nil, and so is a listener or a producer that none of the roles has.
type system struct {
	*storage
	options  systemOptions
	info     runInfo
	producer *kafka.Producer
	stream   *stream.Stream
	tracker  *tracker.Tracker
	sink     *tracker.Sink // of the tracker
	spool    *spool.Spool  // of the sink
	serving  *serving.Serving
	public   *httpserver.Server
	admin    *httpserver.Server
	limits   *ratelimit.Guard // of the public listener
	demo     *demo
}

// newSystem opens the worlds that the roles need, builds the roles and binds the listeners; nothing runs yet.
func newSystem(ctx context.Context, cfg *Config, log *slog.Logger, options systemOptions) (_ *system, err error) {
	store, err := openStorage(ctx, cfg, log, options.roles.needs())
	if err != nil {
		return nil, err
	}
	s := &system{storage: store, options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.kafka != nil && !s.kafkaAway {
		if err := s.ensureTopics(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.ensureKeys(ctx); err != nil {
		return nil, err
	}
	if err := s.buildRoles(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	token, err := newAdminToken()
	if err != nil {
		return nil, err
	}
	s.info = runInfo{PID: os.Getpid(), Admin: s.admin.Addr(), Token: token}
	if s.public != nil {
		s.info.Listen = s.public.Addr()
	}
	if s.broker != nil {
		s.info.Kafka = s.broker.Addr()
	}
	return s, nil
}

// buildRoles makes each role over the stores that it may use.
func (s *system) buildRoles(ctx context.Context) (err error) {
	if s.limits, err = s.cfg.Access.limits(); err != nil {
		return err
	}
	if s.kafka != nil {
		s.producer = kafka.NewProducer(s.kafka, kafka.ProducerConfig{Linger: s.cfg.Tracker.Linger})
		if err := s.metrics.Register(s.producer); err != nil {
			return fmt.Errorf("register producer metrics: %w", err)
		}
	}
	if s.options.roles.has(roleTracker) {
		if s.tracker, err = s.newTracker(); err != nil {
			return fmt.Errorf("build tracker: %w", err)
		}
	}
	if s.options.roles.has(roleStream) {
		if s.stream, err = s.newStream(ctx); err != nil {
			return fmt.Errorf("build stream: %w", err)
		}
	}
	if s.options.roles.has(roleServing) {
		if s.serving, err = s.newServing(); err != nil {
			return fmt.Errorf("build serving: %w", err)
		}
	}
	return nil
}

func (s *system) newTracker() (*tracker.Tracker, error) {
	proxies, err := s.cfg.Access.proxies()
	if err != nil {
		return nil, err
	}
	log := telemetry.Component(s.log, "tracker")
	s.spool, err = spool.Open(spool.Config{Dir: s.cfg.path("spool"), MaxBytes: s.cfg.Tracker.SpoolBytes, Log: log})
	if err != nil {
		return nil, err
	}
	s.sink, err = tracker.NewSink(tracker.SinkConfig{}, tracker.SinkDeps{
		Producer: tracker.Gate{Producer: s.producer, Intake: s.control}, Spool: s.spool, Metrics: s.metrics, Log: log,
	})
	if err != nil {
		return nil, err
	}
	return tracker.New(tracker.Config{TrustedProxies: proxies, CookieDomain: s.cfg.Tracker.CookieDomain}, tracker.Deps{
		Limits: s.limits, Keys: s.control, Ledgers: s.control, Producer: s.sink, Metrics: s.metrics, Log: log,
	})
}

func (s *system) newStream(ctx context.Context) (*stream.Stream, error) {
	states := s.cfg.path("state")
	group := kafka.NewGroup(s.kafka, kafka.GroupConfig{
		Group: stream.Group, Topics: stream.Topics(), SessionTimeout: s.cfg.Stream.SessionTimeout,
		Held: func() map[string][]int32 { return stream.Held(states) }, Log: telemetry.Component(s.log, "stream"),
	})
	bucket, err := openBucket(ctx, s.cfg)
	if err != nil {
		return nil, err
	}
	return stream.New(stream.Config{StateDir: states, CommitInterval: s.cfg.Stream.CommitInterval, CommitBytes: s.cfg.Stream.CommitBytes}, stream.Deps{
		Log: s.kafka, Assigner: group, Producer: s.producer, Lake: s.lake, Epochs: s.control, Replays: s.control, Rebuilds: s.control,
		Ledgers: s.control, Erasing: &stream.Erasing{Jobs: s.control, Log: s.kafka, Lake: s.lake, Rejects: s.cfg.path(rejectedDir)},
		Grows: s.control, Topics: s.kafka, Online: s.online, CatchUp: s.catchUp,
		Bucket: bucket, Metrics: s.metrics, Logger: telemetry.Component(s.log, "stream"),
	})
}

func (s *system) newServing() (*serving.Serving, error) {
	return serving.New(serving.Config{Dir: s.cfg.path("serving"), FullShare: s.cfg.Serving.FullExposures, Exploration: s.cfg.Serving.Exploration, Feeds: s.cfg.feeds()}, serving.Deps{
		Control: s.control, Online: s.online, Registry: s.registry, Items: s.kafka, Producer: s.producer,
		Exporter: s.exporter(), Lists: s.lists(), Limits: s.limits, Metrics: s.metrics, Log: telemetry.Component(s.log, "serving"),
		Version: telemetry.ReadBuild(version).Version,
	})
}

// lists is the lake, where this process reads it.
func (s *system) lists() serving.Lists {
	if s.lake == nil {
		return nil
	}
	return s.lake
}

// feeds are the places that catalogue feeds may be read from.
func (c *Config) feeds() feed.Source {
	return feed.Source{Dir: c.Serving.FeedsDir, Private: c.Serving.FeedsPrivate}
}

// exporter is the stream of this process, which reads the lake; nil where there is none.
func (s *system) exporter() serving.Exporter {
	if s.stream == nil {
		return nil
	}
	return s.stream
}

// Run runs every role until ctx ends or one fails. It stops in the order of the data flow: first the listeners, so that no
// new event is taken, then the roles behind them, and the producer and the broker last, because the others still write.
func (s *system) Run(ctx context.Context) error {
	if err := writePrivateJSON(s.cfg.path(runFile), s.info); err != nil {
		return err
	}
	defer os.Remove(s.cfg.path(runFile))

	layers := s.layers()
	failed, fail := context.WithCancelCause(ctx) // ends with ctx, or when any part fails
	defer fail(nil)
	for _, layer := range layers {
		for _, st := range layer {
			st.start(ctx, fail)
		}
	}
	<-failed.Done()
	orderly := ctx.Err() != nil
	var errs []error
	for _, layer := range slices.Backward(layers) {
		// What the tracker here has acknowledged lands before the stream here stops; other processes' is theirs.
		if orderly && s.tracker != nil && slices.ContainsFunc(layer, func(st *stage) bool { return st.name == stageStream }) {
			s.drain(ctx)
		}
		err := stopAll(layer)
		if orderly && errors.Is(err, context.DeadlineExceeded) {
			s.log.Warn("stopped with requests under way", "error", err)
			continue
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// layers are the parts that run, in the order in which they start.
func (s *system) layers() [][]*stage {
	var brokers, producers, sinks, streams, servings, front []*stage
	if s.tunesCollector() {
		brokers = append(brokers, newStage("collector", s.tendCollector))
	}
	if s.broker != nil {
		brokers = append(brokers, newStage("broker", s.broker.Run))
	}
	if s.producer != nil {
		producers = append(producers, newStage("producer", s.producer.Run))
	}
	if s.sink != nil {
		sinks = append(sinks, newStage("sink", s.sink.Run))
	}
	if s.stream != nil && !s.options.answer {
		streams = append(streams, newStage(stageStream, s.stream.Run))
	}
	if s.options.roles.has(roleTrainer) {
		streams = append(streams, newStage("lake", s.tendLake))
	}
	if s.serving != nil {
		servings = append(servings, newStage("serving", s.serving.Run))
	}
	if s.public != nil {
		servings = append(servings, newStage("use of keys", s.control.KeepKeyUse))
		front = append(front, newStage("public listener", s.public.Run))
	}
	front = append(front, newStage("admin listener", s.admin.Run))
	if s.options.schedule && s.options.roles.has(roleTrainer) {
		front = append(front, newStage("trainer", s.schedule))
	}
	if s.demo != nil {
		front = append(front, newStage("demo", s.demo.Run))
	}
	return [][]*stage{brokers, producers, sinks, streams, servings, front}
}

// ready reports why lists would not be what they should be yet, or why no events can be kept, or nil. It does not depend on Kafka.
func (s *system) ready() error {
	if s.sink != nil {
		if err := s.sink.Ready(); err != nil {
			return err
		}
	}
	if s.serving == nil {
		return nil
	}
	return s.serving.Ready()
}

// health is ready with a word on the state where it is worth one.
func (s *system) health() (state string, err error) {
	if s.sink != nil {
		state = s.sink.State()
	}
	return state, s.ready()
}

const (
	// readyPoll is how often a start looks whether everything is ready.
	readyPoll = 10 * time.Millisecond
	// readyTell is after how long a start says what it waits for, and how often if that takes long: a usual one is ready by then.
	readyTell      = 5 * time.Second
	readyTellAgain = time.Minute
)

// waitReady returns when every role can do its work.
func (s *system) waitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	tell := time.NewTimer(readyTell)
	defer tell.Stop()
	for {
		err := s.ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tell.C:
			s.log.Warn("not ready yet", "because", err)
			tell.Reset(readyTellAgain)
		case <-tick.C:
		}
	}
}

// Close closes what newSystem opened; Run must have returned.
func (s *system) Close() error {
	var errs []error
	if s.public != nil {
		errs = append(errs, s.public.Close())
	}
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.stream != nil {
		s.stream.Close()
	}
	if s.spool != nil {
		errs = append(errs, s.spool.Close())
	}
	errs = append(errs, s.storage.Close())
	return errors.Join(errs...)
}
