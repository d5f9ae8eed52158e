package main

//go:generate go test -run TestOpenAPIFiles -update .

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/telemetry"
	"github.com/millrace/millrace/stream"
)

// listen binds the listeners: the public one where a role has something to offer there, the admin one always. The handlers
// answer from the first request on; /readyz says when the answers are good.
func (s *system) listen(ctx context.Context) (err error) {
	public, admin := chi.NewRouter(), chi.NewRouter()
	if s.options.roles.public() {
		s.publicRoutes(public)
		s.public, err = httpserver.New(httpserver.Config{Name: "api", Listen: s.cfg.Listen, Flag: "--listen", Log: s.log}, public)
		if err != nil {
			return err
		}
	}
	s.adminRoutes(admin)
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

// publicRoutes are what the roles here offer to browsers and shops.
func (s *system) publicRoutes(r chi.Router) {
	r.Use(httpserver.Chain(s.log))
	r.NotFound(httpserver.NotFound)
	r.MethodNotAllowed(httpserver.MethodNotAllowed)
	endpoints := api.New(r, s.log)
	if s.tracker != nil {
		s.tracker.Routes(endpoints)
	}
	if s.serving != nil {
		s.serving.Routes(endpoints)
	}
	endpoints.Mount()
	health := telemetry.NewAdmin(s.metrics, s.health)
	r.Handle(telemetry.PathLive, health)
	r.Handle(telemetry.PathReady, health)
}

// adminRoutes are metrics, profiles and health for everybody who reaches the admin listener, and the calls of commands
// for those who hold the token.
func (s *system) adminRoutes(r chi.Router) {
	r.Mount("/", telemetry.NewAdmin(s.metrics, s.health))
	if s.serving != nil {
		r.Get(adminStatus, s.serving.HandleStatus)
	}
	r.Group(func(r chi.Router) {
		r.Use(httpserver.Chain(s.log))
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				requireToken(s.info.Token)(next).ServeHTTP(w, req)
			})
		})
		if s.serving != nil {
			s.serving.AdminRoutes(r)
		}
		if s.stream != nil {
			s.streamRoutes(r)
		}
	})
}

// verify compares every feature with its history, once the stream has caught up.
func (s *system) verify(ctx context.Context) (stream.Report, error) {
	if err := s.drained(ctx); err != nil {
		return stream.Report{}, err
	}
	if s.options.answer {
		return s.stream.VerifyPublished(ctx)
	}
	return s.stream.Verify(ctx)
}

// drained returns when everything that stands in the log now, or was acknowledged here, has been applied and has landed: by the
// stream here, or by whichever processes run it.
func (s *system) drained(ctx context.Context) error {
	if s.sink != nil {
		if err := s.sink.Drained(ctx); err != nil {
			return err
		}
	}
	if s.options.answer {
		return s.stream.Landed(ctx)
	}
	return s.stream.Drained(ctx)
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
