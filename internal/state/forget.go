package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/objstore"
)

// Forget deletes the checkpoints that are the outcome of a rebuild before a generation, and every file that only those named,
// however young: somebody was erased from the later ones. An upload that is under way beside it may lose files that it has not
// named yet; whoever restores such a checkpoint passes over it.
func (c *Checkpoints) Forget(ctx context.Context, generation int64) error {
	infos, err := c.manifests(ctx)
	if err != nil {
		return fmt.Errorf("forget checkpoints: %w", err)
	}
	named := map[string]bool{}
	for _, info := range infos {
		m, err := c.read(ctx, info.Key)
		switch {
		case errors.Is(err, objstore.ErrNotFound):
			continue
		case err != nil && !errors.Is(err, ErrCorrupt):
			return fmt.Errorf("forget checkpoints: %w", err)
		case err != nil || m.Generation < generation:
			if err := c.bucket.Delete(ctx, info.Key); err != nil {
				return fmt.Errorf("forget checkpoints: %w", err)
			}
			continue
		}
		for _, f := range m.Files {
			named[c.prefix+filesSegment+f.object()] = true
		}
	}
	return remove(ctx, c.bucket, c.prefix+filesSegment, func(info objstore.Info) bool { return !named[info.Key] })
}

// ForgetEpochs deletes the checkpoints of all partitions that follow the partitioning of an epoch before the given one, however
// young.
func ForgetEpochs(ctx context.Context, b objstore.Bucket, before int64) error {
	return remove(ctx, b, bucketRoot, func(info objstore.Info) bool {
		segment, _, _ := strings.Cut(info.Key[len(bucketRoot):], "/")
		epoch, err := strconv.ParseInt(segment, 10, 64)
		return err == nil && epoch < before
	})
}

// Manifests are those of all checkpoints that can be read, the oldest first.
func (c *Checkpoints) Manifests(ctx context.Context) (all []Manifest, err error) {
	infos, err := c.manifests(ctx)
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	for _, info := range infos {
		m, err := c.read(ctx, info.Key)
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, ErrCorrupt) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list checkpoints: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}
