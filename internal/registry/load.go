package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
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
// file. Where the bucket is a directory its files are mapped: the models are where the system keeps the files, which it drops and
// reads again as it needs the memory, and that several processes share. A mapping goes when the last model in it does, so that
// whoever has a model may go on with it, also when the version is removed.
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
			whole, err := r.readArtifact(ctx, m, f)
			if err != nil {
				return nil, fmt.Errorf("load model: %w", err)
			}
			err = b.decode(f, artifact.File{Bytes: whole.Bytes, Owner: whole})
			whole.Rest() // of what a checksum and a codec have read, queries read a part; and a mapping must not go before
			if err != nil {
				at := r.Location(path.Join(m.Site, m.Version, f.Name))
				return nil, fmt.Errorf("load model: %w", &CorruptError{Path: at, Err: err})
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
		if _, err := r.readArtifact(ctx, m, f); err != nil {
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

// digestBlock is how much of an artefact is hashed before others of the process have their turn: a node answers while it loads.
const digestBlock = 256 << 10

// readArtifact returns a file of a version that is what the manifest says: nothing looks at the content of any other.
func (r *Registry) readArtifact(ctx context.Context, m Manifest, f File) (*objstore.Whole, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !versionPattern.MatchString(f.Name) {
		at := r.Location(path.Join(m.Site, m.Version, manifestName))
		return nil, &CorruptError{Path: at, Err: fmt.Errorf("it lists a file %q", f.Name)}
	}
	key := path.Join(m.Site, m.Version, f.Name)
	at := r.Location(key)
	whole, err := objstore.ReadWhole(ctx, r.bucket, key)
	if errors.Is(err, objstore.ErrNotFound) {
		return nil, &CorruptError{Path: at, Err: errMissing}
	}
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for block := range slices.Chunk(whole.Bytes, digestBlock) {
		digest.Write(block)
		runtime.Gosched()
	}
	runtime.KeepAlive(whole)
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != f.SHA256 {
		return nil, &CorruptError{Path: at, Err: fmt.Errorf("its SHA-256 is %s, the manifest says %s", sum, f.SHA256)}
	}
	return whole, nil
}

// decode is the one place that knows which codec reads which kind.
func (b *Bundle) decode(f File, from artifact.File) error {
	switch f.Kind {
	case model.VocabularyKind:
		v, err := model.DecodeVocabulary(from)
		if err != nil {
			return err
		}
		b.Vocabulary = v
	case popularity.Kind:
		m, err := popularity.Decode(from, b.Vocabulary.Len())
		if err != nil {
			return err
		}
		b.Popularity = m
		b.Scorers[f.Model] = m
		b.Scorers[popularity.TrendingName] = m.Trending()
	case ease.Kind:
		return decodeScorer(b, f, from, ease.Decode)
	case content.Kind:
		return decodeScorer(b, f, from, content.Decode)
	case basket.Kind:
		return decodeScorer(b, f, from, basket.Decode)
	case transitions.Kind:
		return decodeScorer(b, f, from, transitions.Decode)
	case vmisknn.Kind:
		return decodeScorer(b, f, from, vmisknn.Decode)
	case ials.Kind:
		return decodeScorer(b, f, from, ials.Decode)
	case blend.Kind:
		cfg, err := blend.Decode(from)
		if err != nil {
			return err
		}
		if alike, ok := b.Scorers[content.Name].(*content.Model); ok && slices.Contains(cfg.Members, content.Name) {
			alike.Prepare()
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
func decodeScorer[M model.Scorer](b *Bundle, f File, from artifact.File, decode func(f artifact.File, numItems int) (M, error)) error {
	m, err := decode(from, b.Vocabulary.Len())
	if err != nil {
		return err
	}
	b.Scorers[f.Model] = m
	return nil
}
