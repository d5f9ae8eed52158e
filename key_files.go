package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/seal"
)

const (
	// erasureKeyFile holds the key of the ledger of erased people where all roles are one process. Whoever loses it cannot filter
	// them any more, and the start says so.
	erasureKeyFile = "erasure.key"
	// sealKeyFile holds the key that signing secrets are sealed with. Whoever loses it makes new ones.
	sealKeyFile = "seal.key"
	// rejectedDir is where imports put the rows that they could not read.
	rejectedDir = "rejected"
)

// erasureKey is the configured key, or that of the data directory, which is made with the first start. Roles on several machines
// have none unless it is configured.
func erasureKey(cfg *Config) (*erasure.Key, error) {
	return installationKey(cfg, cfg.Erasure.Key, erasureKeyFile, erasure.NewKey, erasure.ParseKey)
}

// sealKey is likewise what secrets in the control store are sealed with.
func sealKey(cfg *Config) (*seal.Key, error) {
	return installationKey(cfg, cfg.Access.SealKey, sealKeyFile, seal.NewKey, seal.ParseKey)
}

func installationKey[K fmt.Stringer](cfg *Config, configured, file string, fresh func() K, parse func(string) (K, error)) (*K, error) {
	if configured != "" {
		key, err := parse(configured)
		return &key, err
	}
	if cfg.cluster() {
		return nil, nil //nolint:nilnil // no key is one of the answers
	}
	path := cfg.path(file)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyFile(path, fresh()); err == nil {
			text, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	key, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &key, nil
}

// makeKeyFile writes a new key, whole or not at all, unless another process has just done so. CreateTemp's mode keeps it from other
// users of the machine.
func makeKeyFile(path string, key fmt.Stringer) error {
	fresh, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fmt.Fprintln(fresh, key)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
