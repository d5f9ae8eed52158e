package registry

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/popularity"
	"github.com/millrace/millrace/internal/model/transitions"
	"github.com/millrace/millrace/internal/model/vmisknn"
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
	m, err := r.Manifest(ctx, site, version)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	b := &Bundle{Manifest: m, Scorers: map[string]model.Scorer{}}
	dir := filepath.Join(r.dir, site, version)
	// The vocabulary first: the other codecs check their indices against its length.
	for _, wantVocabulary := range []bool{true, false} {
		for _, f := range m.Files {
			if (f.Kind == model.VocabularyKind) != wantVocabulary {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if err := b.loadFile(dir, f); err != nil {
				return nil, fmt.Errorf("load model: %w", err)
			}
		}
		if b.Vocabulary == nil {
			err := errors.New("it lists no vocabulary")
			return nil, fmt.Errorf("load model: %w", &CorruptError{Path: filepath.Join(dir, manifestName), Err: err})
		}
	}
	if b.Popularity == nil {
		err := errors.New("it lists no popularity model")
		return nil, fmt.Errorf("load model: %w", &CorruptError{Path: filepath.Join(dir, manifestName), Err: err})
	}
	return b, nil
}

// loadFile decodes one artifact while it hashes it, so that a file is read once.
func (b *Bundle) loadFile(dir string, f File) error {
	path := filepath.Join(dir, filepath.Base(f.Name))
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &CorruptError{Path: path, Err: errors.New("it is missing")}
	}
	if err != nil {
		return err
	}
	digest := sha256.New()
	hashed := io.TeeReader(file, digest)
	decodeErr := b.decode(f, bufio.NewReaderSize(hashed, readBuffer))
	_, drainErr := io.Copy(io.Discard, hashed) // what the decoder left unread counts for the checksum too
	if err := errors.Join(drainErr, file.Close()); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if sum := hex.EncodeToString(digest.Sum(nil)); sum != f.SHA256 {
		return &CorruptError{Path: path, Err: fmt.Errorf("its SHA-256 is %s, the manifest says %s", sum, f.SHA256)}
	}
	if decodeErr != nil {
		return &CorruptError{Path: path, Err: decodeErr}
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
	case transitions.Kind:
		m, err := transitions.Decode(r, b.Vocabulary.Len())
		if err != nil {
			return err
		}
		b.Scorers[f.Model] = m
	case vmisknn.Kind:
		m, err := vmisknn.Decode(r, b.Vocabulary.Len())
		if err != nil {
			return err
		}
		b.Scorers[f.Model] = m
	default:
		return fmt.Errorf("this version of millrace has no codec for models of kind %q", f.Kind)
	}
	return nil
}
