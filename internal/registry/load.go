package registry

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/basket"
	"github.com/millrace/millrace/internal/model/blend"
	"github.com/millrace/millrace/internal/model/content"
	"github.com/millrace/millrace/internal/model/ease"
	"github.com/millrace/millrace/internal/model/ials"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
	"github.com/millrace/millrace/internal/objstore"
)

// readBuffer is the size of the buffer behind an artifact file.
const readBuffer = 256 << 10

// Bundle is a version ready to answer queries. Every index in it belongs to its Vocabulary.
type Bundle struct {
	Manifest   Manifest
	Vocabulary *model.Vocabulary
	// Scorers holds every model by name, and "trending" beside "popularity".
	Scorers map[string]model.Scorer
	// Popularity is the popularity model itself, for its lists by category.
	Popularity *popularity.Model
}

// Load reads a version and checks every file against its checksum. Damage of any kind is a *CorruptError that names the
// file.
func (r *Registry) Load(ctx context.Context, site, version string) (*Bundle, error) {
	m, err := r.completeManifest(ctx, site, version)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	b := &Bundle{Manifest: m, Scorers: map[string]model.Scorer{}}
	for wanted := range loadOrders {
		for _, f := range m.Files {
			if loadOrder(f.Kind) != wanted {
				continue
			}
			decode := func(r io.Reader) error { return b.decode(f, r) }
			if err := r.readArtifact(ctx, m, f, decode); err != nil {
				return nil, fmt.Errorf("load model: %w", err)
			}
		}
	}
	return b, nil
}

// loadOrders is one more than the greatest loadOrder.
const loadOrders = 3

// loadOrder says when a file is read: the vocabulary first, because the other codecs check their indices against its length,
// and a blend last, because it is put over the others.
func loadOrder(kind string) int {
	switch kind {
	case model.VocabularyKind:
		return 0
	case blend.Kind:
		return 2
	default:
		return 1
	}
}

// verify checks a version as Load does, but builds no models: it finds what the checksums find.
func (r *Registry) verify(ctx context.Context, site, version string) error {
	m, err := r.completeManifest(ctx, site, version)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := r.readArtifact(ctx, m, f, func(io.Reader) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// completeManifest reads a manifest and checks that it lists what no version can do without.
func (r *Registry) completeManifest(ctx context.Context, site, version string) (Manifest, error) {
	m, err := r.Manifest(ctx, site, version)
	if err != nil {
		return Manifest{}, err
	}
	for _, kind := range []string{model.VocabularyKind, popularity.Kind} {
		if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Kind == kind }) {
			at := r.Location(path.Join(site, version, manifestName))
			return Manifest{}, &CorruptError{Path: at, Err: fmt.Errorf("it lists no file of kind %s", kind)}
		}
	}
	return m, nil
}

// readArtifact lets decode read one file of a version while it hashes it, so that a file is read once.
func (r *Registry) readArtifact(ctx context.Context, m Manifest, f File, decode func(io.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !versionPattern.MatchString(f.Name) {
		return &CorruptError{Path: r.Location(path.Join(m.Site, m.Version, manifestName)), Err: fmt.Errorf("it lists a file %q", f.Name)}
	}
	key := path.Join(m.Site, m.Version, f.Name)
	at := r.Location(key)
	file, err := r.bucket.Get(ctx, key, 0, -1)
	if errors.Is(err, objstore.ErrNotFound) {
		return &CorruptError{Path: at, Err: errMissing}
	}
	if err != nil {
		return err
	}
	digest := sha256.New()
	hashed := bufio.NewReaderSize(io.TeeReader(file, digest), readBuffer)
	decodeErr := decode(hashed)
	_, drainErr := io.Copy(io.Discard, hashed) // what the decoder left unread counts for the checksum too
	if err := errors.Join(drainErr, file.Close()); err != nil {
		return fmt.Errorf("read %s: %w", at, err)
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != f.SHA256 {
		return &CorruptError{Path: at, Err: fmt.Errorf("its SHA-256 is %s, the manifest says %s", sum, f.SHA256)}
	}
	if decodeErr != nil {
		return &CorruptError{Path: at, Err: decodeErr}
	}
	return nil
}

// decode is the one place that knows which codec reads which kind.
func (b *Bundle) decode(f File, r io.Reader) error {
	switch f.Kind {
	case model.VocabularyKind:
		v, err := model.DecodeVocabulary(r)
		if err != nil {
			return err
		}
		b.Vocabulary = v
	case popularity.Kind:
		m, err := popularity.Decode(r, b.Vocabulary.Len())
		if err != nil {
			return err
		}
		b.Popularity = m
		b.Scorers[f.Model] = m
		b.Scorers[popularity.TrendingName] = m.Trending()
	case ease.Kind:
		return decodeScorer(b, f, r, ease.Decode)
	case content.Kind:
		return decodeScorer(b, f, r, content.Decode)
	case basket.Kind:
		return decodeScorer(b, f, r, basket.Decode)
	case transitions.Kind:
		return decodeScorer(b, f, r, transitions.Decode)
	case vmisknn.Kind:
		return decodeScorer(b, f, r, vmisknn.Decode)
	case ials.Kind:
		return decodeScorer(b, f, r, ials.Decode)
	case blend.Kind:
		cfg, err := blend.Decode(r)
		if err != nil {
			return err
		}
		m, err := blend.New(cfg, b.Scorers)
		if err != nil {
			return err
		}
		b.Scorers[f.Model] = m
	default:
		return fmt.Errorf("this version of millrace has no codec for models of kind %q", f.Kind)
	}
	return nil
}

// decodeScorer reads a model that is only asked for answers.
func decodeScorer[M model.Scorer](b *Bundle, f File, r io.Reader, decode func(r io.Reader, numItems int) (M, error)) error {
	m, err := decode(r, b.Vocabulary.Len())
	if err != nil {
		return err
	}
	b.Scorers[f.Model] = m
	return nil
}
