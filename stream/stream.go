// Package stream turns the log of events into everything that is read later: landed rows in the lake, online features, a
// change feed. One goroutine owns a partition (partition.go): it fetches, decodes, de-duplicates and applies a batch to
// the partition's state (apply.go), writes the changed rows to the online store and hands the events to landing
// (landing.go), which commits all partitions together.
//
// What makes it exact: the state moves with its position in one atomic batch; the lake moves with its fence in one
// commit; the online store takes whole rows that only newer ones replace. The three may stand at different places. A start
// reads from the smallest of them, and what was done already has no effect a second time.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/sqldb"
	"github.com/millrace/millrace/internal/state"
	"github.com/millrace/millrace/lake"
)

// Group is the consumer group of the stream; its commits are a hint for lag displays, never a position to read from.
const Group = "millrace.stream"

// Topics are the topics that the group consumes.
func Topics() []string { return []string{event.TopicEvents, event.TopicExposures, event.TopicItems} }

const (
	// DefaultCommitInterval is how often landed rows are committed to the lake: often enough for a fresh lake on one
	// machine, seldom enough for files that are worth a name.
	DefaultCommitInterval = 5 * time.Second
	// DefaultCommitBytes is how many bytes of record values start a commit before its time: enough for good files, while
	// decoded rows take some 100 MB.
	DefaultCommitBytes = 16 << 20
	// DefaultCheckpointInterval is how often state and online store are forced to disk. A power cut replays at most this
	// much from Kafka.
	DefaultCheckpointInterval = 10 * time.Second
	// DefaultCacheBytes is the block cache that the states of all partitions of a process share.
	DefaultCacheBytes = 64 << 20
	// DefaultRowBytes is what decoded rows may take in memory, those of all partitions of a process together: what some
	// 33,000 visitors of a shop left behind last.
	DefaultRowBytes = 128 << 20
	// fetchBytes is what fetched and not yet applied records may take in memory, those of all partitions of a process
	// together: some eight full answers, more than its cores work on at once.
	fetchBytes = 64 << 20
	// defaultDrainTimeout bounds the flush of a partition that is taken away. The group's heartbeats have stopped by then; it
	// stays far below the session timeout of 30 s.
	defaultDrainTimeout = 4 * time.Second
)

// Config configures a Stream. A zero duration or size has the default of the same name.
type Config struct {
	StateDir           string // holds one directory per partition
	CommitInterval     time.Duration
	CommitBytes        int
	CheckpointInterval time.Duration
	UploadInterval     time.Duration
	CacheBytes         int64
	RowBytes           int
}

// Log reads the topics; *kafka.Client is one.
type Log interface {
	Fetch(ctx context.Context, r kafka.FetchRequest) (kafka.FetchResult, error)
	Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error)
}

// Assigner gives this process its partitions; *kafka.Group is one.
type Assigner interface {
	Run(ctx context.Context, handle kafka.Handler) error
}

// Producer writes dead letters and the change feed; *kafka.Producer is one. It must run until Stream.Run has returned.
type Producer interface {
	Produce(ctx context.Context, records []kafka.Record) error
}

// Lake is where events land; *lake.Lake is one.
type Lake interface {
	Next(ctx context.Context, table string) (map[lake.FenceKey]lake.Fence, error)
	Commit(ctx context.Context, l lake.Landing) error
	ScanEvents(ctx context.Context, r lake.ScanRequest, yield func(lake.EventRow) error) error
}

// Epochs knows the lives of topics; *control.Store is one.
type Epochs interface {
	TopicEpoch(ctx context.Context, topic string) (control.TopicEpoch, bool, error)
}

// Deps are what a Stream works with. Assigner and Producer are not needed by Verify alone, Replays only for dead letters, Grows and
// Topics only to grow topics. Ledgers is nil where nobody can be erased, Erasing where others do that.
type Deps struct {
	Log      Log
	Assigner Assigner
	Producer Producer
	Lake     Lake
	Epochs   Epochs
	Replays  Replays
	Rebuilds Rebuilds
	Ledgers  Ledgers
	Erasing  *Erasing
	Grows    Grows
	Topics   Growable
	Online   onlinestore.Store
	CatchUp  *state.CatchUp        // told what catches up; the embedded online store shares it; nil has one of its own
	Bucket   objstore.Bucket       // for checkpoints; nil keeps states on this machine alone
	Logger   *slog.Logger          // nil discards
	Metrics  prometheus.Registerer // nil counts for nobody
}

// Stream is the stream job of one process.
type Stream struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	metrics  *metrics
	cache    *state.Cache
	fetches  *kafka.Budget
	landing  *landing
	feed     *feed
	progress *progress

	drainTimeout time.Duration
	partitions   atomic.Int32 // of the events topic, as seen last
	ledger       atomic.Pointer[erasure.Ledger]
	disk         state.FS // of the states; nil is the operating system's

	restores    restores
	builds      chan struct{} // holds one token for each state that is being made
	sweeper     *sweeper
	rebuildPoll time.Duration
	markerPoll  time.Duration
	closeEvery  time.Duration
	now         func() time.Time // the wall clock of quiet sites
	growSettle  time.Duration
	hook        func(step string) error // tests kill the process here

	mu      sync.Mutex
	running bool                 // Run runs: states belong to its partitions
	open    map[int32]*partition // partitions of the events topic that this process owns now
	places  map[int32]bool       // partitions whose directory somebody here works in
	tidied  int64                // generation before which no state is left of partitions that others own
	marker  string               // of the online store, as seen last; "" before the first look
}

