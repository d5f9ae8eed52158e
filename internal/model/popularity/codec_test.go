package popularity

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
)

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	return &Model{
		cfg:        Default(),
		overall:    ranking{items: []int32{2, 0, 1}, scores: []float32{4, 2, 0.5}},
		trending:   ranking{items: []int32{1, 2}, scores: []float32{2, 0.25}},
		categories: []string{"a", "b"},
		byCategory: []ranking{{items: []int32{0, 1}, scores: []float32{2, 0.5}}, {items: []int32{2}, scores: []float32{4}}},
		risingIn:   []ranking{{items: []int32{1}, scores: []float32{2}}, {items: []int32{2}, scores: []float32{0.25}}},
		segments:   []string{"desktop", "mobile"},
		bySegment:  []ranking{{items: []int32{0, 2}, scores: []float32{3, 1}}, {items: []int32{1}, scores: []float32{8}}},
	}
}

// earlier is small as a program of version 1 knew it.
func earlier() *Model {
	m := small()
	m.risingIn, m.segments, m.bySegment = nil, nil, nil
	m.cfg.SegmentPrior = 0
	return m
}

func encoded(t testing.TB, m *Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var writeGolden = flag.Bool("golden", false, "write golden bytes of the current layout version")

// The bytes of small, as they are written and as earlier programs wrote them.
const (
	goldenFile  = "golden_v2.arrow"
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
		want := small()
		if file == earlierFile {
			want = earlier()
		}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s reads as %+v", file, m)
		}
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"no settings":         func(m *Model) { m.cfg = Config{} },
		"score missing":       func(m *Model) { m.overall.scores = m.overall.scores[:2] },
		"item too high":       func(m *Model) { m.trending.items[0] = 3 },
		"item negative":       func(m *Model) { m.byCategory[1].items[0] = -1 },
		"categories fall":     func(m *Model) { m.categories[0] = "c" },
		"category missing":    func(m *Model) { m.byCategory = m.byCategory[:1] },
		"segments fall":       func(m *Model) { m.segments[0] = "z" },
		"segment missing":     func(m *Model) { m.bySegment = m.bySegment[:1] },
		"trend missing":       func(m *Model) { m.risingIn = m.risingIn[:1] },
		"category of no name": func(m *Model) { m.byCategory = append(m.byCategory, ranking{}) },
	} {
		m := small()
		change(m)
		if _, err := Decode(artifact.File{Bytes: encoded(t, m)}, 3); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// FuzzDecode: whatever stands in a file, it is refused as corrupt, or it makes a model that answers.
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
		got := m.Trending().Score(m.Score(nil, model.Query{}, 3), model.Query{}, 3)
		for _, category := range m.Categories() {
			got = m.ScoreCategory(got, category, model.Query{}, 3)
			got = m.ScoreTrending(got, category, model.Query{}, 3)
		}
		for _, segment := range m.segments {
			got = m.Score(got, model.Query{Segment: segment}, 3)
		}
		for _, s := range got {
			if s.Item < 0 || s.Item > 2 {
				t.Fatalf("answers %+v", s)
			}
		}
	})
}
