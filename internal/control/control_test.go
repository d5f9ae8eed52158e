package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/sqldb/postgrestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openAt(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	testStore(t, func(t *testing.T) *Store {
		// t is the subtest's in every case: both stores of one subtest share its directory's parent.
		dir := filepath.Dir(t.TempDir())
		return openAt(t, filepath.Join(dir, "a control?store#1.db"))
	})
}

func TestPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	places := map[string]string{} // one database per subtest, as TestSQLite has one directory
	testStore(t, func(t *testing.T) *Store {
		if places[t.Name()] == "" {
			places[t.Name()] = server.Database(t)
		}
		return openAt(t, places[t.Name()])
	})
	t.Run("concurrent open", func(t *testing.T) { testConcurrentOpen(t, server.Database(t)) })
	t.Run("newer schema", func(t *testing.T) { testNewerSchema(t, server.Database(t)) })
}

func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path)
	if _, _, err := s.CreateKey(t.Context(), NewKey{Site: "shop", Kind: KeySecret}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(f), info.Mode())
		}
	}
}

// The file must not hold what opens the door.
func TestSecretsAreNotStored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.db")
	s := openAt(t, path)
	_, secret, err := s.CreateKey(t.Context(), NewKey{Site: "shop", Kind: KeySecret, Label: "label-is-found"})
	if err != nil {
		t.Fatal(err)
	}
	var stored strings.Builder
	for _, f := range []string{path, path + "-wal"} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stored.Write(b)
	}
	if !strings.Contains(stored.String(), "label-is-found") {
		t.Fatal("the search does not find what is stored")
	}
	if strings.Contains(stored.String(), secret[8:]) {
		t.Fatal("the secret is in the file")
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	testNewerSchema(t, filepath.Join(t.TempDir(), "control.db"))
}

func testNewerSchema(t *testing.T, path string) {
	s := openAt(t, path)
	if _, err := s.db.ExecContext(t.Context(), `INSERT INTO schema_version (version) VALUES (99)`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); !errors.Is(err, ErrNewerSchema) {
		t.Fatalf("a newer schema gave %v", err)
	}
}

// A process that opens the store twice keeps the locks of the first: without them another process may write beside it.
func TestSecondOpenKeepsTheLocks(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skipf("this system does not list its file locks: %v", err)
	}
	path := filepath.Join(t.TempDir(), "control.db")
	first := openAt(t, path)
	if _, _, err := first.CreateKey(t.Context(), NewKey{Site: "shop", Kind: KeySecret}); err != nil {
		t.Fatal(err)
	}
	before := locksOn(t, path)
	if before == 0 {
		t.Fatal("an open store holds no lock")
	}
	openAt(t, path)
	if after := locksOn(t, path); after < before {
		t.Errorf("opening the store again left %d of %d locks", after, before)
	}
}

// locksOn counts the POSIX locks on a file.
func locksOn(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	inode := fmt.Sprintf(":%d ", info.Sys().(*syscall.Stat_t).Ino)
	n := 0
	for line := range strings.Lines(string(list)) {
		if strings.Contains(line, "POSIX") && strings.Contains(line, inode) {
			n++
		}
	}
	return n
}

func TestConcurrentOpen(t *testing.T) {
	testConcurrentOpen(t, filepath.Join(t.TempDir(), "control.db"))
}

// Several processes start at once on an empty store: one migrates, all open.
func testConcurrentOpen(t *testing.T, path string) {
	const processes = 6
	errs := make(chan error, processes)
	for range processes {
		go func() {
			s, err := Open(t.Context(), path)
			if err == nil {
				err = s.Close()
			}
			errs <- err
		}()
	}
	for range processes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOrigins(t *testing.T) {
	listed := Key{Kind: KeyWrite, Origins: []string{"https://shop.example"}}
	open := Key{Kind: KeyWrite}
	secret := Key{Kind: KeySecret}
	for _, c := range []struct {
		name          string
		key           Key
		origin        string
		events, reads bool
	}{
		{"listed", listed, "https://shop.example", true, true},
		{"default port", listed, "https://SHOP.example:443", true, true},
		{"other scheme", listed, "http://shop.example", false, false},
		{"prefix of a longer host", listed, "https://shop.example.evil.test", false, false},
		{"opaque origin", listed, "null", false, false},
		{"no browser", listed, "", true, false},
		{"no list", open, "https://any.example", true, false},
		{"secret key", secret, "", true, true},
	} {
		if got := c.key.AllowsEvents(c.origin); got != c.events {
			t.Errorf("%s: events %v", c.name, got)
		}
		if got := c.key.AllowsReads(c.origin); got != c.reads {
			t.Errorf("%s: reads %v", c.name, got)
		}
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "control.db"))
	_, secret, err := s.CreateKey(b.Context(), NewKey{Site: "shop", Kind: KeyWrite})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
