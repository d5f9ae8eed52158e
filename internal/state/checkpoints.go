package state

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

// The layout of checkpoints in a bucket (FORMAT.md). A manifest is put after the files that it names.
const (
	bucketRoot     = "state/"
	filesSegment   = "files/"
	manifestSuffix = ".json"
	manifestName   = "%010d-%019d" + manifestSuffix // position; sorted by name the newest is the last
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checkpoints are the checkpoints of one partition in a bucket, where another process finds them. Tables of a state never
// change, so a checkpoint uploads only those that the bucket has not: each is a delta of the one before. A state is a
// function of the log, so it does not matter which process made a checkpoint, or whether it still owned the partition.
type Checkpoints struct {
	bucket objstore.Bucket
	prefix string
	sums   map[sumKey]CRC // of tables read before
}

// sumKey tells tables of one directory apart: a name may come back with another content in a state that was made again.
type sumKey struct {
	name     string
	size     int64
	modified time.Time
}

// NewCheckpoints returns the checkpoints of a partition under a partitioning, that of an epoch of its topic.
func NewCheckpoints(b objstore.Bucket, epoch int64, partition int32) *Checkpoints {
	return &Checkpoints{bucket: b, prefix: fmt.Sprintf("%s%d/%d/", bucketRoot, epoch, partition), sums: map[sumKey]CRC{}}
}

// Put uploads the frozen state in dir and returns how many bytes the bucket had not yet. m says what the state is; its
// files are filled in. One goroutine at a time may put.
func (c *Checkpoints) Put(ctx context.Context, dir string, m Manifest) (uploaded int64, err error) {
	m.Format = ManifestFormat
	if m.Files, err = c.files(dir); err != nil {
		return 0, fmt.Errorf("put checkpoint: %w", err)
	}
	there := map[string]bool{}
	for info, err := range c.bucket.List(ctx, c.prefix+filesSegment) {
		if err != nil {
			return 0, fmt.Errorf("put checkpoint: %w", err)
		}
		there[info.Key] = true
	}
	for _, f := range m.Files {
		key := c.prefix + filesSegment + f.object()
		if there[key] {
			continue
		}
		if err := c.putFile(ctx, key, filepath.Join(dir, f.Name), f.Size); err != nil {
			return uploaded, fmt.Errorf("put checkpoint: %w", err)
		}
		uploaded += f.Size
	}
	text, err := json.Marshal(m)
	if err != nil {
		return uploaded, fmt.Errorf("put checkpoint: %w", err)
	}
	if err := c.putManifest(ctx, m, text); err != nil {
		return uploaded, fmt.Errorf("put checkpoint: %w", err)
	}
	return uploaded, nil
}

// putManifest makes a checkpoint known. Somebody's of the same position is as good, unless it is damaged, of an earlier generation or
// of another version: a state that was made again where the log had no news stands where the one before stood.
func (c *Checkpoints) putManifest(ctx context.Context, m Manifest, text []byte) error {
	key := c.manifestKey(m.Position)
	err := c.bucket.PutIfAbsent(ctx, key, bytes.NewReader(text), int64(len(text)))
	if !errors.Is(err, objstore.ErrExists) {
		return err
	}
	have, err := c.read(ctx, key)
	switch {
	case err == nil && (have.Generation > m.Generation || have.Generation == m.Generation && have.Version == m.Version):
		return nil
	case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, objstore.ErrNotFound):
		return err
	}
	if err := c.bucket.Delete(ctx, key); err != nil {
		return err
	}
	err = c.bucket.PutIfAbsent(ctx, key, bytes.NewReader(text), int64(len(text)))
	if errors.Is(err, objstore.ErrExists) {
		return nil // another owner did so at the same time
	}
	return err
}

func (c *Checkpoints) manifestKey(p Position) string {
	return c.prefix + fmt.Sprintf(manifestName, p.Epoch, p.Offset)
}

func (c *Checkpoints) putFile(ctx context.Context, key, path string, size int64) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	err = c.bucket.PutIfAbsent(ctx, key, f, size)
	if errors.Is(err, objstore.ErrExists) {
		return nil
	}
	return err
}

// files describes the files of a frozen state. Checksums of tables are kept for the next checkpoint.
func (c *Checkpoints) files(dir string) ([]FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := make([]FileInfo, 0, len(entries))
	sums := make(map[sumKey]CRC, len(entries))
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, err
		}
		key := sumKey{entry.Name(), info.Size(), info.ModTime()}
		sum, known := c.sums[key]
		if !known {
			if sum, err = sumFile(filepath.Join(dir, entry.Name())); err != nil {
				return nil, err
			}
		}
		if strings.HasSuffix(entry.Name(), ".sst") {
			sums[key] = sum
		}
		files = append(files, FileInfo{Name: entry.Name(), Size: info.Size(), CRC: sum})
	}
	c.sums = sums
	return files, nil
}

