package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Freeze makes the state as it is now a directory of files that nobody changes any more, and returns its position. The
// directory must not exist; it is best on the file system of the state, where tables are linked and not copied. The owner
// calls it between two batches.
func (db *DB) Freeze(dir string) (Position, error) {
	p, _, err := db.Position()
	if err != nil {
		return p, err
	}
	// What is in memory becomes a table first: tables never change, so the next freeze has it for nothing, while the log
	// would have to be copied each time.
	if err := db.db.Flush(); err != nil {
		return p, fmt.Errorf("freeze state: %w", err)
	}
	if err := db.db.Checkpoint(dir); err != nil {
		return p, fmt.Errorf("freeze state: %w", joinRemove(err, dir))
	}
	// The copied log is a reused file full of old records. All that it can hold of now is an outbox that was dropped
	// meanwhile: without it those rows are published once more.
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, path := range logs {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return p, fmt.Errorf("freeze state: %w", joinRemove(err, dir))
	}
	return p, nil
}

// joinRemove removes what a failed step has left; that it could not is part of the failure.
func joinRemove(err error, dir string) error {
	if removeErr := os.RemoveAll(dir); removeErr != nil {
		return fmt.Errorf("%w; %w", err, removeErr)
	}
	return err
}
