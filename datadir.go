package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// dataLock is the claim of one process on a data directory. The kernel drops it when the process dies, however it dies.
type dataLock struct{ file *os.File }

// lockDataDir creates dir where needed and claims it, or says which process holds it.
func lockDataDir(dir string) (*dataLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock of data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		holder, _ := os.ReadFile(f.Name())
		return nil, fmt.Errorf("data directory %s is in use by process %s: stop that process, or choose another directory with --data-dir",
			dir, strings.TrimSpace(string(holder)))
	}
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("write lock of data directory: %w", err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return nil, fmt.Errorf("write lock of data directory: %w", err)
	}
	return &dataLock{f}, nil
}

// Close gives the directory free.
func (l *dataLock) Close() error { return l.file.Close() }

// runInfo is <data-dir>/run.json: how commands find the process that owns a data directory.
type runInfo struct {
	PID    int    `json:"pid"`
	Listen string `json:"listen"`
	Kafka  string `json:"kafka"`
	Admin  string `json:"admin"`
	Token  string `json:"admin_token"`
}

const runFile = "run.json"

func newAdminToken() (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make admin token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// writePrivateJSON replaces path by the JSON of v, readable by the owner only and never half written.
func writePrivateJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// runningProcess returns the process that owns dir; ok is false where none runs. The lock decides, not the file: a
// killed process leaves its file behind.
func runningProcess(dir string) (info runInfo, ok bool, err error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return runInfo{}, false, nil
	}
	if err != nil {
		return runInfo{}, false, fmt.Errorf("open lock of data directory: %w", err)
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return runInfo{}, false, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return runInfo{}, false, fmt.Errorf("probe data directory %s: %w", dir, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, runFile))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		return runInfo{}, false, fmt.Errorf("data directory %s is in use by a process that does not say how to reach it (%w): wait until it is ready, or stop it", dir, err)
	}
	return info, true, nil
}
