package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

// bootstrapKeys is a file of keys in the data directory: keys.json for the default site, demo-keys.json for the demo. It
// is a copy for the operator's first steps; only hashes are ever checked, so it may be deleted.
type bootstrapKeys struct {
	Site      string `json:"site"`
	WriteKey  string `json:"write_key"`
	SecretKey string `json:"secret_key"`
}

const (
	demoSite     = "demo"
	keysFile     = "keys.json"
	demoKeysFile = "demo-keys.json"
)

// ensureKeys makes the first keys where one process is the whole installation. Shared ones have their operator make them:
// a file with the keys in clear would lie on whichever machine came first.
func (s *system) ensureKeys(ctx context.Context) error {
	if !s.cfg.cluster() {
		return s.ensureDefaultKeys(ctx)
	}
	if s.options.roles&(roleTracker|roleServing) == 0 {
		return nil
	}
	existing, err := s.control.Keys(ctx, "")
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	if len(existing) == 0 {
		s.log.Warn("there is no API key yet, so every request will be refused: make a public key with `millrace keys create` " +
			"and a secret one with `millrace keys create --secret`")
	}
	return nil
}

// ensureDefaultKeys makes the default site's first two keys, once in the life of a data directory.
func (s *storage) ensureDefaultKeys(ctx context.Context) error {
	existing, err := s.control.Keys(ctx, event.DefaultSite)
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	if len(existing) > 0 {
		return nil
	}
	_, err = s.createKeys(ctx, event.DefaultSite, nil, keysFile)
	return err
}

// ensureDemoKeys returns the demo shop's keys, which the shop's pages need in clear. Other origins than last time (another
// port) get new keys, and the old ones are revoked.
func (s *storage) ensureDemoKeys(ctx context.Context, origins []string) (bootstrapKeys, error) {
	var keys bootstrapKeys
	b, err := os.ReadFile(s.cfg.path(demoKeysFile))
	if err == nil {
		err = json.Unmarshal(b, &keys)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return keys, fmt.Errorf("read %s: %w", demoKeysFile, err)
	}
	if err == nil {
		known, err := s.control.Authenticate(ctx, keys.WriteKey)
		if err == nil && allows(known, origins) {
			return keys, nil
		}
		if err != nil && !errors.Is(err, control.ErrUnknownKey) {
			return keys, fmt.Errorf("check demo key: %w", err)
		}
	}
	old, err := s.control.Keys(ctx, demoSite)
	if err != nil {
		return keys, fmt.Errorf("list demo keys: %w", err)
	}
	for _, key := range old {
		if key.RevokedAt.IsZero() {
			if err := s.control.RevokeKey(ctx, demoSite, key.ID); err != nil {
				return keys, fmt.Errorf("revoke demo key: %w", err)
			}
		}
	}
	return s.createKeys(ctx, demoSite, origins, demoKeysFile)
}

func allows(key control.Key, origins []string) bool {
	for _, origin := range origins {
		if !key.AllowsReads(origin) {
			return false
		}
	}
	return true
}

func (s *storage) createKeys(ctx context.Context, site string, origins []string, file string) (bootstrapKeys, error) {
	keys := bootstrapKeys{Site: site}
	for _, k := range []struct {
		kind    control.KeyKind
		origins []string
		into    *string
	}{{control.KeyWrite, origins, &keys.WriteKey}, {control.KeySecret, nil, &keys.SecretKey}} {
		_, secret, err := s.control.CreateKey(ctx, control.NewKey{Site: site, Kind: k.kind, Origins: k.origins, Label: "first start"})
		if err != nil {
			return keys, fmt.Errorf("create %s key of site %s: %w", k.kind, site, err)
		}
		*k.into = secret
	}
	return keys, writePrivateJSON(s.cfg.path(file), keys)
}
