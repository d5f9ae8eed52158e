package telemetry

import (
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Paths of the admin listener.
const (
	PathMetrics = "/metrics"
	PathPprof   = "/debug/pprof/"
	PathLive    = "/livez"
	PathReady   = "/readyz"
)

// maxScrapes bounds how many scrapes are gathered at once: a monitoring system gone wild must not starve the roles.
const maxScrapes = 4

// NewAdmin returns the handler of the admin listener: /metrics, /debug/pprof/, /livez and /readyz. It trusts its
// callers, so it belongs on a loopback or otherwise closed address. ready answers why the program is not ready yet, or
// nil and, where that is worth a word, in which state it is; a nil func is always ready. Its paths are absolute: mount it at the root.
func NewAdmin(reg *prometheus.Registry, ready func() (state string, err error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+PathMetrics, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		Registry:            reg,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET "+PathPprof, pprof.Index)
	mux.HandleFunc("GET "+PathPprof+"cmdline", pprof.Cmdline)
	mux.HandleFunc("GET "+PathPprof+"profile", pprof.Profile)
	mux.HandleFunc("GET "+PathPprof+"symbol", pprof.Symbol)
	mux.HandleFunc("POST "+PathPprof+"symbol", pprof.Symbol) // the pprof tool posts addresses
	mux.HandleFunc("GET "+PathPprof+"trace", pprof.Trace)
	mux.HandleFunc("GET "+PathLive, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET "+PathReady, func(w http.ResponseWriter, _ *http.Request) {
		line := "ok"
		if ready != nil {
			state, err := ready()
			if err != nil {
				answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
				return
			}
			if state != "" {
				line += "; " + state
			}
		}
		answer(w, http.StatusOK, line)
	})
	return mux
}

// answer writes one line of plain text. A probe that hung up is nobody's error.
func answer(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}
