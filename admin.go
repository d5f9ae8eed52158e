package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/httpserver"
)

// adminStatus is a page for browsers, which send no token: it shows no more than /metrics and the log.
const adminStatus = "/admin/status"

// Paths of the admin listener that commands call on the process that owns their data directory. Each takes the token
// of run.json.
const (
	adminDrain  = "/admin/stream:drain"
	adminVerify = "/admin/features:verify"
	adminItems  = "/admin/items:bulk"
	adminModels = "/admin/models:refresh"
	adminReplay = "/admin/recommendations:replay"

	adminUserLists = "/admin/recommendations:users"

	adminRebuild       = "/admin/features:rebuild"
	adminRebuildStatus = "/admin/features:rebuild-status"
	adminGrow          = "/admin/topics:grow"
	adminGrowStatus    = "/admin/topics:grow-status"
	adminLetters       = "/admin/deadletters:list"
	adminReplayLetters = "/admin/deadletters:replay"
	adminErase         = "/admin/users:erase"
	adminErasure       = "/admin/users:erasure"
	adminVerifyErased  = "/admin/users:verify-erased"
	adminExport        = "/admin/users:export"
)

// adminCallLimit bounds one admin call: verifying or draining a large history takes minutes, never hours.
const adminCallLimit = 2 * time.Hour

// maxAdminAnswerBytes bounds an answer that a command reads into memory.
const maxAdminAnswerBytes = 16 << 20

// requireToken lets a request pass that carries the process's admin token.
func requireToken(token string) httpserver.Middleware {
	want := []byte("Bearer " + token)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
				httpserver.WriteProblem(w, r, httpserver.Problem{
					Type: "admin-token", Title: "Admin token required", Status: http.StatusUnauthorized,
					Hint: "send the admin_token of run.json in the data directory as 'Authorization: Bearer TOKEN'",
				})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// adminClient calls the process that owns a data directory.
type adminClient struct{ info runInfo }

// call posts body to path and decodes the answer into out, which may be nil.
func (c adminClient) call(ctx context.Context, path string, body []byte, out any) error {
	return c.post(ctx, path, body, func(answer io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(answer, maxAdminAnswerBytes))
		if err != nil || out == nil {
			return err
		}
		return json.Unmarshal(text, out)
	})
}

// copy posts body to path and writes the answer to out, however long it is.
func (c adminClient) copy(ctx context.Context, path string, body []byte, out io.Writer) error {
	return c.post(ctx, path, body, func(answer io.Reader) error {
		_, err := io.Copy(out, answer)
		return err
	})
}

// post posts body to path and lets read have the answer, unless that is a problem.
func (c adminClient) post(ctx context.Context, path string, body []byte, read func(answer io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, adminCallLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.info.Admin+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call running process: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.info.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("call running process (pid %d): %w", c.info.PID, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		var p httpserver.Problem
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswerBytes))
		if err == nil && json.Unmarshal(answer, &p) == nil && p.Title != "" {
			return fmt.Errorf("running process answered %s", strings.TrimSpace(p.Title+": "+p.Detail+" "+p.Hint))
		}
		return fmt.Errorf("running process answered %s", resp.Status)
	}
	if err := read(resp.Body); err != nil {
		return fmt.Errorf("read answer of running process: %w", err)
	}
	return nil
}
