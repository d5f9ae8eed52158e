package ials

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
)

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	m := fit(t, tested(), randomInteractions(9, 80, 40))
	var first, second bytes.Buffer
	if err := m.Encode(&first); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(artifact.File{Bytes: first.Bytes()}, 39); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("smaller vocabulary: error %v, want ErrCorrupt", err)
	}
	back, err := Decode(artifact.File{Bytes: first.Bytes()}, 40)
	if err != nil {
		t.Fatal(err)
	}
	q := model.Query{Items: []int32{3, 1, 4}, History: []int32{7}}
	if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("decoded model answers %v, want %v", got, want)
	}
	if err := back.Encode(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("encoded again it has other bytes, error %v", err)
	}
}

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	cfg := Config{
		Dimensions: 16, Iterations: 4, Unobserved: 0.25, Regularization: 0.5, Frequency: 1, Steps: 3, Seed: 7, HistoryDecay: 0.75,
		LastItems: 100, Repeats: model.RepeatsUnseen,
	}
	m := &Model{cfg: cfg, order: []int32{1, 0}, factors: make([]float32, 2*16), gram: make([]float32, 16*16)}
	m.factors[0], m.factors[16], m.factors[17] = 0.75, 0.5, -0.25
	m.gram[0], m.gram[1], m.gram[16], m.gram[17] = 0.8125, -0.125, -0.125, 0.0625
	return m
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
	for _, file := range []string{goldenFile, earlierFile} {
		m, err := Decode(artifacttest.Read(t, file), 2)
		if err != nil {
			t.Fatal(err)
		}
		if want := small(); m.cfg != want.cfg || !slices.Equal(m.order, want.order) || !reflect.DeepEqual(m.factors, want.factors) || !reflect.DeepEqual(m.gram, want.gram) {
			t.Errorf("reads as %+v, want %+v", m, want)
		}
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"item missing":       func(m *Model) { m.order = m.order[:1] },
		"item twice":         func(m *Model) { m.order[0] = 0 },
		"item too high":      func(m *Model) { m.order[0] = 2 },
		"item negative":      func(m *Model) { m.order[1] = -1 },
		"factor missing":     func(m *Model) { m.factors = m.factors[:31] },
		"factor too many":    func(m *Model) { m.factors = append(m.factors, 0) },
		"factor no number":   func(m *Model) { m.factors[3] = float32(math.NaN()) },
		"factor infinite":    func(m *Model) { m.factors[3] = float32(math.Inf(-1)) },
		"gram missing":       func(m *Model) { m.gram = nil },
		"gram no number":     func(m *Model) { m.gram[0] = float32(math.NaN()) },
		"gram not symmetric": func(m *Model) { m.gram[1] = 0.5 },
		"no settings":        func(m *Model) { m.cfg = Config{} },
		"other dimensions":   func(m *Model) { m.cfg.Dimensions = 32 },
	} {
		m := small()
		change(m)
		var buf bytes.Buffer
		if err := m.Encode(&buf); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(artifact.File{Bytes: buf.Bytes()}, 2); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzDecode: whatever stands in a file with a right checksum, it is refused as corrupt, or it makes a model that answers.
func FuzzDecode(f *testing.F) {
	f.Add(artifacttest.Read(f, goldenFile).Bytes)
	f.Add(artifacttest.Read(f, earlierFile).Bytes)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(artifacttest.Sealed(b), 2)
		if err != nil {
			if !errors.Is(err, artifact.ErrCorrupt) {
				t.Fatalf("error %v does not wrap ErrCorrupt", err)
			}
			return
		}
		for _, s := range m.Score(nil, model.Query{Items: []int32{0, 1, 2}, Set: true}, 4) {
			t.Errorf("answers %+v, which the query has", s)
		}
		for _, s := range m.Score(nil, model.Query{Items: []int32{0}, History: []int32{1}}, 4) {
			if !(s.Score > 0) || s.Item < 0 || s.Item > 1 {
				t.Errorf("answers %+v", s)
			}
		}
	})
}
