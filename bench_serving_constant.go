package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/linalg"
	"github.com/millrace/millrace/serving"
)

// constantServer is what nothing behind the same HTTP could undercut: the listener, router and middleware of the public API, every
// body read, and so many bytes answered as the placement usually has.
type constantServer struct {
	server *httpserver.Server
	bodies sync.Pool // of *bytes.Buffer

	mu      sync.RWMutex // guards answers
	answers map[string][]byte
}

func newConstantServer(log *slog.Logger) (*constantServer, error) {
	c := &constantServer{bodies: sync.Pool{New: func() any { return new(bytes.Buffer) }}, answers: map[string][]byte{}}
	router := chi.NewRouter()
	router.Use(httpserver.Chain(log))
	router.Post("/{placement}", c.handle)
	server, err := httpserver.New(httpserver.Config{Name: "constant", Listen: anyLoopbackPort, Log: log}, router)
	c.server = server
	return c, err
}

// answer sets what a placement is answered with.
func (c *constantServer) answer(placement string, bytes []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers[placement] = bytes
}

func (c *constantServer) handle(w http.ResponseWriter, r *http.Request) {
	body, _ := c.bodies.Get().(*bytes.Buffer)
	defer c.bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, serving.MaxRequestBytes)); err != nil {
		httpserver.WriteProblem(w, r, *httpserver.BodyProblem(err))
		return
	}
	c.mu.RLock()
	answer := c.answers[chi.URLParam(r, "placement")]
	c.mu.RUnlock()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer) // the generator may be gone; it has noticed
}

const (
	scanItems, scanDimensions = 100_000, 64
	scanTime                  = 500 * time.Millisecond
)

// scanned are the factors of scansPerSecond, made once.
var scanned = sync.OnceValue(func() []float32 {
	rows := make([]float32, scanItems*scanDimensions)
	for i := range rows {
		rows[i] = float32(i%7) - 3
	}
	return rows
})

// scansPerSecond is how often all processors together go through all factors, one scan each, when they do nothing else.
func scansPerSecond() float64 {
	rows := scanned()
	var scans atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			scores := make([]float32, scanItems)
			for time.Since(start) < scanTime {
				linalg.DotRows(scores, rows, rows[:scanDimensions])
				scans.Add(1)
			}
		})
	}
	group.Wait()
	return float64(scans.Load()) / time.Since(start).Seconds()
}

// What a profile shows.
const (
	profileProcessors = "profile"
	profileWaits      = "trace"
)

// profile notes, where the options ask for it, what the measured process does while it is asked: where the processors are, or what waits
// for what. The last one of a name is what stays.
func (b *servingBench) profile(ctx context.Context, name, what string, order loadOrder) (stop func() error, err error) {
	if b.options.profiles == "" || order.Seconds < 1 {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(b.options.profiles, 0o755); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	path := filepath.Join(b.options.profiles, fmt.Sprintf("%s-%s.%s", b.load.name, name, what))
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", b.system.info.Admin, what, int(order.Seconds))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), file.Close())
	}
	done := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			_, err = io.Copy(file, response.Body)
			err = errors.Join(err, response.Body.Close())
		}
		done <- err
	}()
	return func() error { return errors.Join(<-done, file.Close()) }, nil
}
