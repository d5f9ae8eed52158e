package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/simshop"
	"github.com/millrace/millrace/internal/telemetry"
)

// demoPath is where the demo shop stands on the public listener.
const demoPath = "/demo/"

// demoSeed makes every demo the same shop with the same shoppers.
const demoSeed = 1

// demo is the shop of `up --demo`: its pages, its catalogue and its simulated shoppers, all on a site of their own. The
// shoppers use the same front door as everybody else.
type demo struct {
	system    *system
	keys      bootstrapKeys
	simulator *simshop.Simulator // nil when the configured rate is 0
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
	d := &demo{system: s, keys: keys}
	if s.cfg.Demo.EventsPerSecond > 0 {
		d.simulator, err = simshop.New(simshop.Config{
			URL: "http://" + s.public.Addr(), WriteKey: keys.WriteKey, Seed: demoSeed, EventsPerSecond: s.cfg.Demo.EventsPerSecond,
		}, simshop.Deps{Log: telemetry.Component(s.log, "demo")})
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
		placement.BrowserReadable = true
		if err := s.control.PutPlacement(ctx, placement); err != nil {
			return fmt.Errorf("open demo placement %s: %w", name, err)
		}
	}
	return nil
}

// Run fills the demo's catalogue and then lets the shoppers in until ctx ends.
func (d *demo) Run(ctx context.Context) error {
	if err := d.system.waitReady(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	if err := d.fillCatalogue(ctx); err != nil {
		return ignoreEnd(ctx, err)
	}
	if d.simulator == nil {
		<-ctx.Done()
		return nil
	}
	return d.simulator.Run(ctx)
}

// fillCatalogue writes the shop's items through the API.
func (d *demo) fillCatalogue(ctx context.Context) error {
	body, err := json.Marshal(simshop.CatalogueRows(demoPath))
	if err != nil {
		return fmt.Errorf("encode demo catalogue: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.system.public.Addr()+"/v1/items:bulk", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("write demo catalogue: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+d.keys.SecretKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("write demo catalogue: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("write demo catalogue: %s", resp.Status)
	}
	return nil
}

// ignoreEnd drops an error that only says that ctx has ended.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
