package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/erasure"
)

const (
	// erasureKeyFile holds the key of the ledger of erased people where all roles are one process. Whoever loses it cannot filter
	// them any more, and the start says so.
	erasureKeyFile = "erasure.key"
	// rejectedDir is where imports put the rows that they could not read.
	rejectedDir = "rejected"
)

// erasureKey is the configured key, or that of the data directory, which is made with the first start. Roles on several machines
// have none unless it is configured.
func erasureKey(cfg *Config) (*erasure.Key, error) {
	if cfg.Erasure.Key != "" {
		key, err := erasure.ParseKey(cfg.Erasure.Key)
		return &key, err
	}
	if cfg.cluster() {
		return nil, nil //nolint:nilnil // no key is one of the answers
	}
	path := cfg.path(erasureKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeErasureKey(path); err == nil {
			text, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read erasure key: %w", err)
	}
	key, err := erasure.ParseKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("read erasure key from %s: %w", path, err)
	}
	return &key, nil
}

// makeErasureKey writes a new key, whole or not at all, unless another process has just done so.
func makeErasureKey(path string) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fmt.Fprintln(fresh, erasure.NewKey())
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
