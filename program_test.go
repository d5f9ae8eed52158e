package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// runMainEnv turns the test binary into the program: the tests start, kill and restart the real thing without a second
// build, and the program's own child processes inherit it.
const runMainEnv = "MILLRACE_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMainEnv) == "1" {
		main()
		return
	}
	// What tests start is the program, also where a command in this process starts it.
	if err := os.Setenv(runMainEnv, "1"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// startLimit bounds how long the program may take to say ready, and stopLimit to drain; both far above what a slow
// machine needs, so that only a hang meets them.
const (
	startLimit = 2 * time.Minute
	stopLimit  = 2 * time.Minute
)

func programCommand(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, os.Args[0], args...)
}

// runProgram runs one command of the program to its end.
func runProgram(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	cmd := programCommand(t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		t.Fatalf("run %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// runHere runs one command of the program in this process: the same, but for what only a process of its own can do.
func runHere(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	err := Run(t.Context(), args, &out, &errs)
	exit = exitCode(&errs, err)
	return out.String(), errs.String(), exit
}

// program is a running `millrace up`, or a role.
type program struct {
	cmd    *exec.Cmd
	url    string // public listener
	dir    string
	stdout *transcript
	stderr *transcript
	ready  chan string // yields the address once
	done   chan error
}

// transcript keeps what a process printed.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *transcript) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.WriteString(line + "\n")
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startProgram starts `up` on dir and free ports, waits until it is ready, and stops it when the test ends.
func startProgram(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	return startCommand(t, dir, append([]string{"up", "--listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0"}, args...)...)
}

// startCommand starts a command that runs until it is stopped, and waits until it is ready.
func startCommand(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := launchCommand(t, dir, append(args, "--admin-listen", "127.0.0.1:0")...)
	p.awaitReady(t)
	return p
}

// launchCommand starts a command and does not wait for anything.
func launchCommand(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := &program{cmd: programCommand(context.Background(), append(args, "--data-dir", dir)...), dir: dir, stdout: &transcript{}, stderr: &transcript{},
		ready: make(chan string, 1), done: make(chan error, 1)}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start: %v", err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { follow(stdout, p.stdout, p.ready) })
	readers.Go(func() { follow(stderr, p.stderr, nil) })
	go func() { readers.Wait(); p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", p.stdout, tail(p.stderr.String()))
		}
	})
	return p
}

// awaitReady waits until the program has said ready, and where it is.
func (p *program) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case p.url = <-p.ready:
	case err := <-p.done:
		p.done <- err
		t.Fatalf("%s ended before it was ready: %v", p.cmd.Args[1], err)
	case <-time.After(startLimit):
		t.Fatalf("%s is not ready after %s", p.cmd.Args[1], startLimit)
	}
}

func follow(r io.Reader, into *transcript, ready chan<- string) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		into.add(lines.Text())
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok && ready != nil {
			ready <- url
		}
	}
}

// tail keeps a failed test's log readable.
func tail(s string) string {
	const most = 8000
	return s[max(0, len(s)-most):]
}

// kill is kill -9; a process that has ended already is left alone.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	err := <-p.done
	p.done <- err
}

// stop asks the program to drain and expects exit code 0.
func (p *program) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("signal: %v", err)
	}
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			t.Fatalf("%s ended with %v\nstderr:\n%s", p.cmd.Args[1], err, tail(p.stderr.String()))
		}
	case <-time.After(stopLimit):
		t.Fatalf("%s did not stop within %s\nstderr:\n%s", p.cmd.Args[1], stopLimit, tail(p.stderr.String()))
	}
}

// siteKeys is keys.json of the data directory.
type siteKeys struct {
	Site      string `json:"site"`
	WriteKey  string `json:"write_key"`
	SecretKey string `json:"secret_key"`
}

func (p *program) keys(t *testing.T) siteKeys {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys siteKeys
	if err := json.Unmarshal(b, &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// call sends JSON (a string is sent as it is) with a secret key and decodes the answer into out when the status is 2xx.
func (p *program) call(ctx context.Context, method, path, key string, body, out any) (status int, answer string, err error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			return 0, "", err
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, reader)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("X-Millrace-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	if out != nil && resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(b, out); err != nil {
			return 0, "", fmt.Errorf("decode %s: %w", b, err)
		}
	}
	return resp.StatusCode, string(b), nil
}
