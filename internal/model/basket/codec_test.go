package basket

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
	"github.com/millrace/millrace/internal/model/rowsum"
)

func encoded(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	s := randomBaskets(4, 200)
	m := fit(t, Default(), s, numItems)
	stored := encoded(t, m)
	if !bytes.Equal(stored, encoded(t, fit(t, Default(), s, numItems))) {
		t.Error("the same baskets gave different bytes")
	}
	if _, err := Decode(artifact.File{Bytes: stored}, numItems-1); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("smaller vocabulary: error %v, want ErrCorrupt", err)
	}
	back, err := Decode(artifact.File{Bytes: stored}, numItems)
	if err != nil {
		t.Fatal(err)
	}
	q := model.Query{Items: []int32{3, 1, 4}, Set: true}
	if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("decoded model answers %v, want %v", got, want)
	}
}

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	return &Model{
		cfg:    Default(),
		Matrix: rowsum.Matrix{Offsets: []int64{0, 2, 3, 3}, Items: []int32{1, 2, 0}, Weights: []float32{0.75, 0.25, 0.5}},
	}
}

var writeGolden = flag.Bool("golden", false, "write golden bytes of the current layout version")

// The bytes of small, as they are written and as earlier programs wrote them.
const (
	goldenFile  = "golden_v1.arrow"
	earlierFile = "golden_v1.hex"
)

// TestGoldenBytes fails when the layout changes without a new version. After raising the version, run with -golden and keep
// the old files: models that were stored must stay readable.
func TestGoldenBytes(t *testing.T) {
	now := encoded(t, small())
	if *writeGolden {
		artifacttest.Write(t, goldenFile, now)
	}
	if !bytes.Equal(now, artifacttest.Read(t, goldenFile).Bytes) {
		t.Error("the bytes of the current version changed")
	}
	for _, file := range []string{goldenFile, earlierFile} {
		m, err := Decode(artifacttest.Read(t, file), 3)
		if err != nil {
			t.Fatal(err)
		}
		if m.pool = nil; !reflect.DeepEqual(m, small()) {
			t.Errorf("it reads as %+v", m)
		}
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"rows fall":       func(m *Model) { m.Offsets[1], m.Offsets[2] = 3, 2 },
		"item too high":   func(m *Model) { m.Items[0] = 3 },
		"weight missing":  func(m *Model) { m.Weights = m.Weights[:2] },
		"weight zero":     func(m *Model) { m.Weights[0] = 0 },
		"weight negative": func(m *Model) { m.Weights[0] = -1 },
		"weight infinite": func(m *Model) { m.Weights[0] = float32(math.Inf(1)) },
		"no settings":     func(m *Model) { m.cfg = Config{} },
	} {
		m := small()
		change(m)
		if _, err := Decode(artifact.File{Bytes: encoded(t, m)}, 3); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzDecode: whatever stands in a file with a right checksum, it is refused as corrupt, or it makes a model that answers.
func FuzzDecode(f *testing.F) {
	f.Add(artifacttest.Read(f, goldenFile).Bytes)
	f.Add(artifacttest.Read(f, earlierFile).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(artifacttest.Sealed(b), 3)
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("error %v does not wrap ErrCorrupt", err)
			}
			return
		}
		for _, s := range m.Score(nil, model.Query{Items: []int32{0, 1, 2, 3}}, 4) {
			if !(s.Score > 0) {
				t.Fatalf("answers %+v", s)
			}
		}
	})
}
