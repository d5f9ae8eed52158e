package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

const (
	// keptCheckpoints are kept whatever their age: the newest, and one before it in case that is damaged.
	keptCheckpoints = 2
	// restoreTime is how old a checkpoint is before it is removed: a process that restores it has read it by then, and
	// files without a manifest this old belong to an upload that died.
	restoreTime = time.Hour
)

// Clean removes the checkpoints that nobody needs any more: all but the newest two and those of the last hour, and the
// files that only those named.
func (c *Checkpoints) Clean(ctx context.Context, now time.Time) error {
	infos, err := c.manifests(ctx)
	if err != nil {
		return fmt.Errorf("clean checkpoints: %w", err)
	}
	named := map[string]bool{}
	for i, info := range infos {
		if i < len(infos)-keptCheckpoints && now.Sub(info.Modified) > restoreTime {
			if err := c.bucket.Delete(ctx, info.Key); err != nil {
				return fmt.Errorf("clean checkpoints: %w", err)
			}
			continue
		}
		m, err := c.read(ctx, info.Key)
		if errors.Is(err, ErrCorrupt) || errors.Is(err, objstore.ErrNotFound) {
			continue // nobody can restore it, so its files need no protection
		}
		if err != nil {
			return fmt.Errorf("clean checkpoints: %w", err)
		}
		for _, f := range m.Files {
			named[c.prefix+filesSegment+f.object()] = true
		}
	}
	unnamed := func(info objstore.Info) bool { return !named[info.Key] && now.Sub(info.Modified) > restoreTime }
	return remove(ctx, c.bucket, c.prefix+filesSegment, unnamed)
}

// CleanEpochs removes the checkpoints of all partitions that follow the partitioning of an epoch before the given one.
func CleanEpochs(ctx context.Context, b objstore.Bucket, before int64, now time.Time) error {
	return remove(ctx, b, bucketRoot, func(info objstore.Info) bool {
		segment, _, _ := strings.Cut(info.Key[len(bucketRoot):], "/")
		epoch, err := strconv.ParseInt(segment, 10, 64)
		return err == nil && epoch < before && now.Sub(info.Modified) > restoreTime
	})
}

// remove deletes the objects below a prefix that f condemns.
func remove(ctx context.Context, b objstore.Bucket, prefix string, f func(objstore.Info) bool) error {
	for info, err := range b.List(ctx, prefix) {
		if err == nil && f(info) {
			err = b.Delete(ctx, info.Key)
		}
		if err != nil {
			return fmt.Errorf("clean checkpoints: %w", err)
		}
	}
	return nil
}
