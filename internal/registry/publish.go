package registry

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// Artifact is a fitted model under the name that it serves by.
type Artifact struct {
	Name  string
	Model model.Artifact
}

// writeBuffer is the size of the buffer in front of an artifact file; encoders write small pieces.
const writeBuffer = 256 << 10

// Publish stores the artifacts as a new version and returns the manifest completed with the version's name and files.
// The version appears under its name whole and durable, or not at all; it is not in force until Promote. m.CreatedAt and
// m.Site must be set, and one artifact must be the vocabulary. Afterwards the oldest versions are removed.
func (r *Registry) Publish(ctx context.Context, m Manifest, artifacts []Artifact) (Manifest, error) {
	if err := event.CheckSite(m.Site); err != nil {
		return Manifest{}, fmt.Errorf("publish model: %w", err)
	}
	if m.CreatedAt.IsZero() {
		return Manifest{}, errors.New("publish model: manifest has no creation time")
	}
	if !slices.ContainsFunc(artifacts, func(a Artifact) bool { return a.Model.Kind() == model.VocabularyKind }) {
		return Manifest{}, errors.New("publish model: no artifact is a vocabulary")
	}
	siteDir := filepath.Join(r.dir, m.Site)
	if err := os.MkdirAll(siteDir, dirMode); err != nil {
		return Manifest{}, fmt.Errorf("publish model: %w", err)
	}
	temporary, err := os.MkdirTemp(siteDir, temporaryStart)
	if err != nil {
		return Manifest{}, fmt.Errorf("publish model: %w", err)
	}
	m, err = publishAt(ctx, siteDir, temporary, m, artifacts)
	if err != nil {
		return Manifest{}, errors.Join(fmt.Errorf("publish model: %w", err), os.RemoveAll(temporary))
	}
	if err := r.prune(ctx, m.Site, m.Version); err != nil {
		return Manifest{}, fmt.Errorf("remove old models: %w", err)
	}
	return m, nil
}

// publishAt fills the temporary directory and renames it to its final name.
func publishAt(ctx context.Context, siteDir, temporary string, m Manifest, artifacts []Artifact) (Manifest, error) {
	m.Files = make([]File, 0, len(artifacts))
	content := sha256.New()
	for _, a := range artifacts {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		f, err := writeArtifact(temporary, a)
		if err != nil {
			return m, err
		}
		m.Files = append(m.Files, f)
		content.Write([]byte(f.Name + f.SHA256))
	}
	// The digest tells apart what is published in the same millisecond.
	m.CreatedAt = m.CreatedAt.UTC()
	m.Version = m.CreatedAt.Format(versionTime) + "-" + hex.EncodeToString(content.Sum(nil))[:8]
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, fmt.Errorf("encode manifest: %w", err)
	}
	if err := writeFile(filepath.Join(temporary, manifestName), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	}); err != nil {
		return m, err
	}
	if err := syncDir(temporary); err != nil {
		return m, err
	}
	if err := os.Rename(temporary, filepath.Join(siteDir, m.Version)); err != nil {
		return m, fmt.Errorf("name version %s: %w", m.Version, err)
	}
	return m, syncDir(siteDir)
}

func writeArtifact(dir string, a Artifact) (File, error) {
	f := File{Model: a.Name, Kind: a.Model.Kind(), Name: a.Name + ".bin"}
	if !versionPattern.MatchString(f.Name) {
		return f, fmt.Errorf("model name %q does not make a file name", a.Name)
	}
	digest := sha256.New()
	err := writeFile(filepath.Join(dir, f.Name), func(w io.Writer) error {
		counted := &countingWriter{w: io.MultiWriter(w, digest)}
		err := a.Model.Encode(counted)
		f.Bytes = counted.n
		return err
	})
	f.SHA256 = hex.EncodeToString(digest.Sum(nil))
	return f, err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// writeFile creates a file, lets fill write it through a buffer and makes it durable.
func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, writeBuffer)
	err = fill(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// replaceFile puts content under path so that a reader, and a machine after a power cut, sees the old or the new.
func replaceFile(path string, content []byte) error {
	temporary, err := os.MkdirTemp(filepath.Dir(path), temporaryStart)
	if err != nil {
		return err
	}
	name := filepath.Join(temporary, filepath.Base(path))
	err = writeFile(name, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	if err == nil {
		err = os.Rename(name, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return errors.Join(err, os.RemoveAll(temporary))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// readBounded reads a small file.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxManifestBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > MaxManifestBytes {
		return nil, &CorruptError{Path: path, Err: fmt.Errorf("it is longer than %d bytes", MaxManifestBytes)}
	}
	return b, nil
}

// prune removes versions beyond KeepVersions, oldest first, and what publishers that died have left. The champion, its
// predecessors and the version just published stay.
func (r *Registry) prune(ctx context.Context, site, published string) error {
	champion, err := r.readAlias(ctx, site)
	if err != nil && !errors.Is(err, ErrNoChampion) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if errors.Is(err, ErrCorrupt) {
		return nil // nobody knows which version is in force: remove none
	}
	protected := append([]string{published, champion.Version}, champion.Predecessors...)
	names, err := r.versions(site)
	if err != nil {
		return err
	}
	for i, name := range names {
		if i < KeepVersions || slices.Contains(protected, name) {
			continue
		}
		if err := removeVersion(filepath.Join(r.dir, site), name); err != nil {
			return err
		}
	}
	return r.removeAbandoned(site)
}

// removeVersion takes the name away first: a version goes as it came, whole, and never looks damaged.
func removeVersion(siteDir, name string) error {
	hidden := filepath.Join(siteDir, temporaryStart+name)
	err := os.Rename(filepath.Join(siteDir, name), hidden)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another process has just removed it
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(hidden)
}

func (r *Registry) removeAbandoned(site string) error {
	entries, err := os.ReadDir(filepath.Join(r.dir, site))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), temporaryStart) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its publisher has just finished
		}
		if err != nil {
			return err
		}
		if time.Since(info.ModTime()) > abandonedAfter {
			if err := os.RemoveAll(filepath.Join(r.dir, site, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
