package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/usertoken"
)

// TestKeysCommand: a key is made, rotated, listed with both of its secrets, and ended; what is asked for wrongly makes none.
func TestKeysCommand(t *testing.T) {
	dir := t.TempDir()
	store, err := control.Open(t.Context(), filepath.Join(dir, controlFile))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr, exit := runProgram(t, append(args, "--data-dir", dir)...)
		if exit != exitDone {
			t.Fatalf("%v: exit %d: %s", args, exit, stderr)
		}
		return strings.TrimSpace(stdout)
	}
	var made shownKey
	out := run("keys", "create", "--secret", "--scope", "recommend", "--scope", "items:read", "--rate", "50", "--expires-in", "48h", "--label", "shop", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Rate != 50 || len(made.Scopes) != 2 || made.ExpiresAt.Before(time.Now()) {
		t.Fatalf("made %s (%v)", out, err)
	}
	second := run("keys", "rotate", made.ID, "--overlap", "1h")
	for _, secret := range []string{made.Secret, second} {
		if key, err := store.Authenticate(t.Context(), secret); err != nil || key.ID != made.ID {
			t.Errorf("%.6s... opens %+v (%v)", secret, key, err)
		}
	}
	list := run("keys", "list")
	for _, want := range []string{made.ID, "recommend items:read 50/s", second[:7] + ", and " + made.Hint + " until "} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not say %q:\n%s", want, list)
		}
	}
	if strings.Contains(list, second) || strings.Contains(list, made.Secret) {
		t.Error("the list shows a secret")
	}
	run("keys", "revoke", made.ID)
	if list := run("keys", "list"); !strings.Contains(list, "revoked") || strings.Contains(list, " until ") {
		t.Errorf("after the end:\n%s", list)
	}
	log, err := store.AuditLog(t.Context(), "default", "", 0)
	if err != nil || len(log) != 3 || log[2].ActorKind != control.ActorCommand || log[2].Actor != "millrace keys create" {
		t.Errorf("the audit log is %+v (%v)", log, err)
	}
	for _, args := range [][]string{
		{"keys", "create", "--read"}, {"keys", "create", "--scope", "events"}, {"keys", "create", "--secret", "--scope", "fly"},
		{"keys", "create", "--secret", "--read"}, {"keys", "create", "--expires-in", "-1h"}, {"keys", "create", "--rate", "-1"},
	} {
		if _, stderr, exit := runProgram(t, append(args, "--data-dir", dir)...); exit != exitUsage {
			t.Errorf("%v: exit %d: %s", args, exit, stderr)
		}
	}
}

// TestTokensCommand: a token that the command signs is taken until its secret ends.
func TestTokensCommand(t *testing.T) {
	dir := t.TempDir()
	store, err := control.Open(t.Context(), filepath.Join(dir, controlFile))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr, exit := runProgram(t, append(args, "--data-dir", dir, "--site", "shop")...)
		if exit != exitDone {
			t.Fatalf("%v: exit %d: %s", args, exit, stderr)
		}
		return strings.TrimSpace(stdout)
	}
	if _, stderr, exit := runProgram(t, "tokens", "sign", "ada", "--data-dir", dir); exit != exitFailed || !strings.Contains(stderr, "tokens rotate") {
		t.Errorf("without a secret: exit %d: %s", exit, stderr)
	}
	secret := run("tokens", "rotate")
	token := run("tokens", "sign", "ada")
	if c, err := usertoken.Verify([]string{secret}, "shop", token, time.Now()); err != nil || c.User != "ada" {
		t.Errorf("%s is %+v (%v)", token, c, err)
	}
	second := run("tokens", "rotate")
	if _, err := usertoken.Verify([]string{second}, "shop", run("tokens", "sign", "ada"), time.Now()); err != nil {
		t.Errorf("the newest secret does not sign: %v", err)
	}
	listed, err := store.SigningSecrets(t.Context(), "shop")
	if err != nil || len(listed) != 2 {
		t.Fatalf("listed %+v (%v)", listed, err)
	}
	list := run("tokens", "list")
	if !strings.Contains(list, listed[0].ID) || strings.Contains(list, secret) {
		t.Errorf("listed\n%s", list)
	}
	run("tokens", "end", listed[1].ID)
	if _, err := usertoken.Verify([]string{secret}, "shop", run("tokens", "sign", "ada"), time.Now()); err != nil {
		t.Errorf("the former secret does not sign during its overlap: %v", err)
	}
}