func sumFile(path string) (CRC, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	sum := crc32.New(castagnoli)
	_, err = io.Copy(sum, f)
	return CRC(sum.Sum32()), errors.Join(err, f.Close())
}

// manifests lists the keys of the manifests, oldest first.
func (c *Checkpoints) manifests(ctx context.Context) (infos []objstore.Info, err error) {
	for info, err := range c.bucket.List(ctx, c.prefix) {
		if err != nil {
			return nil, err
		}
		if name := info.Key[len(c.prefix):]; !strings.Contains(name, "/") && strings.HasSuffix(name, manifestSuffix) {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

func (c *Checkpoints) read(ctx context.Context, key string) (Manifest, error) {
	r, err := c.bucket.Get(ctx, key, 0, MaxManifestBytes+1)
	if err != nil {
		return Manifest{}, err
	}
	text, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return Manifest{}, err
	}
	m, err := ParseManifest(text)
	if err == nil && key != c.manifestKey(m.Position) {
		err = fmt.Errorf("%w: the manifest is that of position (%d,%d)", ErrCorrupt, m.Position.Epoch, m.Position.Offset)
	}
	return m, err
}

// Newest is the manifest of the newest checkpoint that has a sound one, and when that was put, whoever put it; zeros where there is
// none. The checkpoint may be damaged.
func (c *Checkpoints) Newest(ctx context.Context) (m Manifest, put time.Time, err error) {
	infos, err := c.manifests(ctx)
	if err != nil {
		return m, put, fmt.Errorf("look for checkpoints: %w", err)
	}
	for _, info := range slices.Backward(infos) {
		m, err := c.read(ctx, info.Key)
		switch {
		case err == nil:
			return m, info.Modified, nil
		case !errors.Is(err, ErrCorrupt) && !errors.Is(err, objstore.ErrNotFound):
			return m, put, fmt.Errorf("look for checkpoints: %w", err)
		}
	}
	return Manifest{}, put, nil
}

// Restored is what Restore found.
type Restored struct {
	Manifest Manifest
	Found    bool
	Skipped  error // what is wrong with the checkpoints that were passed over
}

// Restore makes dir, which must not exist, the newest checkpoint that is wanted and sound. A checkpoint that is damaged, or
// of which a file is missing, is passed over. Found is false and there is no dir when none is left.
func (c *Checkpoints) Restore(ctx context.Context, dir string, wanted func(Manifest) bool) (r Restored, err error) {
	infos, err := c.manifests(ctx)
	if err != nil {
		return r, fmt.Errorf("restore state: %w", err)
	}
	for _, info := range slices.Backward(infos) {
		m, err := c.read(ctx, info.Key)
		if err == nil && !wanted(m) {
			continue
		}
		if err == nil {
			err = c.download(ctx, dir, m)
		}
		if err == nil {
			r.Manifest, r.Found = m, true
			return r, nil
		}
		if ctx.Err() != nil {
			return r, fmt.Errorf("restore state: %w", ctx.Err())
		}
		r.Skipped = errors.Join(r.Skipped, fmt.Errorf("checkpoint %s: %w", info.Key, err))
	}
	return r, nil
}

// download makes dir the files of a checkpoint, on disk, or removes it again.
func (c *Checkpoints) download(ctx context.Context, dir string, m Manifest) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), dirMode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := c.getFile(ctx, filepath.Join(dir, f.Name), f); err != nil {
			return joinRemove(fmt.Errorf("file %s: %w", f.object(), err), dir)
		}
	}
	d, err := os.Open(dir)
	if err != nil {
		return joinRemove(err, dir)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return joinRemove(err, dir)
	}
	return nil
}

func (c *Checkpoints) getFile(ctx context.Context, path string, want FileInfo) (err error) {
	r, err := c.bucket.Get(ctx, c.prefix+filesSegment+want.object(), 0, want.Size+1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := crc32.New(castagnoli)
	n, err := io.Copy(io.MultiWriter(f, sum), r)
	if err != nil {
		return err
	}
	if n != want.Size || CRC(sum.Sum32()) != want.CRC {
		return fmt.Errorf("%w: %d bytes with checksum %08x, the manifest says %d with %08x", ErrCorrupt, n, sum.Sum32(), want.Size, uint32(want.CRC))
	}
	return f.Sync()
}
