package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/serving"
	"github.com/millrace/millrace/stream"
	"github.com/millrace/millrace/tracker"
)

// systemOptions say which of the optional parts run beside the roles.
type systemOptions struct {
	schedule bool // train by itself: a first model as soon as there is enough data, then every night
	demo     bool // the demo shop and its simulated shoppers
}

// system is every role in one process, wired over one storage. The roles meet only in topics and stores.
type system struct {
	*storage
	options  systemOptions
	info     runInfo
	producer *kafka.Producer
	stream   *stream.Stream
	tracker  *tracker.Tracker
	serving  *serving.Serving
	public   *httpserver.Server
	admin    *httpserver.Server
	demo     *demo
}

// newSystem opens the data directory, builds the roles and binds the listeners; nothing runs yet.
func newSystem(ctx context.Context, cfg *Config, log *slog.Logger, options systemOptions) (_ *system, err error) {
	store, err := openStorage(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	s := &system{storage: store, options: options}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.ensureTopics(ctx); err != nil {
		return nil, err
	}
	if err := s.ensureDefaultKeys(ctx); err != nil {
		return nil, err
	}
	if err := s.buildRoles(); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	token, err := newAdminToken()
	if err != nil {
		return nil, err
	}
	s.info = runInfo{PID: os.Getpid(), Listen: s.public.Addr(), Kafka: s.broker.Addr(), Admin: s.admin.Addr(), Token: token}
	return s, nil
}

// buildRoles makes each role over the stores that it may use.
func (s *system) buildRoles() (err error) {
	s.producer = kafka.NewProducer(s.kafka, kafka.ProducerConfig{Linger: s.cfg.Tracker.Linger})
	if err := s.metrics.Register(s.producer); err != nil {
		return fmt.Errorf("register producer metrics: %w", err)
	}
	s.tracker, err = tracker.New(tracker.Config{}, tracker.Deps{
		Keys: s.control, Producer: s.producer, Metrics: s.metrics, Log: telemetry.Component(s.log, "tracker"),
	})
	if err != nil {
		return fmt.Errorf("build tracker: %w", err)
	}
	states := s.cfg.path("state")
	group := kafka.NewGroup(s.kafka, kafka.GroupConfig{
		Group: stream.Group, Topics: stream.Topics(), Held: func() map[string][]int32 { return stream.Held(states) },
	})
	s.stream, err = stream.New(stream.Config{StateDir: states, CommitInterval: s.cfg.Stream.CommitInterval}, stream.Deps{
		Log: s.kafka, Assigner: group, Producer: s.producer, Lake: s.lake, Epochs: s.control, Replays: s.control, Rebuilds: s.control, Online: s.online,
		Metrics: s.metrics, Logger: telemetry.Component(s.log, "stream"),
	})
	if err != nil {
		return fmt.Errorf("build stream: %w", err)
	}
	s.serving, err = serving.New(serving.Config{Dir: s.cfg.path("serving")}, serving.Deps{
		Control: s.control, Online: s.online, Registry: s.registry, Items: s.kafka, Producer: s.producer,
		Metrics: s.metrics, Log: telemetry.Component(s.log, "serving"),
	})
	if err != nil {
		return fmt.Errorf("build serving: %w", err)
	}
	return nil
}

// listen binds both listeners. The handlers answer from the first request on; /readyz says when the answers are good.
func (s *system) listen(ctx context.Context) (err error) {
	public, admin := chi.NewRouter(), chi.NewRouter()
	public.Use(httpserver.Chain(s.log))
	public.NotFound(httpserver.NotFound)
	public.MethodNotAllowed(httpserver.MethodNotAllowed)
	s.tracker.Routes(public)
	s.serving.Routes(public)
	s.adminRoutes(admin)
	health := telemetry.NewAdmin(s.metrics, s.ready)
	public.Handle(telemetry.PathLive, health)
	public.Handle(telemetry.PathReady, health)

	s.public, err = httpserver.New(httpserver.Config{Name: "api", Listen: s.cfg.Listen, Flag: "--listen", Log: s.log}, public)
	if err != nil {
		return err
	}
	s.admin, err = httpserver.New(httpserver.Config{
		Name: "admin", Listen: s.cfg.AdminListen, Flag: "--admin-listen", Log: s.log,
		ReadTimeout: adminCallLimit, WriteTimeout: adminCallLimit, // draining and verifying take as long as they take
	}, admin)
	if err != nil {
		return err
	}
	if s.options.demo {
		s.demo, err = newDemo(ctx, s, public)
	}
	return err
}

// adminRoutes are metrics, profiles and health for everybody who reaches the admin listener, and the calls of commands
// for those who hold the token.
func (s *system) adminRoutes(r chi.Router) {
	r.Mount("/", telemetry.NewAdmin(s.metrics, s.ready))
	r.Group(func(r chi.Router) {
		r.Use(httpserver.Chain(s.log))
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				requireToken(s.info.Token)(next).ServeHTTP(w, req)
			})
		})
		s.serving.AdminRoutes(r)
		s.streamRoutes(r)
	})
}

