package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// lockName and pidName are the files in the data directory that say who owns it. The operating system drops the lock
// when its owner dies, however it dies; the pid is only for the message, in a file of its own because a locked file
// cannot be read on every system.
const (
	lockName = "broker.lock"
	pidName  = "broker.pid"
)

// LockedError says that another process owns the data directory.
type LockedError struct {
	Dir string
	PID int // 0 when unknown
}

func (e *LockedError) Error() string {
	owner := "another process"
	if e.PID != 0 {
		owner = fmt.Sprintf("the process with pid %d", e.PID)
	}
	return fmt.Sprintf("the data directory %s is in use by %s: stop it, or choose another directory with --data-dir", e.Dir, owner)
}

// lockDir takes the directory or fails with *LockedError. unlock gives it back.
func lockDir(dir string) (unlock func() error, err error) {
	lock := flock.New(filepath.Join(dir, lockName))
	pidFile := filepath.Join(dir, pidName)
	switch ok, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock data directory: %w", err)
	case !ok:
		return nil, &LockedError{Dir: dir, PID: readPID(pidFile)}
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("write pid: %w", err), lock.Unlock())
	}
	return func() error {
		if err := errors.Join(os.Remove(pidFile), lock.Unlock()); err != nil {
			return fmt.Errorf("unlock data directory: %w", err)
		}
		return nil
	}, nil
}

// readPID is the pid that the owner wrote, or 0: the message works without it.
func readPID(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}
