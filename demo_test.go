package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/browsertest"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/simshop"
	"github.com/millrace/millrace/lake"
)

// listed is a card that the browser saw.
type listed struct{ ID, Category, Why string }

// visit is what demo.mjs reports of its visit.
type visit struct {
	Before, After []listed
	Category      string
	ItemLists     [][]listed `json:"itemLists"`
	Visitor       struct{ ID, Last string }
	Faults        []string
}

// TestDemoInBrowser is the first minute of a new user: the shop opens, its lists follow three clicks in one category, and
// what was clicked while the program lay dead arrives too, exactly once.
func TestDemoInBrowser(t *testing.T) {
	cmd := browsertest.Command(t, "scripts/browser-suite/demo.mjs")
	dir, address := t.TempDir(), freeAddress(t)
	p := startProgram(t, dir, "--demo", "--listen", address)

	cmd.Env = append(cmd.Env, "MILLRACE_TEST_URL="+p.url+demoPath)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var report visit
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		switch line := lines.Text(); line {
		case "KILL":
			p.kill()
			reply(t, stdin)
		case "START":
			p = startProgram(t, dir, "--demo", "--listen", address)
			reply(t, stdin)
		default:
			if err := json.Unmarshal([]byte(line), &report); err != nil {
				t.Fatalf("unexpected line %q", line)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("visit: %v\n%s", err, complaints.String())
	}
	checkVisit(t, report)
	p.stop(t)
	checkVisitInLake(t, dir, report)
}

func reply(t *testing.T, w io.Writer) {
	t.Helper()
	if _, err := fmt.Fprintln(w, "done"); err != nil {
		t.Fatal(err)
	}
}

// checkVisit looks at the lists with a shopper's eyes.
func checkVisit(t *testing.T, v visit) {
	t.Helper()
	share := func(cards []listed) int {
		n := 0
		for _, c := range cards {
			if c.Category == v.Category {
				n++
			}
		}
		return n
	}
	if len(v.Before) == 0 || share(v.After) <= share(v.Before) {
		t.Errorf("after three views in %s the home list shows %d of it, before %d: it did not follow", v.Category, share(v.After), share(v.Before))
	}
	for i, cards := range v.ItemLists {
		seen := map[string]bool{}
		for _, c := range cards {
			if seen[c.ID] {
				t.Errorf("item list %d shows %s twice", i, c.ID)
			}
			seen[c.ID] = true
			if c.Why == "" {
				t.Errorf("item list %d gives no reason for %s", i, c.ID)
			}
		}
		if len(cards) < 3 {
			t.Errorf("item list %d has only %d items", i, len(cards))
		}
	}
	if len(v.Faults) > 0 {
		t.Errorf("script errors: %v", v.Faults)
	}
}

// checkVisitInLake counts the visitor's events: each tab's sequence is whole, nothing is there twice, and the acts that
// happened while the program was dead are among them.
func checkVisitInLake(t *testing.T, dir string, v visit) {
	t.Helper()
	store, err := lake.Open(t.Context(), lake.Config{Dir: filepath.Join(dir, "lake")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	type place struct {
		tab string
		seq int64
	}
	seen, ids, types := map[place]int{}, map[string]int{}, map[string]int{}
	newest := map[string]int64{}
	err = store.ScanEvents(t.Context(), lake.ScanRequest{Site: demoSite}, func(row lake.EventRow) error {
		e := row.Event
		if e.AnonymousID != v.Visitor.ID || e.Seq == nil {
			return nil
		}
		seen[place{e.TabID, *e.Seq}]++
		ids[e.EventID]++
		types[e.Type]++
		newest[e.TabID] = max(newest[e.TabID], *e.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if ids[v.Visitor.Last] != 1 {
		t.Errorf("the visitor's last event %s is in the lake %d times, want once", v.Visitor.Last, ids[v.Visitor.Last])
	}
	for tab, last := range newest {
		for seq := int64(1); seq <= last; seq++ {
			if n := seen[place{tab, seq}]; n != 1 {
				t.Errorf("event %d of tab %s is in the lake %d times, want once", seq, tab, n)
			}
		}
	}
	for _, want := range []struct {
		name string
		n    int
	}{{event.ViewItem, 4}, {event.AddToCart, 1}, {event.AddToWishlist, 1}} {
		if types[want.name] != want.n {
			t.Errorf("%d %s events in the lake, want %d (all: %v)", types[want.name], want.name, want.n, types)
		}
	}
}

// TestDemoCatalogue guards what the shop promises in the README.
func TestDemoCatalogue(t *testing.T) {
	if items, shelves := len(simshop.Catalogue()), len(simshop.Categories()); items != 24 || shelves != 6 {
		t.Errorf("the demo shop has %d items in %d categories, want 24 in 6", items, shelves)
	}
}

// answers is a server in the client's own process that gives one status after the other, 0 for none at all.
type answers struct{ statuses []int }

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status := a.statuses[0]
	a.statuses = a.statuses[1:]
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, nil
}

// TestDemoOpensItsPlacementsOnce: a start leaves placements alone that are open already, because an experiment may run on them.
func TestDemoOpensItsPlacementsOnce(t *testing.T) {
	store, err := control.Open(t.Context(), filepath.Join(t.TempDir(), "control.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := &storage{control: store}
	e := control.Experiment{Site: demoSite, ID: "which", Placement: simshop.Placements()[0], Arms: []control.Arm{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}}
	for _, step := range []func() error{
		func() error { return s.openDemoPlacements(t.Context()) },
		func() error { _, err := store.PutExperiment(t.Context(), e, ""); return err },
		func() error { _, err := store.StartExperiment(t.Context(), demoSite, e.ID, ""); return err },
		func() error { return s.openDemoPlacements(t.Context()) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := store.Placement(t.Context(), demoSite, e.Placement)
	if err != nil || !p.BrowserReadable {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestDemoLeavesTheShopAlone lets the catalogue be refused: the demo tries again where that may help, says once that it
// gave up, and ends only with the process.
func TestDemoLeavesTheShopAlone(t *testing.T) {
	for _, c := range []struct {
		name     string
		statuses []int
		gaveUp   bool
	}{
		{"at last", []int{0, 503, 500, 200}, false},
		{"never", []int{503, 503, 503, 503, 503}, true},
		{"refused", []int{http.StatusForbidden}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &answers{c.statuses}
				var log bytes.Buffer
				d := &demo{
					waitReady: func(context.Context) error { return nil }, url: "http://shop",
					client: &http.Client{Transport: server}, log: slog.New(slog.NewTextHandler(&log, nil)),
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := d.Run(ctx); err != nil || ctx.Err() == nil {
					t.Errorf("ended early, or with an error: %v", err)
				}
				if n := strings.Count(log.String(), "level=WARN"); len(server.statuses) != 0 || (n == 1) != c.gaveUp || n > 1 {
					t.Errorf("answers %v are left, log:\n%s", server.statuses, log.String())
				}
			})
		})
	}
}

// freeAddress is a loopback address that was free a moment ago, for a program that must come back to the same one.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
