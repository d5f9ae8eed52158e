package registry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/objstore"
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
func (r *Registry) Publish(ctx context.Context, m Manifest, artifacts []Artifact, reports ...Report) (Manifest, error) {
	if err := event.CheckSite(m.Site); err != nil {
		return Manifest{}, fmt.Errorf("publish model: %w", err)
	}
	if m.CreatedAt.IsZero() {
		return Manifest{}, errors.New("publish model: manifest has no creation time")
	}
	if !slices.ContainsFunc(artifacts, func(a Artifact) bool { return a.Model.Kind() == model.VocabularyKind }) {
		return Manifest{}, errors.New("publish model: no artifact is a vocabulary")
	}
	for _, report := range reports {
		m.Reports = append(m.Reports, report.describe())
	}
	m, err := r.publish(ctx, m, artifacts, reports)
	if err != nil {
		return Manifest{}, fmt.Errorf("publish model: %w", err)
	}
	if err := r.prune(ctx, m.Site, m.Version); err != nil {
		return Manifest{}, fmt.Errorf("remove old models: %w", err)
	}
	return m, nil
}

// publish encodes all artifacts before it writes the first object, because the version is named by what they are.
func (r *Registry) publish(ctx context.Context, m Manifest, artifacts []Artifact, reports []Report) (_ Manifest, err error) {
	encoded := make([]*os.File, 0, len(artifacts))
	defer func() {
		for _, f := range encoded {
			err = errors.Join(err, f.Close())
		}
	}()
	m.Files = make([]File, 0, len(artifacts))
	content := sha256.New()
	for _, a := range artifacts {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		f, described, err := encodeArtifact(a)
		if err != nil {
			return m, err
		}
		encoded = append(encoded, f)
		m.Files = append(m.Files, described)
		content.Write([]byte(described.Name + described.SHA256))
	}
	// The digest tells apart what is published in the same millisecond.
	m.CreatedAt = m.CreatedAt.UTC()
	m.Version = m.CreatedAt.Format(versionTime) + "-" + hex.EncodeToString(content.Sum(nil))[:8]
	return m, r.store(ctx, m, encoded, reports)
}

// store writes a version: a marker that it is incomplete, the artifacts, the manifest that completes it. What a publisher
// leaves that ends between them has no manifest, and prune removes it.
func (r *Registry) store(ctx context.Context, m Manifest, encoded []*os.File, reports []Report) error {
	dir := path.Join(m.Site, m.Version)
	if err := r.bucket.PutIfAbsent(ctx, path.Join(dir, incompleteName), strings.NewReader(""), 0); err != nil {
		return err
	}
	for i, f := range m.Files {
		if err := r.bucket.Put(ctx, path.Join(dir, f.Name), encoded[i], f.Bytes); err != nil {
			return err
		}
	}
	for _, report := range reports {
		if err := r.bucket.Put(ctx, path.Join(dir, report.Name), bytes.NewReader(report.Content), int64(len(report.Content))); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	text = append(text, '\n')
	if err := r.bucket.PutIfAbsent(ctx, path.Join(dir, manifestName), bytes.NewReader(text), int64(len(text))); err != nil {
		return err
	}
	return r.bucket.Delete(ctx, path.Join(dir, incompleteName))
}

// encodeArtifact writes an artifact to a file without a name, which stands at its start again.
func encodeArtifact(a Artifact) (_ *os.File, described File, err error) {
	described = File{Model: a.Name, Kind: a.Model.Kind(), Name: a.Name + ".arrow"}
	if !versionPattern.MatchString(described.Name) {
		return nil, described, fmt.Errorf("model name %q does not make a file name", a.Name)
	}
	f, err := os.CreateTemp("", "millrace-model-*")
	if err != nil {
		return nil, described, fmt.Errorf("encode %s: %w", described.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("encode %s: %w", described.Name, err), f.Close())
		}
	}()
	if err := os.Remove(f.Name()); err != nil {
		return nil, described, err
	}
	digest := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(f, digest), writeBuffer)
	if err := errors.Join(a.Model.Encode(buffered), buffered.Flush()); err != nil {
		return nil, described, err
	}
	if described.Bytes, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, described, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, described, err
	}
	described.SHA256 = hex.EncodeToString(digest.Sum(nil))
	return f, described, nil
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
	names, err := r.versions(ctx, site)
	if err != nil {
		return err
	}
	for i, name := range names {
		if i < KeepVersions || slices.Contains(protected, name) {
			continue
		}
		if err := r.removeVersion(ctx, site, name); err != nil {
			return err
		}
	}
	return r.removeAbandoned(ctx, site)
}

// removeVersion marks the version and takes its manifest away first: it goes as it came, and never looks damaged.
func (r *Registry) removeVersion(ctx context.Context, site, name string) error {
	dir := path.Join(site, name)
	marker := path.Join(dir, incompleteName)
	if err := r.bucket.Put(ctx, marker, strings.NewReader(""), 0); err != nil {
		return err
	}
	if err := r.bucket.Delete(ctx, path.Join(dir, manifestName)); err != nil {
		return err
	}
	var files []objstore.Info
	for info, err := range r.bucket.List(ctx, dir+"/") {
		if err != nil {
			return err
		}
		files = append(files, info)
	}
	for _, f := range files {
		if f.Key == marker {
			continue
		}
		if err := r.bucket.Delete(ctx, f.Key); err != nil {
			return err
		}
	}
	return r.bucket.Delete(ctx, marker)
}

func (r *Registry) removeAbandoned(ctx context.Context, site string) error {
	all, err := r.listStored(ctx, site)
	if err != nil {
		return err
	}
	for name, s := range all {
		if s.incomplete == nil || s.manifest || time.Since(s.incomplete.Modified) < abandonedAfter {
			continue
		}
		if err := r.removeVersion(ctx, site, name); err != nil {
			return err
		}
	}
	return nil
}
