package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/simshop"
	"github.com/millrace/millrace/internal/telemetry"
)

// demoPath is where the demo shop stands on the public listener.
const demoPath = "/demo/"

// demoSeed makes every demo the same shop with the same shoppers.
const demoSeed = 1

// The catalogue is offered so often, with such a pause between: a server that has just become ready may be busy still.
const (
	catalogueAttempts = 5
	cataloguePause    = 2 * time.Second
)

// demo is the shop of `up --demo`: its pages, its catalogue and its simulated shoppers, all on a site of their own. The
// shoppers use the same front door as everybody else.
type demo struct {
	waitReady func(context.Context) error
	url       string // of the public listener
	client    *http.Client
	keys      bootstrapKeys
	simulator *simshop.Simulator // nil when the configured rate is 0
	log       *slog.Logger
}

func newDemo(ctx context.Context, s *system, public chi.Router) (*demo, error) {
	keys, err := s.ensureDemoKeys(ctx, s.origins())
	if err != nil {
		return nil, err
	}
	if err := s.openDemoPlacements(ctx); err != nil {
		return nil, err
	}
	shop, err := simshop.Handler(simshop.ShopConfig{WriteKey: keys.WriteKey, BasePath: demoPath})
	if err != nil {
		return nil, fmt.Errorf("build demo shop: %w", err)
	}
	public.Handle(demoPath+"*", shop)
	for _, path := range []string{"/", strings.TrimSuffix(demoPath, "/")} {
		public.Get(path, http.RedirectHandler(demoPath, http.StatusFound).ServeHTTP)
	}
	d := &demo{
		waitReady: s.waitReady, url: "http://" + s.public.Addr(), client: http.DefaultClient, keys: keys,
		log: telemetry.Component(s.log, "demo"),
	}
	if s.cfg.Demo.EventsPerSecond > 0 {
		d.simulator, err = simshop.New(simshop.Config{
			URL: d.url, WriteKey: keys.WriteKey, Seed: demoSeed, EventsPerSecond: s.cfg.Demo.EventsPerSecond,
		}, simshop.Deps{Log: d.log})
	}
	return d, err
}

// openDemoPlacements lets the shop's pages read their lists with the public key, from the shop's own origin.
func (s *storage) openDemoPlacements(ctx context.Context) error {
	for _, name := range simshop.Placements() {
		placement, err := s.control.Placement(ctx, demoSite, name)
		if err != nil {
			return fmt.Errorf("read demo placement: %w", err)
		}
		if placement.BrowserReadable {
			continue // it was opened before, and an experiment may run on it
		}
		placement.BrowserReadable = true
		if err := s.control.PutPlacement(ctx, placement); err != nil {
			return fmt.Errorf("open demo placement %s: %w", name, err)
		}
	}
	return nil
}

// Run fills the demo's catalogue and then lets the shoppers in until ctx ends. Whatever goes wrong with that is only
// logged: the demo must not take down the real shop in whose process it stands.
func (d *demo) Run(ctx context.Context) error {
	if err := d.waitReady(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := d.fillCatalogue(ctx); err != nil && ctx.Err() == nil {
		d.log.Warn("the demo shop stays without its catalogue and shoppers", "error", err)
	} else if d.simulator != nil {
		return d.simulator.Run(ctx)
	}
	<-ctx.Done()
	return nil
}

// fillCatalogue writes the shop's items, again and again while the server cannot take them.
func (d *demo) fillCatalogue(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		again, err := d.postCatalogue(ctx)
		if err == nil || !again || attempt == catalogueAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cataloguePause):
		}
	}
}

// postCatalogue writes the shop's items through the API; again says that another attempt may help.
func (d *demo) postCatalogue(ctx context.Context) (again bool, err error) {
	body, err := json.Marshal(simshop.CatalogueRows(demoPath))
	if err != nil {
		return false, fmt.Errorf("encode demo catalogue: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/v1/items:bulk", bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("write demo catalogue: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+d.keys.SecretKey)
	resp, err := d.client.Do(req)
	if err != nil {
		return true, fmt.Errorf("write demo catalogue: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode >= http.StatusInternalServerError, fmt.Errorf("write demo catalogue: %s", resp.Status)
	}
	return false, nil
}

// ignoreEnd drops an error that only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