// New checks the configuration and returns a stream that does nothing until Run. Close it after Run has returned.
func New(cfg Config, deps Deps) (*Stream, error) {
	if cfg.StateDir == "" {
		return nil, errors.New("configure stream: no directory for its state")
	}
	if deps.Log == nil || deps.Lake == nil || deps.Epochs == nil || deps.Rebuilds == nil || deps.Online == nil {
		return nil, errors.New("configure stream: log, lake, epochs, rebuilds and online store are required")
	}
	if cfg.CommitInterval == 0 {
		cfg.CommitInterval = DefaultCommitInterval
	}
	if cfg.CommitBytes == 0 {
		cfg.CommitBytes = DefaultCommitBytes
	}
	if cfg.CheckpointInterval == 0 {
		cfg.CheckpointInterval = DefaultCheckpointInterval
	}
	if cfg.UploadInterval == 0 {
		cfg.UploadInterval = DefaultUploadInterval
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = DefaultCacheBytes
	}
	if cfg.RowBytes == 0 {
		cfg.RowBytes = DefaultRowBytes
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.CatchUp == nil {
		deps.CatchUp = new(state.CatchUp)
	}
	online := &patient{Store: deps.Online, log: deps.Logger}
	deps.Online = online
	s := &Stream{cfg: cfg, deps: deps, log: deps.Logger, cache: state.NewCache(cfg.CacheBytes), fetches: kafka.NewBudget(fetchBytes),
		progress: newProgress(), drainTimeout: defaultDrainTimeout, restores: newRestores(), builds: make(chan struct{}, concurrentBuilds),
		rebuildPoll: defaultRebuildPoll, markerPoll: defaultMarkerPoll, closeEvery: closeInterval, growSettle: defaultGrowSettle, now: time.Now, open: make(map[int32]*partition), places: make(map[int32]bool)}
	s.sweeper = newSweeper()
	s.landing = newLanding(deps.Lake, cfg, s.progress, s.log)
	var err error
	if s.metrics, err = newMetrics(deps.Metrics, s.landing, online); err != nil {
		s.cache.Close()
		return nil, err
	}
	s.feed = newFeed(deps.Producer, s.metrics.skipped, s.log)
	return s, nil
}

// rowShare is what one generation of a partition's rows may weigh in memory; a partition holds two.
func (s *Stream) rowShare() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.RowBytes / 2 / max(1, len(s.open))
}

// Close gives memory back. It is called after Run has returned, or instead of Run.
func (s *Stream) Close() { s.cache.Close() }

// Run consumes the partitions that the group assigns until ctx ends, then lands and publishes what it has applied and
// returns. An error means that a partition cannot go on without an operator, or that an outside world is out of order.
func (s *Stream) Run(ctx context.Context) error {
	if s.deps.Assigner == nil || s.deps.Producer == nil {
		return errors.New("run stream: a group and a producer are required")
	}
	if err := removeTemporary(s.cfg.StateDir); err != nil {
		return err
	}
	// Landing and feed outlive the handlers, which flush through them when they are told to stop.
	services, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.run(true)
	defer s.run(false)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return s.landing.run(services) })
	all.Go(func() error { return s.feed.run(services) })
	all.Go(func() error { return s.watchEpochs(services) })
	all.Go(func() error { return s.watchRebuilds(services) })
	all.Go(func() error { return s.watchClaims(services) })
	all.Go(func() error { return s.runSweeps(services) })
	all.Go(func() error { return s.watchMarker(services) })
	all.Go(func() error { return s.watchGrows(services) })
	all.Go(func() error { return s.watchErasures(services) })
	all.Go(func() error {
		defer stop()
		return s.deps.Assigner.Run(ctx, s.handle)
	})
	if err := all.Wait(); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}

func (s *Stream) run(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = now
}

func (s *Stream) runs() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// handle owns one assigned partition until ctx ends. While Kafka, control store or catalog do not answer it opens the
// partition again and again: another process could not do better.
func (s *Stream) handle(ctx context.Context, topic string, partition int32, commit func(next int64)) error {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := s.handleOnce(ctx, topic, partition, commit)
		if !sqldb.Unavailable(err) && !kafka.Transient(err) {
			return err
		}
		s.log.Error("a partition waits for Kafka, control store or catalog", "topic", topic, "partition", partition, "error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (s *Stream) handleOnce(ctx context.Context, topic string, partition int32, commit func(next int64)) (err error) {
	switch topic {
	case event.TopicEvents:
		err = s.handleEvents(ctx, partition, commit)
	case event.TopicExposures:
		err = s.handlePlain(ctx, exposuresTopic, partition, commit)
	case event.TopicItems:
		err = s.handlePlain(ctx, itemsTopic, partition, commit)
	default:
		return fmt.Errorf("assigned topic %s is not the stream's", topic)
	}
	if err != nil && ctx.Err() != nil {
		// Whatever was under way when the partition was taken away has failed for that reason, in the words of some
		// library; nothing is lost, because the next owner begins where the stores stand.
		s.log.Info("stopped in the middle", "topic", topic, "partition", partition, "error", err)
		return nil
	}
	return err
}

// stateOptions are those of every state that the stream opens.
func (s *Stream) stateOptions() state.Options {
	return state.Options{Cache: s.cache, Log: s.log, FS: s.disk, CatchUp: s.deps.CatchUp}
}

// stateDir is where the state of a partition lives.
func (s *Stream) stateDir(partition int32) string {
	return filepath.Join(s.cfg.StateDir, strconv.Itoa(int(partition)))
}
