package simshop

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Paths below the base that the shop is mounted at.
const (
	itemPath   = "item/"
	cartPath   = "cart"
	thanksPath = "thanks"
	artPath    = "art/"
	assetsPath = "assets/"
)

const (
	// defaultBase is where `millrace up --demo` mounts the shop.
	defaultBase = "/demo/"

	// beaconPath is where the tracker serves the beacon, below the API's base.
	beaconPath = "/millrace.js"

	// assetAge lets a browser keep pictures and styles for an hour; a new version of the program changes their address.
	assetAge = "public, max-age=3600"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// ShopConfig says how the shop's pages reach Millrace.
type ShopConfig struct {
	WriteKey string // the demo site's public pk_ key; it stands in every page
	BasePath string // where the handler is mounted; default /demo/
	APIBase  string // origin of the API and the beacon, such as https://api.example.org; empty is the shop's own
}

// shop renders the pages. It holds no state: carts live in the visitor's browser.
type shop struct {
	cfg     ShopConfig
	items   []Item
	at      map[string]int
	pages   map[string]*template.Template
	version string // of assets and pictures, a part of their addresses' query
}

// Handler returns the shop's pages, to be mounted at cfg.BasePath (with the prefix left in place).
func Handler(cfg ShopConfig) (http.Handler, error) {
	if cfg.WriteKey == "" {
		return nil, errors.New("demo shop needs the demo site's write key")
	}
	if cfg.BasePath == "" {
		cfg.BasePath = defaultBase
	}
	cfg.BasePath = cleanBase(cfg.BasePath)
	cfg.APIBase = strings.TrimRight(cfg.APIBase, "/")
	if u, err := url.Parse(cfg.APIBase); cfg.APIBase != "" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
		return nil, fmt.Errorf("demo shop's API base %q: want an origin such as https://api.example.org", cfg.APIBase)
	}
	s := &shop{cfg: cfg, items: Catalogue()}
	s.at = byID(s.items)
	if err := s.load(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	base := "GET " + cfg.BasePath
	mux.HandleFunc(base+"{$}", s.home)
	mux.HandleFunc(base+itemPath+"{id}", s.item)
	mux.HandleFunc(base+cartPath, s.plain("cart.html", "Your basket"))
	mux.HandleFunc(base+thanksPath, s.plain("thanks.html", "Thank you"))
	mux.Handle(base+artPath, s.files(artFiles, cfg.BasePath))
	mux.Handle(base+assetsPath, s.files(assetFiles, cfg.BasePath))
	mux.HandleFunc(base, s.notFound)
	return s.guard(mux), nil
}

// load parses the pages and fingerprints what browsers may keep.
func (s *shop) load() error {
	s.pages = make(map[string]*template.Template)
	sum := sha256.New()
	for _, name := range []string{"home.html", "item.html", "cart.html", "thanks.html", "missing.html"} {
		t, err := template.New(name).Funcs(template.FuncMap{"slots": slots}).ParseFS(pageFiles, "pages/layout.html", "pages/"+name)
		if err != nil {
			return fmt.Errorf("parse shop page: %w", err)
		}
		s.pages[name] = t
	}
	for _, dir := range []struct {
		files embed.FS
		name  string
	}{{artFiles, "art"}, {assetFiles, "assets"}} {
		entries, err := dir.files.ReadDir(dir.name)
		if err != nil {
			return fmt.Errorf("list shop files: %w", err)
		}
		for _, e := range entries {
			b, err := dir.files.ReadFile(path.Join(dir.name, e.Name()))
			if err != nil {
				return fmt.Errorf("read shop file: %w", err)
			}
			sum.Write(b)
		}
	}
	const versionBytes = 6
	s.version = hex.EncodeToString(sum.Sum(nil)[:versionBytes])
	return nil
}

// guard sets the headers of every answer: the shop runs no inline script or style and talks to one API only.
func (s *shop) guard(next http.Handler) http.Handler {
	api := "'self'"
	if s.cfg.APIBase != "" {
		api += " " + s.cfg.APIBase
	}
	policy := "default-src 'none'; script-src " + api + "; connect-src " + api + "; img-src " + api +
		"; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}

// files serves embedded files by their path below base, never a listing.
func (s *shop) files(files embed.FS, base string) http.Handler {
	serve := http.StripPrefix(strings.TrimSuffix(base, "/"), http.FileServerFS(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, err := files.Open(strings.TrimPrefix(r.URL.Path, base)); err != nil || strings.HasSuffix(r.URL.Path, "/") {
			s.notFound(w, r)
			return
		} else if err := f.Close(); err != nil {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Cache-Control", assetAge)
		serve.ServeHTTP(w, r)
	})
}

// render draws a page into memory first, so that a failing template never leaves half a page behind a 200.
func (s *shop) render(w http.ResponseWriter, status int, name string, v view) {
	v.Base, v.API, v.Key, v.Version = s.cfg.BasePath, s.cfg.APIBase, s.cfg.WriteKey, s.version
	v.Beacon, v.Shelves = s.cfg.APIBase+beaconPath, Categories()
	var page bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&page, "layout", v); err != nil {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // a visitor who left is no error
}
