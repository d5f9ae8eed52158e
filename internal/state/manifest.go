package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/objstore"
)

const (
	// ManifestFormat is the version of the manifest; a reader refuses others.
	ManifestFormat = 1
	// MaxManifestBytes bounds what a reader takes into memory. A state of 100 GB in tables of 2 MB needs 6 MB.
	MaxManifestBytes = 8 << 20
	// maxManifestFiles bounds the files of one state.
	maxManifestFiles = 65_536
)

// Manifest names a complete checkpoint of a state in a bucket.
type Manifest struct {
	Format     int        `json:"format"`
	Position   Position   `json:"position"`
	Version    int32      `json:"version"`    // of the features in it
	Epoch      int64      `json:"epoch"`      // of the topic whose partitioning it follows
	Generation int64      `json:"generation"` // of the rebuild that it is the outcome of
	Files      []FileInfo `json:"files"`
}

// FileInfo is one file of a checkpoint.
type FileInfo struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
	CRC  CRC    `json:"crc32c"`
}

// object is the name of the file in the bucket: files of one name and another content lie beside each other.
func (f FileInfo) object() string { return fmt.Sprintf("%s-%08x-%d", f.Name, uint32(f.CRC), f.Size) }

// CRC is a CRC-32C; in JSON eight hexadecimal digits.
type CRC uint32

// MarshalText implements encoding.TextMarshaler.
func (c CRC) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%08x", uint32(c)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *CRC) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 32)
	if err != nil || len(text) != 8 {
		return fmt.Errorf("crc32c %q: use eight hexadecimal digits", text)
	}
	*c = CRC(n)
	return nil
}

// positionJSON is the stored form of a position: a hash has more digits than a number of JSON can be trusted with.
type positionJSON struct {
	Epoch  int64  `json:"epoch"`
	Offset int64  `json:"offset"`
	Hash   string `json:"hash"`
}

// MarshalJSON implements json.Marshaler.
func (p Position) MarshalJSON() ([]byte, error) {
	return json.Marshal(positionJSON{p.Epoch, p.Offset, fmt.Sprintf("%016x", p.Hash)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Position) UnmarshalJSON(b []byte) error {
	var stored positionJSON
	if err := json.Unmarshal(b, &stored); err != nil {
		return err
	}
	hash, err := strconv.ParseUint(stored.Hash, 16, 64)
	if err != nil || len(stored.Hash) != 16 {
		return fmt.Errorf("hash %q: use sixteen hexadecimal digits", stored.Hash)
	}
	*p = Position{stored.Epoch, stored.Offset, hash}
	return nil
}

// ParseManifest reads a manifest and refuses one that a restore could not trust: of another format, with unknown fields,
// without files, or with names that are no plain files.
func ParseManifest(b []byte) (m Manifest, err error) {
	if len(b) > MaxManifestBytes {
		return m, fmt.Errorf("%w: a manifest of %d bytes", ErrCorrupt, len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%w: read manifest: %w", ErrCorrupt, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, fmt.Errorf("%w: text after the manifest", ErrCorrupt)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest: %w", ErrCorrupt, err)
	}
	return m, nil
}

func (m *Manifest) check() error {
	switch {
	case m.Format != ManifestFormat:
		return fmt.Errorf("format %d, this program reads %d", m.Format, ManifestFormat)
	case m.Position.Epoch < 0 || m.Position.Offset < 0 || m.Epoch < 0 || m.Generation < 0 || m.Version < 0:
		return errors.New("a negative number")
	case len(m.Files) == 0 || len(m.Files) > maxManifestFiles:
		return fmt.Errorf("%d files", len(m.Files))
	}
	seen := make(map[string]bool, len(m.Files))
	for _, f := range m.Files {
		if err := objstore.CheckKey(f.object()); err != nil || strings.Contains(f.Name, "/") || f.Name == "" || f.Size < 0 {
			return fmt.Errorf("file %q of %d bytes", f.Name, f.Size)
		}
		if seen[f.Name] {
			return fmt.Errorf("file %q twice", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
