package transitions

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
	s := randomSessions(4, 50)
	m, err := Fit(Default(), s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Fit(Default(), s, numItems)
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := errors.Join(m.Encode(&first), again.Encode(&second)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same sessions gave different bytes")
	}
	if _, err := Decode(artifact.File{Bytes: first.Bytes()}, numItems-1); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("smaller vocabulary: error %v, want ErrCorrupt", err)
	}
	back, err := Decode(artifact.File{Bytes: first.Bytes()}, numItems)
	if err != nil {
		t.Fatal(err)
	}
	q := model.Query{Items: []int32{3, 1, 4}}
	if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("decoded model answers %v, want %v", got, want)
	}
}

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	return &Model{
		cfg:     Default(),
		Matrix:  rowsum.Matrix{Offsets: []int64{0, 2, 3, 3}, Items: []int32{1, 2, 0}, Weights: []float32{0.75, 0.25, 0.5}},
		degrees: &degrees{out: []float64{4, 1, 0}, in: []float64{1, 3, 1}, newest: 1_700_000_000_000},
	}
}

var writeGolden = flag.Bool("golden", false, "write golden bytes of the current layout version")

// The bytes of small, as they are written and as earlier programs wrote them.
const (
	goldenFile    = "golden_v2.arrow"
	earlierFile   = "golden_v2.hex"
	noDegreesFile = "golden_v1.hex"
)

// TestGoldenBytes fails when the layout changes without a new version. After raising the version, run with -golden and keep
// the old files: models that were stored must stay readable.
func TestGoldenBytes(t *testing.T) {
	var now bytes.Buffer
	if err := small().Encode(&now); err != nil {
		t.Fatal(err)
	}
	if *writeGolden {
		artifacttest.Write(t, goldenFile, now.Bytes())
	}
	if !bytes.Equal(now.Bytes(), artifacttest.Read(t, goldenFile).Bytes) {
		t.Error("the bytes of the current version changed")
	}
	for _, file := range []string{goldenFile, earlierFile, noDegreesFile} {
		m, err := Decode(artifacttest.Read(t, file), 3)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want := small()
		if file == noDegreesFile {
			want.degrees = nil
		}
		m.pool = nil
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s reads as %+v, want %+v", file, m, want)
		}
	}
}

// A model without degrees answers, and is not stored as one that has them.
func TestModelOfTheFirstVersionAnswersAndIsNotWritten(t *testing.T) {
	m, err := Decode(artifacttest.Read(t, noDegreesFile), 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []model.Scored{{Item: 1, Score: 0.75}, {Item: 2, Score: 0.25}}
	if got := m.Score(nil, model.Query{Items: []int32{0}}, 3); !slices.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	if err := m.Encode(&bytes.Buffer{}); !errors.Is(err, ErrNoDegrees) {
		t.Errorf("error %v, want ErrNoDegrees", err)
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"rows fall":        func(m *Model) { m.Offsets[1], m.Offsets[2] = 3, 2 },
		"rows reach out":   func(m *Model) { m.Offsets[3] = 4 },
		"item too high":    func(m *Model) { m.Items[0] = 3 },
		"item negative":    func(m *Model) { m.Items[0] = -1 },
		"weight missing":   func(m *Model) { m.Weights = m.Weights[:2] },
		"weight negative":  func(m *Model) { m.Weights[0] = -1 },
		"weight zero":      func(m *Model) { m.Weights[0] = 0 },
		"no settings":      func(m *Model) { m.cfg = Config{} },
		"degree missing":   func(m *Model) { m.degrees.out = m.degrees.out[:2] },
		"degree too many":  func(m *Model) { m.degrees.in = append(m.degrees.in, 1) },
		"degree negative":  func(m *Model) { m.degrees.in[1] = -1 },
		"degree no number": func(m *Model) { m.degrees.out[1] = math.NaN() },
		"degree infinite":  func(m *Model) { m.degrees.out[1] = math.Inf(1) },
	} {
		m := small()
		change(m)
		var buf bytes.Buffer
		if err := m.Encode(&buf); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(artifact.File{Bytes: buf.Bytes()}, 3); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
	for name, layout := range map[string]uint32{"no time": version, "later layout": version + 1} {
		var buf bytes.Buffer
		w, m := artifact.NewWriter(&buf, Kind, layout), small()
		w.JSON("config", m.cfg)
		w.Int64s("rows", m.Offsets)
		w.Int32s("items", m.Items)
		w.Float32s("weights", m.Weights)
		w.Float64s("out", m.degrees.out)
		w.Float64s("in", m.degrees.in)
		w.Int64s("newest", make([]int64, layout-version))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(artifact.File{Bytes: buf.Bytes()}, 3); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzDecode: whatever stands in a file with a right checksum, it is refused as corrupt, or it makes a model that answers with
// and without newer sessions over it.
func FuzzDecode(f *testing.F) {
	for _, file := range []string{goldenFile, earlierFile, noDegreesFile} {
		f.Add(artifacttest.Read(f, file).Bytes)
	}
	newer := &model.Sessions{}
	newer.Append([]int32{0, 3, 1}, []int64{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(artifacttest.Sealed(b), 3)
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("error %v does not wrap ErrCorrupt", err)
			}
			return
		}
		q := model.Query{Items: []int32{0, 1, 2, 3}}
		m.Score(nil, q, 4)
		if m.degrees == nil {
			return
		}
		o, err := Over(m, newer, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range o.Score(nil, q, 4) {
			if !(s.Score > 0) {
				t.Fatalf("answers %+v", s)
			}
		}
	})
}
