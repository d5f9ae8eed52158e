package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// visitEvents are what a visitor does: they land in every store. Both people have a browser that they used before they logged in.
func visitEvents(user, browser string, n int) string {
	var events []string
	for i := range n {
		who := fmt.Sprintf(`"anonymous_id":%q`, browser)
		if i > 0 {
			who += fmt.Sprintf(`,"user_id":%q`, user)
		}
		events = append(events, fmt.Sprintf(`{"type":"view_item","event_id":"%s-%d","item_id":"shoe-%d",%s}`, browser, i, i%5, who))
	}
	return "[" + strings.Join(events, ",") + "]"
}

// asked is p.call without a way to fail of its own.
func (p *program) asked(t *testing.T, method, path, key string, body any) (status int, answer string) {
	t.Helper()
	status, answer, err := p.call(t.Context(), method, path, key, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

// personReport is what `users verify-erased --json` prints.
type personReport struct {
	Erasures []string         `json:"erasures"`
	Found    map[string]int64 `json:"found"`
	Total    int64            `json:"total"`
}

func verifyErased(t *testing.T, dir, id string) (personReport, int) {
	t.Helper()
	stdout, stderr, exit := runHere(t, "users", "verify-erased", id, "--json", "--data-dir", dir)
	var report personReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("verify-erased of %s: exit %d, %q, %s", id, exit, stdout, stderr)
	}
	return report, exit
}

// visitedShop starts a program with two visitors, who looked at things and were shown lists.
func visitedShop(t *testing.T, dir string) (*program, siteKeys) {
	t.Helper()
	p := startProgram(t, dir)
	keys := p.keys(t)
	for _, v := range []struct{ user, browser string }{{"anna@shop.example", "anna-phone"}, {"bert@shop.example", "bert-phone"}} {
		if status, text := p.asked(t, http.MethodPost, "/v1/events", keys.SecretKey, visitEvents(v.user, v.browser, 40)); status != http.StatusAccepted {
			t.Fatalf("events: %d %s", status, text)
		}
		body := fmt.Sprintf(`{"placement":"home","user_id":%q}`, v.user)
		if status, text := p.asked(t, http.MethodPost, "/v1/recommend", keys.SecretKey, body); status != http.StatusOK {
			t.Fatalf("recommend: %d %s", status, text)
		}
	}
	return p, keys
}

// TestEraseUser erases one of two visitors by the API. Nothing of the person is shown from then on, nothing is found afterwards, also
// after a kill -9, and everything of the other is there. The same look finds both in a control that was not erased.
func TestEraseUser(t *testing.T) {
	t.Parallel()
	control := t.TempDir()
	c, _ := visitedShop(t, control)
	report, exit := awaitLanded(t, control, "anna@shop.example", 40)
	for _, store := range []string{"online store", "states", "lake events", "lake exposures", "millrace.events", "millrace.exposures", "millrace.features"} {
		if report.Found[store] == 0 {
			t.Errorf("control: nothing found in %s: %v", store, report.Found)
		}
	}
	if exit != exitFailed || report.Found["lake events"] != 40 || len(report.Erasures) != 0 {
		t.Errorf("control: exit %d, %+v", exit, report)
	}
	c.stop(t)

	dir := t.TempDir()
	p, keys := visitedShop(t, dir)
	p.awaitFeatures(t, keys, "anna@shop.example")
	awaitLanded(t, dir, "anna@shop.example", 40)
	status, text := p.asked(t, http.MethodDelete, "/v1/users/anna@shop.example", keys.SecretKey, nil)
	var job struct{ ID, Step string }
	if err := json.Unmarshal([]byte(text), &job); err != nil || status != http.StatusAccepted || job.ID == "" {
		t.Fatalf("DELETE: %d %s", status, text)
	}
	for _, path := range []string{"/v1/users/anna@shop.example/features", "/v1/users/anonymous:nobody/features"} {
		if status, text := p.asked(t, http.MethodGet, path, keys.SecretKey, nil); status != http.StatusNotFound {
			t.Errorf("%s right after DELETE: %d %s", path, status, text)
		}
	}
	p.awaitErased(t, keys, job.ID)
	check := func(when string) {
		t.Helper()
		report, exit := verifyErased(t, dir, "anna@shop.example")
		if exit != exitDone || report.Total != 0 || len(report.Erasures) != 1 || len(report.Found) < 10 {
			t.Errorf("%s: exit %d, %+v", when, exit, report)
		}
		if report, exit := verifyErased(t, dir, "anonymous:anna-phone"); exit != exitDone || report.Total != 0 {
			t.Errorf("%s: her browser: exit %d, %+v", when, exit, report)
		}
		other, _ := verifyErased(t, dir, "bert@shop.example")
		if other.Found["lake events"] != 40 || other.Found["online store"] == 0 || other.Found["states"] == 0 {
			t.Errorf("%s: of the other there is %+v", when, other)
		}
		stdout, stderr, exit := runProgram(t, "features", "verify", "--json", "--data-dir", dir)
		var features struct{ Profiles, Differences int }
		if err := json.Unmarshal([]byte(stdout), &features); err != nil || exit != exitDone || features.Profiles == 0 || features.Differences != 0 {
			t.Errorf("%s: features verify: exit %d, %q, %s", when, exit, stdout, stderr)
		}
	}
	check("erased")
	// What comes late by the API, or from a file of last year, stays out.
	late := `{"type":"view_item","item_id":"shoe-1","user_id":"anna@shop.example","anonymous_id":"anna-phone","occurred_at":"2026-01-01T00:00:00Z"}`
	if status, text := p.asked(t, http.MethodPost, "/v1/events", keys.SecretKey, late); status != http.StatusAccepted || !strings.Contains(text, `"dropped":1`) {
		t.Errorf("a late event: %d %s", status, text)
	}
	old := filepath.Join(t.TempDir(), "old.csv")
	if err := os.WriteFile(old, []byte("user_id,item_id,occurred_at\nanna@shop.example,shoe-1,2020-01-01T00:00:00Z\ncarl,shoe-1,2020-01-01T00:00:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr, exit := runProgram(t, "import", "events", old, "--type", "view_item", "--json", "--data-dir", dir); exit != exitDone || !strings.Contains(stdout, `"erased":1`) {
		t.Errorf("import: exit %d, %s %s", exit, stdout, stderr)
	}
	check("after late events and an import")
	for _, id := range []string{"anna@shop.example", "anna-phone"} {
		findOnDisk(t, dir, id)
	}
	p.kill()
	p = startProgram(t, dir)
	check("after a kill")

	stdout, _, exit := runProgram(t, "users", "export", "bert@shop.example", "--data-dir", dir)
	var held struct {
		ID                       string
		Profiles, Events, Links  []json.RawMessage
		Exposures, Dead, Session []json.RawMessage
	}
	if err := json.Unmarshal([]byte(stdout), &held); err != nil || exit != exitDone || len(held.Events) != 40 || len(held.Profiles) == 0 || len(held.Links) != 1 || len(held.Exposures) != 1 {
		t.Errorf("export: exit %d (%v), %d events, %d profiles, %d links, %d lists", exit, err, len(held.Events), len(held.Profiles), len(held.Links), len(held.Exposures))
	}
	status, text = p.asked(t, http.MethodGet, "/v1/users/anna@shop.example/export", keys.SecretKey, nil)
	if err := json.Unmarshal([]byte(text), &held); err != nil || status != http.StatusOK || len(held.Events) != 0 {
		t.Errorf("export of the erased: %d %s", status, text)
	}
	p.stop(t)
}

// awaitFeatures waits until something is known of a person: acknowledged events are published a moment later.
func (p *program) awaitFeatures(t *testing.T, keys siteKeys, user string) {
	t.Helper()
	look := time.NewTicker(readyPoll)
	defer look.Stop()
	for deadline := time.Now().Add(startLimit); ; <-look.C {
		status, text := p.asked(t, http.MethodGet, "/v1/users/"+user+"/features", keys.SecretKey, nil)
		if status == http.StatusOK {
			return
		}
		if status != http.StatusNotFound || time.Now().After(deadline) {
			t.Fatalf("features of %s: %d %s", user, status, text)
		}
	}
}

// awaitLanded waits until so many events of a person, and a list, are in the lake, so that a certificate tells of them.
func awaitLanded(t *testing.T, dir, user string, events int64) (report personReport, exit int) {
	t.Helper()
	look := time.NewTicker(readyPoll)
	defer look.Stop()
	for deadline := time.Now().Add(startLimit); ; <-look.C {
		report, exit = verifyErased(t, dir, user)
		if report.Found["lake events"] == events && report.Found["lake exposures"] > 0 {
			return report, exit
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events of %s and a list are to land: %+v", events, user, report)
		}
	}
}

// awaitErased waits until an erasure is done.
func (p *program) awaitErased(t *testing.T, keys siteKeys, id string) {
	t.Helper()
	look := time.NewTicker(readyPoll)
	defer look.Stop()
	for deadline := time.Now().Add(startLimit); ; <-look.C {
		status, text := p.asked(t, http.MethodGet, "/v1/erasures/"+id, keys.SecretKey, nil)
		var job struct {
			Step        string
			Certificate struct{ Before, After map[string]int64 }
		}
		if err := json.Unmarshal([]byte(text), &job); err != nil || status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("erasure: %d %s", status, text)
		}
		if job.Step == "done" {
			if job.Certificate.Before["lake events"] == 0 || len(job.Certificate.After) < 10 || strings.Contains(text, "anna") {
				t.Errorf("certificate: %s", text)
			}
			return
		}
	}
}

// findOnDisk looks for an id in every file that is stored as it is, not packed: what it finds there nobody decodes.
func findOnDisk(t *testing.T, dir, id string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		// Segments of logs keep deleted records until they go, and an LSM what a compaction has not met yet.
		if err != nil || d.IsDir() || strings.HasPrefix(rel, "kafka") || strings.HasPrefix(rel, "online") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(id)) {
			t.Errorf("%s is in %s", id, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEraseCommand erases while nothing runs, and says how somebody is named wrongly.
func TestEraseCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, _ := visitedShop(t, dir)
	p.stop(t)
	stdout, stderr, exit := runProgram(t, "users", "erase", "bert@shop.example", "--data-dir", dir)
	if exit != exitDone || !strings.Contains(stdout, "lake events") || !strings.Contains(stderr, "rebuilding") {
		t.Fatalf("erase: exit %d\n%s\n%s", exit, stdout, stderr)
	}
	if report, exit := verifyErased(t, dir, "bert@shop.example"); exit != exitDone || report.Total != 0 {
		t.Errorf("verify-erased: exit %d, %+v", exit, report)
	}
	if report, exit := verifyErased(t, dir, "anna@shop.example"); exit != exitFailed || report.Found["lake events"] != 40 {
		t.Errorf("the other: exit %d, %+v", exit, report)
	}
	if stdout, _, exit := runHere(t, "users", "erasures", "--data-dir", dir); exit != exitDone || !strings.Contains(stdout, "done") || strings.Contains(stdout, "bert") {
		t.Errorf("erasures: exit %d, %q", exit, stdout)
	}
	for _, args := range [][]string{{"users", "erase", "anonymous:"}, {"users", "export", ""}, {"users", "verify-erased", "x", "--site", "No Site"}} {
		if _, stderr, exit := runHere(t, append(args, "--data-dir", dir)...); exit != exitUsage || stderr == "" {
			t.Errorf("%v: exit %d, %q", args, exit, stderr)
		}
	}
}
