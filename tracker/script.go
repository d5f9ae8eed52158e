package tracker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/klauspost/compress/gzip"

	"github.com/millrace/millrace/tracker/beacon"
)

const (
	scriptName     = "/millrace"      // with .js
	coreScriptName = "/millrace.core" // without what observes the page
	hashPattern    = ".{hash:[0-9a-f]+}.js"

	// currentCaching keeps a page from asking at every view, and lets a new release reach every page within minutes.
	currentCaching = "public, max-age=300"
	hashedCaching  = "public, max-age=31536000, immutable"
	scriptHashLen  = 16 // hex digits of the name: 64 bits tell releases apart
)

// script is one of the beacon's as it is served: plain and gzipped once at start.
type script struct {
	name, hash  string
	plain, gzip []byte
}

func newScripts() ([]*script, error) {
	full, err := newScript(scriptName, beacon.Script())
	if err != nil {
		return nil, err
	}
	core, err := newScript(coreScriptName, beacon.Core())
	if err != nil {
		return nil, err
	}
	return []*script{full, core}, nil
}

func newScript(name string, plain []byte) (*script, error) {
	sum := sha256.Sum256(plain)
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress the beacon: %w", err)
	}
	if _, err := z.Write(plain); err != nil {
		return nil, fmt.Errorf("compress the beacon: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compress the beacon: %w", err)
	}
	return &script{name: name, hash: hex.EncodeToString(sum[:])[:scriptHashLen], plain: plain, gzip: packed.Bytes()}, nil
}

// serveCurrent answers the name that pages use, such as /millrace.js.
func (s *script) serveCurrent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Location", s.name+"."+s.hash+".js") // where to find the copy that never changes
	s.serve(w, r, currentCaching)
}

// serveHashed answers the copy that never changes. A page that still names an older release is sent to the current one:
// an upgrade must not end its tracking.
func (s *script) serveHashed(w http.ResponseWriter, r *http.Request) {
	if chi.URLParam(r, "hash") != s.hash {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, s.name+".js", http.StatusFound)
		return
	}
	s.serve(w, r, hashedCaching)
}

func (s *script) serve(w http.ResponseWriter, r *http.Request, caching string) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", caching)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	// Any shop may load it, also with integrity= (which needs CORS) and from pages that isolate themselves.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	body, etag := s.plain, `"`+s.hash+`"`
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		body, etag = s.gzip, `"`+s.hash+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if matches(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody left to tell
	}
}

// acceptsGzip reads Accept-Encoding; a quality of zero refuses.
func acceptsGzip(values []string) bool {
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			quality, given := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			q, err := strconv.ParseFloat(quality, 64)
			return !given || err == nil && q > 0
		}
	}
	return false
}

// matches compares If-None-Match weakly, as RFC 9110 asks.
func matches(ifNoneMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}
