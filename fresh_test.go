package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNewItemIsRecommendedWithoutTraining lets a shop of imported history meet an item that no model knows: once the first
// sessions with it are closed, it is recommended beside what it was met with, while the same model is in force.
func TestNewItemIsRecommendedWithoutTraining(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	shop := startProgram(t, dir)
	defer shop.stop(t)
	keys := shop.keys(t)
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
	for _, args := range [][]string{
		{"import", "events", file, "--type", "view_item", "--map", "anonymous_id=visitor,item_id=sku,occurred_at=time", "--data-dir", dir},
		{"train", "--data-dir", dir},
	} {
		if stdout, stderr, exit := runProgram(t, args...); exit != exitDone {
			t.Fatalf("%v: exit %d\n%s\n%s", args, exit, stdout, stderr)
		}
	}
	type list struct {
		Version string `json:"model_version"`
		Items   []struct {
			ItemID  string   `json:"item_id"`
			Reasons []string `json:"reasons"`
		} `json:"items"`
	}
	ask := func() (out list) {
		request := map[string]any{"placement": "session", "item_ids": []string{"old-3"}, "limit": 50, "dry_run": true}
		status, answer, err := shop.call(t.Context(), "POST", "/v1/recommend", keys.SecretKey, request, &out)
		if err != nil || status != 200 {
			t.Fatalf("list: %d %s %v", status, answer, err)
		}
		return out
	}
	before := ask().Version
	if before == "" {
		t.Fatal("no model is in force")
	}
	send := func(visitor, item string, at time.Time) {
		body := map[string]any{"type": "view_item", "anonymous_id": visitor, "item_id": item, "occurred_at": at}
		if status, answer, err := shop.call(t.Context(), "POST", "/v1/events", keys.WriteKey, body, nil); err != nil || status != 202 {
			t.Fatalf("send event: %d %s %v", status, answer, err)
		}
	}
	now := time.Now()
	for shopper := range 3 { // who looked around two hours ago, and are back
		visitor := fmt.Sprintf("shopper-%d", shopper)
		send(visitor, "old-3", now.Add(-2*time.Hour))
		send(visitor, "brand-new", now.Add(-2*time.Hour+time.Minute))
		send(visitor, "old-9", now)
	}
	sent := time.Now()
	for recommended := false; !recommended; {
		if time.Since(sent) > 30*time.Second {
			t.Fatalf("never recommended for its sessions: %+v", ask())
		}
		<-time.After(50 * time.Millisecond)
		for _, item := range ask().Items { // by its sessions, not as something that merely fills the list
			recommended = recommended || item.ItemID == "brand-new" && slices.ContainsFunc(item.Reasons, func(r string) bool { return strings.Contains(r, "old-3") })
		}
	}
	t.Logf("recommended %s after its first sessions were closed", time.Since(sent).Round(time.Millisecond))
	if after := ask().Version; after != before {
		t.Errorf("version %s came into force, which makes this prove nothing", after)
	}
}
