package content

import (
	"bytes"
	"errors"
	"flag"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
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
	items := randomItems(4, 200)
	m := fit(t, Default(), items)
	bytesOf := encoded(t, m)
	if again := encoded(t, fit(t, Default(), items)); !bytes.Equal(bytesOf, again) {
		t.Error("the same items gave different bytes")
	}
	for _, numItems := range []int{199, 201} {
		if _, err := Decode(artifact.File{Bytes: bytesOf}, numItems); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("vocabulary of %d: error %v, want ErrCorrupt", numItems, err)
		}
	}
	back, err := Decode(artifact.File{Bytes: bytesOf}, len(items))
	if err != nil {
		t.Fatal(err)
	}
	q := model.Query{Items: []int32{3, 1, 4}}
	if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("decoded model answers %v, want %v", got, want)
	}
	// A live index that uses it knows the same rarity.
	if !reflect.DeepEqual(back.words, m.words) {
		t.Error("the decoded model has another rarity")
	}
}

// small is a model whose every number is exact, so that its bytes are the same on every machine.
func small() *Model {
	return &Model{
		cfg: Default(),
		words: &dictionary{
			numbers: map[uint32]int32{7: 0, 9: 1, fieldBrand<<bucketBits | 5: 2}, buckets: []uint32{7, 9, fieldBrand<<bucketBits | 5},
			counts: []int32{1, 2, 1}, items: 2,
		},
		index: newIndex(nil, packed([]term{{0, 0.6}, {1, 0.8}}, nil, []term{{1, 0.6}, {2, 0.8}}), 3),
	}
}

func packed(list ...[]term) (v vectors) {
	for _, vector := range list {
		v.add(vector)
	}
	return v
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
		if back := (&Model{cfg: m.cfg, words: m.words, index: *m.asked()}); !reflect.DeepEqual(back, small()) {
			t.Errorf("it reads as %+v", m)
		}
	}
}

// TestGoldenTerms fails when items are taken apart in another way: the buckets of stored models would mean something else. Then
// the layout needs a new version.
func TestGoldenTerms(t *testing.T) {
	tok := tokenizer{cfg: Default()}
	got := []uint32{}
	for _, x := range tok.item(&event.CatalogueItem{
		Title: "Écharpe en laine 帐篷", Categories: []string{"Wool & Co"}, Brand: "Fleet", Labels: []string{"new"}, Price: price(19.9),
		Fields: map[string]any{"vegan": true, "sizes": []any{"m", 4.0}},
	}) {
		got = append(got, x.bucket)
	}
	want := []uint32{
		22474, 85766, 103606, 115873, 128632, 128913, 190815, 194287, 212160, 213645, 213948, 222014,
		244797, 250319, 253540, 265856, 415721, 458407, 492697, 498437, 537558, 562801, 587280, 639831,
		901692, 986842, 1078060, 1085056, 1091157, 1162519, 1193912, 1226743, 1240151, 1397310, 1406888,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the buckets are now %d", got)
	}
}

func TestDecodeRefusesContentThatWouldBreakAQuery(t *testing.T) {
	for name, change := range map[string]func(*Model, *columns){
		"no settings":         func(m *Model, _ *columns) { m.cfg = Config{} },
		"length":              func(_ *Model, c *columns) { c.weights[0] = 0.1 },
		"weight negative":     func(_ *Model, c *columns) { c.weights[0] = -0.6 },
		"terms fall":          func(_ *Model, c *columns) { c.numbers[0] = 2 },
		"term twice":          func(_ *Model, c *columns) { c.numbers[0] = 1 },
		"term out of range":   func(_ *Model, c *columns) { c.numbers[3] = 3 },
		"term negative":       func(_ *Model, c *columns) { c.numbers[0] = -1 },
		"more items":          func(m *Model, _ *columns) { m.words.items = 4 },
		"no item":             func(m *Model, _ *columns) { m.words.items = -1 },
		"too often":           func(m *Model, _ *columns) { m.words.counts[1] = 3 },
		"never":               func(m *Model, _ *columns) { m.words.counts[1] = 0 },
		"count missing":       func(m *Model, _ *columns) { m.words.counts = m.words.counts[:2] },
		"bucket out of range": func(m *Model, _ *columns) { m.words.buckets[2] = numBuckets },
		"buckets fall":        func(m *Model, _ *columns) { m.words.buckets[0] = 9 },
		"fewer items":         func(_ *Model, c *columns) { c.rows = c.rows[:3] },
	} {
		m := small()
		c := m.index.vectors.columns()
		change(m, &c)
		var written bytes.Buffer
		if err := m.encode(&written, c); err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(artifact.File{Bytes: written.Bytes()}, 3); !errors.Is(err, artifact.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
	var later bytes.Buffer
	if err := artifact.NewWriter(&later, Kind, version+1).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(artifact.File{Bytes: later.Bytes()}, 3); !errors.Is(err, artifact.ErrCorrupt) || !strings.Contains(err.Error(), "layout version 2") {
		t.Errorf("later layout: error %v, want ErrCorrupt", err)
	}
}

// TestDecodedModelHoldsItsFile would fail if the memory of a file could go before what lies in it is asked for: that of a mapping does
// as soon as nobody reaches its owner.
func TestDecodedModelHoldsItsFile(t *testing.T) {
	items := randomItems(4, 200)
	m := fit(t, Default(), items)
	file := encoded(t, m)
	owner, other, collected := &struct{ name string }{"of a mapping"}, &struct{ name string }{"of nothing"}, make(chan struct{})
	runtime.AddCleanup(owner, func(b []byte) { clear(b) }, file)
	back, err := Decode(artifact.File{Bytes: file, Owner: owner}, len(items))
	if err != nil {
		t.Fatal(err)
	}
	runtime.AddCleanup(other, func(done chan struct{}) { close(done) }, collected)
	for gone := false; !gone; runtime.GC() {
		select {
		case <-collected:
			gone = true
		default:
		}
	}
	q := model.Query{Items: []int32{3, 1, 4}}
	if got, want := back.Score(nil, q, 20), m.Score(nil, q, 20); !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("decoded model answers %v, want %v", got, want)
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
			if !(s.Score > 0) || s.Because < 0 || s.Because > 2 {
				t.Fatalf("answers %+v", s)
			}
		}
		if l, err := NewLive(Default(), nil, nil); err != nil || l.Use(t.Context(), m) != nil {
			t.Fatal("a live index cannot use it")
		}
	})
}
