package ease

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

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	for form, cfg := range forms() {
		m := fit(t, cfg, randomInteractions(9, 80, 40))
		first := encoded(t, m)
		if _, err := Decode(artifact.File{Bytes: first}, 39); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: smaller vocabulary: error %v, want ErrCorrupt", form, err)
		}
		back, err := Decode(artifact.File{Bytes: first}, 40)
		if err != nil {
			t.Fatal(err)
		}
		q := model.Query{Items: []int32{4, 1}, History: []int32{7}}
		if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s: decoded model answers %v, want %v", form, got, want)
		}
		if back.Form() != form || !bytes.Equal(encoded(t, back), first) {
			t.Errorf("%s: encoded again it has other bytes", form)
		}
	}
}

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	cfg := Config{
		L2: 8, L2Degree: 0.5, VisitorExponent: 0.25, WeightExponent: 0.5, DiagonalExponent: 0.75, MaxItems: 100, Candidates: 10,
		Neighbours: 20, LastItems: 30, HistoryDecay: 0.875, Repeats: model.RepeatsUnseen,
	}
	return &Model{cfg: cfg, form: Whole, pool: rowsum.NewPool(), Matrix: rowsum.Matrix{
		Offsets: []int64{0, 1, 1, 3, 3}, Items: []int32{1, 1, 3}, Weights: []float32{0.75, -0.25, 0.25},
	}}
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
		m, err := Decode(artifacttest.Read(t, file), 4)
		if err != nil {
			t.Fatal(err)
		}
		if want := small(); m.cfg != want.cfg || m.form != want.form || !reflect.DeepEqual(m.Matrix, want.Matrix) {
			t.Errorf("reads as %+v, want %+v", m, want)
		}
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"rows fall":        func(m *Model) { m.Offsets[1] = 4 },
		"item too high":    func(m *Model) { m.Items[0] = 4 },
		"weight missing":   func(m *Model) { m.Weights = m.Weights[:2] },
		"weight no number": func(m *Model) { m.Weights[0] = float32(math.NaN()) },
		"weight infinite":  func(m *Model) { m.Weights[0] = float32(math.Inf(-1)) },
		"no settings":      func(m *Model) { m.cfg = Config{} },
		"unknown form":     func(m *Model) { m.form = "square" },
	} {
		m := small()
		change(m)
		if _, err := Decode(artifact.File{Bytes: encoded(t, m)}, 4); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzDecode: whatever stands in a file with a right checksum, it is refused as corrupt, or it makes a model that answers.
func FuzzDecode(f *testing.F) {
	f.Add(artifacttest.Read(f, goldenFile).Bytes)
	f.Add(artifacttest.Read(f, earlierFile).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(artifacttest.Sealed(b), 4)
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("error %v does not wrap ErrCorrupt", err)
			}
			return
		}
		for _, s := range m.Score(nil, model.Query{Items: []int32{0, 5}, History: []int32{2, -1}}, 4) {
			if !(s.Score > 0) || s.Item < 0 || s.Item > 3 {
				t.Errorf("answers %+v", s)
			}
		}
	})
}
