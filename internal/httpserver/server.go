// Package httpserver holds what every HTTP edge of Millrace shares: a server that binds at once and drains on its
// context, the middleware chain, RFC 9457 problems, and strict reading and writing of JSON.
package httpserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// ReadHeaderTimeout bounds the request line and headers: a client that trickles them holds a connection, not a handler.
	ReadHeaderTimeout = 5 * time.Second
	// DefaultReadTimeout bounds a whole request; 32 MiB of catalogue arrive within it at 9 Mbit/s.
	DefaultReadTimeout = 30 * time.Second
	// DefaultWriteTimeout counts from the end of the headers. It leaves room for a 30 s CPU profile, pprof's default.
	DefaultWriteTimeout = 60 * time.Second
	// IdleTimeout closes idle keep-alive connections; longer than the 60 s of common load balancers, so that they close first.
	IdleTimeout = 75 * time.Second
	// MaxHeaderBytes is room for large cookies and a token, and no more.
	MaxHeaderBytes = 32 << 10
	// DefaultDrainTimeout is how long running requests may go on after the context has ended; a process supervisor
	// commonly waits 30 s before it kills.
	DefaultDrainTimeout = 10 * time.Second
)

// Config names one listener. Only Name and Listen are required.
type Config struct {
	Name         string        // what error messages call the server: "api", "admin"
	Listen       string        // HOST:PORT; port 0 picks a free one
	Flag         string        // the flag that sets Listen, named when the port is busy; default "--listen"
	ReadTimeout  time.Duration // default DefaultReadTimeout
	WriteTimeout time.Duration // default DefaultWriteTimeout
	DrainTimeout time.Duration // default DefaultDrainTimeout
	Log          *slog.Logger  // connection-level complaints of net/http; default discards
}

// Server is an HTTP server on a bound listener.
type Server struct {
	name         string
	drainTimeout time.Duration
	listener     net.Listener
	server       *http.Server
}

// New binds the address at once, so that a busy port is an error at start and Addr is known before Run.
func New(cfg Config, handler http.Handler) (*Server, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, explainListen(cfg.Listen, cmp.Or(cfg.Flag, "--listen"), err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		name:         cfg.Name,
		drainTimeout: cmp.Or(cfg.DrainTimeout, DefaultDrainTimeout),
		listener:     listener,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: ReadHeaderTimeout,
			ReadTimeout:       cmp.Or(cfg.ReadTimeout, DefaultReadTimeout),
			WriteTimeout:      cmp.Or(cfg.WriteTimeout, DefaultWriteTimeout),
			IdleTimeout:       IdleTimeout,
			MaxHeaderBytes:    MaxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}, nil
}

// explainListen turns the errors that an operator meets into the next step.
func explainListen(addr, flag string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: %w: another program holds it; choose another with %s", addr, syscall.EADDRINUSE, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: %w: ports below 1024 need a privilege; choose another with %s", addr, syscall.EACCES, flag)
	default:
		return fmt.Errorf("listen on %s: %w; %s takes HOST:PORT of this machine", addr, err, flag)
	}
}

// Addr is the bound HOST:PORT, with the real port where port 0 was asked for.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close frees the listener of a server that will not run. After Run it does nothing.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener of %s: %w", s.name, err)
	}
	return nil
}

// Run serves until ctx ends, then refuses new connections and lets running requests finish for up to DrainTimeout.
// Their contexts do not end with ctx: a request that was accepted is answered. It returns nil after a clean drain.
func (s *Server) Run(ctx context.Context) error {
	s.server.BaseContext = func(net.Listener) context.Context { return context.WithoutCancel(ctx) }
	group, stopped := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s on %s: %w", s.name, s.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-stopped.Done()
		return s.drain(context.WithoutCancel(ctx))
	})
	return group.Wait()
}

func (s *Server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.drainTimeout)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err == nil {
		return nil
	}
	if closeErr := s.server.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	return fmt.Errorf("drain %s: requests were cut off after %s: %w", s.name, s.drainTimeout, err)
}
