package artifact

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"testing"
)

type settings struct {
	K int `json:"k"`
}

func sample(t testing.TB) []byte {
	var buf bytes.Buffer
	w := NewWriter(&buf, "sample", 3)
	w.JSON(settings{K: 7})
	w.Int32s([]int32{1, -2, math.MaxInt32})
	w.Int64s([]int64{math.MinInt64})
	w.Float32s([]float32{0.5})
	w.Float64s(nil)
	w.Strings([]string{"a", "", "ü"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

type content struct {
	settings settings
	i32      []int32
	i64      []int64
	f32      []float32
	f64      []float64
	texts    []string
}

func decodeSample(r io.Reader) (content, error) {
	var c content
	in := NewReader(r, "sample", 3)
	in.JSON(&c.settings)
	c.i32, c.i64, c.f32, c.f64, c.texts = in.Int32s(), in.Int64s(), in.Float32s(), in.Float64s(), in.Strings()
	return c, in.Close()
}

func TestRoundTrip(t *testing.T) {
	c, err := decodeSample(bytes.NewReader(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	if c.settings.K != 7 || !slices.Equal(c.i32, []int32{1, -2, math.MaxInt32}) || !slices.Equal(c.i64, []int64{math.MinInt64}) ||
		!slices.Equal(c.f32, []float32{0.5}) || len(c.f64) != 0 || !slices.Equal(c.texts, []string{"a", "", "ü"}) {
		t.Errorf("read back %+v", c)
	}
}

// The bytes are a public format: models written by an older program must stay readable.
func TestGoldenBytes(t *testing.T) {
	const want = "4d494c4c4d4f444c010000000600000073616d706c6503000000" +
		"0107000000000000007b226b223a377d" + // JSON
		"02030000000000000001000000feffffffffffff7f" +
		"0301000000000000000000000000000080" +
		"0401000000000000000000003f" +
		"050000000000000000" +
		"020300000000000000010000000000000002000000" + "01030000000000000061c3bc" +
		"00"
	got := hex.EncodeToString(sample(t))
	if got[:len(got)-8] != want {
		t.Errorf("bytes changed:\n got %s\nwant %s", got[:len(got)-8], want)
	}
}

func TestLongSectionsCrossChunks(t *testing.T) {
	values := make([]int64, 3*chunkBytes/8+5)
	for i := range values {
		values[i] = int64(i) * 7
	}
	texts := slices.Repeat([]string{"some-item-id"}, chunkBytes/4)
	var buf bytes.Buffer
	w := NewWriter(&buf, "long", 1)
	w.Int64s(values)
	w.Strings(texts)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&buf, "long", 1)
	gotValues, gotTexts := r.Int64s(), r.Strings()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gotValues, values) || !slices.Equal(gotTexts, texts) {
		t.Error("long sections changed on the way")
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	intact := sample(t)
	for i := range intact {
		for bit := range 8 {
			broken := slices.Clone(intact)
			broken[i] ^= 1 << bit
			if _, err := decodeSample(bytes.NewReader(broken)); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d bit %d flipped: error %v, want ErrCorrupt", i, bit, err)
			}
		}
	}
}

func TestEveryTruncationAndAppendixIsFound(t *testing.T) {
	intact := sample(t)
	for n := range intact {
		if _, err := decodeSample(bytes.NewReader(intact[:n])); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("first %d bytes: error %v, want ErrCorrupt", n, err)
		}
	}
	if _, err := decodeSample(bytes.NewReader(append(slices.Clone(intact), 0))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("one byte too many: error %v, want ErrCorrupt", err)
	}
}

func TestOtherKindAndVersionAreRefused(t *testing.T) {
	for _, r := range []*Reader{
		NewReader(bytes.NewReader(sample(t)), "other", 3),
		NewReader(bytes.NewReader(sample(t)), "sample", 4),
		NewReader(bytes.NewReader(sample(t)), "sample", 1, 2),
	} {
		if err := r.Close(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("error %v, want ErrCorrupt", err)
		}
	}
}

func TestReaderOfSeveralVersionsSaysWhichItMet(t *testing.T) {
	in := NewReader(bytes.NewReader(sample(t)), "sample", 2, 3)
	in.JSON(&settings{})
	in.Int32s()
	in.Int64s()
	in.Float32s()
	in.Float64s()
	in.Strings()
	if err := in.Close(); err != nil || in.Version() != 3 {
		t.Errorf("version %d, error %v, want 3", in.Version(), err)
	}
}

func TestLyingCountDoesNotAllocate(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf, "liar", 1)
	w.head(typeInt64s, math.MaxInt32)
	w.flush()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(&buf, "liar", 1)
	r.Int64s()
	runtime.ReadMemStats(&after)
	if err := r.Close(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16*chunkBytes {
		t.Errorf("a section that claims 16 GiB made the reader allocate %d bytes", grown)
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestWriteErrorsReachClose(t *testing.T) {
	for _, left := range []int{0, 30, 60} {
		w := NewWriter(&failingWriter{left: left}, "sample", 1)
		w.Int32s(make([]int32, 100))
		if err := w.Close(); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: error %v, want the writer's", left, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeSample(bytes.NewReader(b)); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("error %v does not wrap ErrCorrupt", err)
		}
	})
}
