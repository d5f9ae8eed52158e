// Package postgrestest starts a real PostgreSQL for suites, from the binaries of the distribution.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/sqldb"
)

// startLimit bounds how long PostgreSQL may take to answer on a busy machine; alone it takes half a second.
const startLimit = time.Minute

// Server is a running PostgreSQL with nothing in it.
type Server struct {
	dir  string // of its socket
	next atomic.Int64
}

// Start starts a PostgreSQL that only a Unix socket leads to, with its data in a temporary directory, and ends it with the
// test. Without the binaries it skips the test, or fails it where CI=true, since there they are installed.
func Start(tb testing.TB) *Server {
	tb.Helper()
	bin := binaries()
	if bin == "" {
		missing := tb.Skipf
		if os.Getenv("CI") == "true" {
			missing = tb.Fatalf
		}
		missing("no PostgreSQL: install it (Debian: postgresql)")
	}
	dir, as := privateDir(tb)
	data := filepath.Join(dir, "data")
	run := func(ctx context.Context, name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	initdb := run(tb.Context(), "initdb", "-D", data, "-U", "millrace", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		tb.Fatalf("initdb: %v\n%s", err, out)
	}
	var log bytes.Buffer
	// It ends with the clean-up below, after whatever the test still wants from it in clean-ups of its own.
	server := run(context.WithoutCancel(tb.Context()), "postgres", "-D", data, "-k", dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=16MB")
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		tb.Fatalf("start PostgreSQL: %v", err)
	}
	tb.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT) // at once; its children go with it, and its data is thrown away
		_ = server.Wait()
		if tb.Failed() {
			tb.Logf("PostgreSQL's output:\n%s", log.String())
		}
	})
	s := &Server{dir: dir}
	s.await(tb)
	return s
}

// Database creates an empty database and returns its URL.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("t%d", s.next.Add(1))
	db, err := sqldb.Open(tb.Context(), s.url("postgres"))
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatal(err)
	}
	return s.url(name)
}

func (s *Server) url(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("millrace"), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}}.Encode()}).String()
}

// await returns when the server answers.
func (s *Server) await(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		db, err := sqldb.Open(ctx, s.url("postgres"))
		if err == nil {
			db.Close()
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("wait for PostgreSQL: %v", err)
		case <-tick.C:
		}
	}
}

// binaries finds the directory of initdb and postgres: Debian keeps them out of the PATH, one directory per version.
func binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is sound
	if len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

// privateDir makes the server's directory, and says as whom the server runs: PostgreSQL refuses to run as root, so root
// becomes the distribution's user for it, or nobody. The path is short, because a socket's path may have 107 bytes.
func privateDir(tb testing.TB) (dir string, as *syscall.Credential) {
	tb.Helper()
	dir, err := os.MkdirTemp("", "millrace-pg-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			tb.Error(err)
		}
	})
	if os.Geteuid() != 0 {
		return dir, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr, os.Chown(dir, int(uid), int(gid))); err != nil {
			tb.Fatal(err)
		}
		return dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	tb.Fatal("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
	return "", nil
}