// verify compares every feature with its history, once the stream owns every partition and has caught up.
func (s *system) verify(ctx context.Context) (stream.Report, error) {
	if err := s.stream.Drained(ctx); err != nil {
		return stream.Report{}, err
	}
	return s.stream.Verify(ctx)
}

// answer ends an admin call. Its caller is the operator, who sees the cause of a failure.
func (s *system) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		s.log.Error("admin call failed", "path", r.URL.Path, "error", err)
		httpserver.WriteProblem(w, r, httpserver.Problem{Type: "admin-call-failed", Title: "Call failed", Status: http.StatusInternalServerError, Detail: err.Error()})
		return
	}
	if err := httpserver.WriteJSON(w, r, http.StatusOK, v); err != nil {
		s.log.Error("encode admin answer", "path", r.URL.Path, "error", err)
	}
}

// Run runs every role until ctx ends or one fails. It stops in the order of the data flow: first the listeners, so that no
// new event is taken, then the roles behind them, and the producer and the broker last, because the others still write.
func (s *system) Run(ctx context.Context) error {
	if err := writePrivateJSON(s.cfg.path(runFile), s.info); err != nil {
		return err
	}
	defer os.Remove(s.cfg.path(runFile))

	front := []*stage{newStage("public listener", s.public.Run), newStage("admin listener", s.admin.Run)}
	if s.options.schedule {
		front = append(front, newStage("trainer", s.schedule))
	}
	if s.demo != nil {
		front = append(front, newStage("demo", s.demo.Run))
	}
	layers := [][]*stage{
		{newStage("broker", s.broker.Run)},
		{newStage("producer", s.producer.Run)},
		{newStage(stageStream, s.stream.Run), newStage("lake", s.tendLake)},
		{newStage("serving", s.serving.Run)},
		front,
	}
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
		if orderly && layer[0].name == stageStream {
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

// tendInterval is how often the lake's metadata is tidied. At a commit every 5 s it holds some hundred snapshots then.
const tendInterval = 10 * time.Minute

// tendLake keeps the metadata of the lake small until ctx ends. A round that fails costs only space, and the next tries again.
func (s *system) tendLake(ctx context.Context) error {
	tick := time.NewTicker(tendInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.lake.Maintain(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("the lake was not tidied; trying again later", "error", err)
		}
	}
}

// ready reports why lists would not be what they should be yet, or nil. It does not depend on Kafka.
func (s *system) ready() error { return s.serving.Ready() }

// readyPoll is how often a start looks whether everything is ready.
const readyPoll = 10 * time.Millisecond

// waitReady returns when every role can do its work.
func (s *system) waitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for s.ready() != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
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
	errs = append(errs, s.storage.Close())
	return errors.Join(errs...)
}

// origins are the web origins under which a browser on this machine may reach the public listener.
func (s *system) origins() []string {
	host, port, err := net.SplitHostPort(s.public.Addr())
	if err != nil {
		return nil
	}
	names := []string{"localhost", "127.0.0.1"}
	if ip := net.ParseIP(host); ip == nil || (!ip.IsLoopback() && !ip.IsUnspecified()) {
		names = append(names, host)
	}
	var origins []string
	for _, name := range names {
		if strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
		origins = append(origins, "http://"+name+":"+port)
	}
	return origins
}
