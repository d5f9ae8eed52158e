package httpserver

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// HeaderRequestID carries the id of a request, from a proxy in front or made here; answers and problems repeat it.
const HeaderRequestID = "X-Request-Id"

// maxRequestIDBytes is what a given id may have; UUIDs and trace ids fit.
const maxRequestIDBytes = 64

// Middleware wraps a handler.
type Middleware = func(http.Handler) http.Handler

// Chain is the standard order: request id, access log, panic recovery. The recovery is innermost, so that the log
// shows the 500 that the client got.
func Chain(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return RequestID(AccessLog(log)(Recover(log)(next)))
	}
}

// RequestID gives each request an id in the header HeaderRequestID of request and answer. A well-formed one from the
// client is kept, so that a trace through several services keeps its name.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(HeaderRequestID)
		if !validRequestID(id) {
			var b [16]byte
			_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error
			id = hex.EncodeToString(b[:])
			r.Header.Set(HeaderRequestID, id)
		}
		w.Header().Set(HeaderRequestID, id)
		next.ServeHTTP(w, r)
	})
}

// validRequestID keeps ids out that would break a log line or a header.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestIDBytes {
		return false
	}
	for i := range len(id) {
		c := id[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// Recover turns a panic into a 500 problem and one log record with its stack; the process and its other requests go on.
// Where half an answer is out already the connection is cut, so that the client cannot take it for a whole one.
// http.ErrAbortHandler passes, as net/http documents.
func Recover(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			defer func() {
				cause := recover()
				if cause == nil {
					return
				}
				if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(cause)
				}
				log.ErrorContext(r.Context(), "handler panicked", "panic", cause, "method", r.Method, "path", r.URL.Path,
					"request_id", r.Header.Get(HeaderRequestID), "stack", string(debug.Stack()))
				if seen.wroteHeader {
					panic(http.ErrAbortHandler)
				}
				WriteProblem(w, r, Internal())
			}()
			next.ServeHTTP(seen, r)
		})
	}
}

// Internal is the answer to a fault that is ours. The cause goes to the log, never to the client.
func Internal() Problem {
	return Problem{
		Type: ProblemInternal, Title: "Internal error", Status: http.StatusInternalServerError,
		Detail: "the request could not be answered because of a fault in the server",
		Hint:   "try again; if it persists, look for the request id in the server's log",
	}
}

// Fault is Internal with its cause, for code that returns problems and leaves the log to who answers.
func Fault(cause error) *Problem {
	p := Internal()
	p.Cause = cause
	return &p
}

// AccessLog writes one debug record per request. While the logger is above debug it costs one branch.
func AccessLog(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !log.Enabled(r.Context(), slog.LevelDebug) {
				next.ServeHTTP(w, r)
				return
			}
			start := time.Now()
			seen := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
			next.ServeHTTP(seen, r)
			// The query is left out: it may hold a write key or a visitor's id.
			log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
				"bytes", seen.bytes, "duration", time.Since(start), "request_id", r.Header.Get(HeaderRequestID))
		})
	}
}

// statusRecorder remembers what was answered, for the access log.
type statusRecorder struct {
	http.ResponseWriter
	status      int
	bytes       int64
	wroteHeader bool
}

func (s *statusRecorder) WriteHeader(status int) {
	if !s.wroteHeader {
		s.status, s.wroteHeader = status, status >= http.StatusOK // 1xx answers come before the real one
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusRecorder) Write(b []byte) (int, error) {
	s.wroteHeader = true
	n, err := s.ResponseWriter.Write(b)
	s.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach flushing and deadlines of the real writer.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
