package ials

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
)

func TestCodecKeepsAnswersAndBytes(t *testing.T) {
	m := fit(t, tested(), randomInteractions(9, 80, 40))
	var first, second bytes.Buffer
	if err := m.Encode(&first); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(bytes.NewReader(first.Bytes()), 39); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("smaller vocabulary: error %v, want ErrCorrupt", err)
	}
	back, err := Decode(bytes.NewReader(first.Bytes()), 40)
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

const goldenFile = "testdata/golden_v1.hex"

func golden(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGoldenBytes fails when the layout changes without a new version. After raising the version, run with -golden and keep
// the old files: models that were stored must stay readable.
func TestGoldenBytes(t *testing.T) {
	var now bytes.Buffer
	if err := small().Encode(&now); err != nil {
		t.Fatal(err)
	}
	if *writeGolden {
		if err := os.WriteFile(goldenFile, []byte(hex.EncodeToString(now.Bytes())+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(now.Bytes(), golden(t)) {
		t.Error("the bytes of the current version changed")
	}
	m, err := Decode(bytes.NewReader(golden(t)), 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := small(); m.cfg != want.cfg || !slices.Equal(m.order, want.order) || !reflect.DeepEqual(m.factors, want.factors) || !reflect.DeepEqual(m.gram, want.gram) {
		t.Errorf("reads as %+v, want %+v", m, want)
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
		if _, err := Decode(&buf, 2); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// sealBytes is the length of the end mark and the checksum of an artifact.
const sealBytes = 5

// sealed makes the last bytes the end mark and the checksum, without which nothing else is looked at.
func sealed(b []byte) []byte {
	b[len(b)-sealBytes] = 0
	body := b[:len(b)-4]
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// FuzzDecode: whatever stands in a file with a right checksum, it is refused as corrupt, or it makes a model that answers.
func FuzzDecode(f *testing.F) {
	f.Add(golden(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < sealBytes {
			return
		}
		m, err := Decode(bytes.NewReader(sealed(slices.Clone(b))), 2)
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
