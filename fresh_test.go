package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// freshShop is a shop of 400 imported visits to twelve items, and of a version that is trained on them.
type freshShop struct {
	*program
	t    *testing.T
	dir  string
	keys siteKeys
}

func newFreshShop(t *testing.T) *freshShop {
	dir := filepath.Join(t.TempDir(), "data")
	shop := &freshShop{program: startProgram(t, dir), t: t, dir: dir}
	shop.keys = shop.program.keys(t)
	history := "visitor,sku,time\n"
	began := time.Now().Add(-20 * 24 * time.Hour)
	for visitor := range 400 {
		for step := range 4 {
			history += fmt.Sprintf("v%d,old-%d,%s\n", visitor, (visitor+step)%12, began.Add(time.Duration(visitor*60+step)*time.Minute).Format(time.RFC3339))
		}
	}
	file := filepath.Join(t.TempDir(), "history.csv")
	if err := os.WriteFile(file, []byte(history), 0o600); err != nil {
		t.Fatal(err)
	}
	shop.command("import", "events", file, "--type", "view_item", "--map", "anonymous_id=visitor,item_id=sku,occurred_at=time")
	shop.train()
	return shop
}

// command runs a command on the shop's data and returns what it prints.
func (s *freshShop) command(args ...string) string {
	s.t.Helper()
	stdout, stderr, exit := runProgram(s.t, append(args, "--data-dir", s.dir)...)
	if exit != exitDone {
		s.t.Fatalf("%v: exit %d\n%s\n%s", args, exit, stdout, stderr)
	}
	return stdout
}

// train puts a new version in force, whatever the gate says of it.
func (s *freshShop) train() (version string) {
	s.t.Helper()
	var result struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal([]byte(s.command("train", "--json")), &result); err != nil || result.Version == "" {
		s.t.Fatalf("trained version %q: %v", result.Version, err)
	}
	s.command("models", "promote", result.Version)
	return result.Version
}

// freshList is an answer as far as these tests read it.
type freshList struct {
	Version  string `json:"model_version"`
	ServedBy string `json:"served_by"`
	Items    []struct {
		ItemID  string   `json:"item_id"`
		Score   float64  `json:"score"`
		Reasons []string `json:"reasons"`
	} `json:"items"`
}

// get is one call with the secret key.
func (s *freshShop) get(method, path string, body, out any) {
	s.t.Helper()
	if status, answer, err := s.call(s.t.Context(), method, path, s.keys.SecretKey, body, out); err != nil || status != 200 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
	}
}

// ask asks what goes with old-3.
func (s *freshShop) ask(placement string, limit int, exclude ...string) (out freshList) {
	s.t.Helper()
	s.get("POST", "/v1/recommend", map[string]any{
		"placement": placement, "item_ids": []string{"old-3"}, "limit": limit, "exclude_ids": exclude, "dry_run": true,
	}, &out)
	return out
}

// because reports whether an item is in the list by what it was met with, and not as something that merely fills the list.
func (l freshList) because(item, of string) bool {
	for _, it := range l.Items {
		if it.ItemID == item {
			return slices.ContainsFunc(it.Reasons, func(r string) bool { return strings.Contains(r, of) })
		}
	}
	return false
}

// send has a visitor view an item.
func (s *freshShop) send(visitor, item string, at time.Time) {
	s.t.Helper()
	body := map[string]any{"type": "view_item", "anonymous_id": visitor, "item_id": item, "occurred_at": at}
	if status, answer, err := s.call(s.t.Context(), "POST", "/v1/events", s.keys.WriteKey, body, nil); err != nil || status != 202 {
		s.t.Fatalf("send event: %d %s %v", status, answer, err)
	}
}

// TestNewItemIsRecommendedWithoutTraining lets a shop of imported history meet an item that no model knows: once the first
// sessions with it are closed, it is recommended beside what it was met with, by the session model and by the transitions, while
// the same version is in force. The next version is trained on those sessions, and lists from the transitions stay as they
// are: nothing counts twice before, and nothing is missing after.
func TestNewItemIsRecommendedWithoutTraining(t *testing.T) {
	shop := newFreshShop(t)
	defer shop.stop(t)
	before := shop.ask("session", 50).Version
	if before == "" {
		t.Fatal("no model is in force")
	}
	now := time.Now()
	for shopper := range 3 { // who looked around two hours ago, and are back
		visitor := fmt.Sprintf("shopper-%d", shopper)
		shop.send(visitor, "old-3", now.Add(-2*time.Hour))
		shop.send(visitor, "brand-new", now.Add(-2*time.Hour+time.Minute))
		shop.send(visitor, "old-9", now)
	}
	sent := time.Now()
	fresh := 0
	for fresh < 3 {
		if time.Since(sent) > 30*time.Second {
			t.Fatalf("%d of 3 sessions lie over the model", fresh)
		}
		<-time.After(50 * time.Millisecond)
		fresh = shop.fresh()
	}
	t.Logf("recommended %s after its first sessions were closed", time.Since(sent).Round(time.Millisecond))
	if list := shop.ask("session", 50); !list.because("brand-new", "old-3") || list.Version != before {
		t.Errorf("the session's list is %+v", list)
	}
	bought := shop.ask("cart", 50, shop.oldItems()...)
	if !bought.because("brand-new", "old-3") || bought.ServedBy != "transitions" || bought.Version != before {
		t.Errorf("what is chosen together with old-3 is %+v", bought)
	}
	over := shop.ask("cart", 7)
	shop.command("features", "verify") // which ends when everything has landed
	next := shop.train()
	for shop.ask("cart", 7).Version != next {
		if time.Since(sent) > time.Minute {
			t.Fatalf("version %s does not come into force", next)
		}
		<-time.After(50 * time.Millisecond)
	}
	if n := shop.fresh(); n != 0 {
		t.Errorf("%d sessions lie over the version that is trained on them", n)
	}
	trained := shop.ask("cart", 7)
	if len(trained.Items) != 7 || len(over.Items) != 7 || !trained.because("brand-new", "old-3") {
		t.Fatalf("with old-3 went %+v, and go %+v", over, trained)
	}
	for i, item := range trained.Items {
		if was := over.Items[i]; was.ItemID != item.ItemID || math.Abs(was.Score-item.Score) > 1e-4*item.Score {
			t.Errorf("place %d had %s with %g, and has %s with %g", i, was.ItemID, was.Score, item.ItemID, item.Score)
		}
	}
}

// fresh is how many closed sessions lie over the model in force.
func (s *freshShop) fresh() int {
	s.t.Helper()
	var status struct {
		Fresh int `json:"fresh_sessions"`
	}
	s.get("GET", "/v1/status", nil, &status)
	return status.Fresh
}

// oldItems are those of the imported history.
func (s *freshShop) oldItems() []string {
	items := make([]string, 12)
	for i := range items {
		items[i] = fmt.Sprintf("old-%d", i)
	}
	return items
}
