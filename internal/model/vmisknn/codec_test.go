package vmisknn

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
)

// small is a model of two sessions over three items.
func small(t testing.TB) *Model {
	t.Helper()
	s := &model.Sessions{}
	s.Append([]int32{0, 1}, []int64{1000, 2000})
	s.Append([]int32{0, 1, 2}, []int64{3000, 4000, 5000})
	m, err := Fit(Default(VSTAN), s, 3)
	if err != nil {
		t.Fatal(err)
	}
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
	goldenFile  = "golden_v1.arrow"
	earlierFile = "golden_v1.hex"
)

// TestGoldenBytes fails when the layout changes without a new version. After raising the version, run with -golden and keep
// the old files: models that were stored must stay readable.
func TestGoldenBytes(t *testing.T) {
	now := encoded(t, small(t))
	if *writeGolden {
		artifacttest.Write(t, goldenFile, now)
	}
	if !bytes.Equal(now, artifacttest.Read(t, goldenFile).Bytes) {
		t.Error("the bytes of the current version changed")
	}
	q := model.Query{Items: []int32{1, 0}}
	want := small(t).Score(nil, q, 3)
	for _, file := range []string{goldenFile, earlierFile} {
		m, err := Decode(artifacttest.Read(t, file), 3)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Score(nil, q, 3); !slices.Equal(got, want) || len(want) == 0 || m.cfg != Default(VSTAN) {
			t.Errorf("%s answers %v, want %v", file, got, want)
		}
		if !bytes.Equal(encoded(t, m), now) {
			t.Errorf("%s has other bytes when it is written again", file)
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
		for _, s := range m.Score(nil, model.Query{Items: []int32{0, 1, 2, 3}}, 4) {
			if !(s.Score > 0) || s.Item < 0 || s.Item > 2 {
				t.Fatalf("answers %+v", s)
			}
		}
	})
}
