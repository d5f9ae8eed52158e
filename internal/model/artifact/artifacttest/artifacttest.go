// Package artifacttest is what the tests of codecs share: stored models must stay readable, and damaged ones must be refused.
package artifacttest

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Read returns an artifact from testdata; those of the earlier form are there as hexadecimal text.
func Read(t testing.TB, name string) artifact.File {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err == nil && strings.HasSuffix(name, ".hex") {
		b, err = hex.DecodeString(strings.TrimSpace(string(b)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return artifact.File{Bytes: b}
}

// Write puts an artifact there.
func Write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sealBytes is the length of the end mark and the checksum of the earlier form.
const sealBytes = 5

// Sealed returns bytes as a file to be decoded. Where they are of the earlier form the last ones are made the end mark and the
// checksum, without which nothing else is looked at.
func Sealed(b []byte) artifact.File {
	b = bytes.Clone(b)
	if bytes.HasPrefix(b, []byte("MILLMODL")) && len(b) >= sealBytes {
		b[len(b)-sealBytes] = 0
		body := b[:len(b)-4]
		b = binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	}
	return artifact.File{Bytes: b}
}
