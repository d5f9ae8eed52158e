package artifact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
)

type settings struct {
	K int `json:"k"`
}

func sample(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := NewWriter(&buf, "sample", 3)
	w.JSON("config", settings{K: 7})
	w.Int32s("i32", []int32{1, -2, math.MaxInt32})
	w.Int64s("i64", []int64{math.MinInt64})
	w.Float32s("f32", []float32{0.5})
	w.Float64s("f64", nil)
	w.Strings("texts", []string{"a", "", "ü"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// earlier is the same as earlier programs wrote it.
func earlier(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString("4d494c4c4d4f444c010000000600000073616d706c6503000000" +
		"0107000000000000007b226b223a377d" + // JSON
		"02030000000000000001000000feffffffffffff7f" +
		"0301000000000000000000000000000080" +
		"0401000000000000000000003f" +
		"050000000000000000" +
		"020300000000000000010000000000000002000000" + "01030000000000000061c3bc" +
		"00" + "86701da0")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type content struct {
	settings settings
	i32      []int32
	i64      []int64
	f32      []float32
	f64      []float64
	texts    []string
}

func decodeSample(b []byte) (content, error) {
	var c content
	in := NewReader(File{Bytes: b}, "sample", 3)
	in.JSON("config", &c.settings)
	c.i32, c.i64, c.f32, c.f64, c.texts = in.Int32s("i32"), in.Int64s("i64"), in.Float32s("f32"), in.Float64s("f64"), in.Strings("texts")
	return c, in.Close()
}

func (c content) isSample() bool {
	return c.settings.K == 7 && slices.Equal(c.i32, []int32{1, -2, math.MaxInt32}) && slices.Equal(c.i64, []int64{math.MinInt64}) &&
		slices.Equal(c.f32, []float32{0.5}) && len(c.f64) == 0 && slices.Equal(c.texts, []string{"a", "", "ü"})
}

func TestBothFormsRead(t *testing.T) {
	for form, b := range map[string][]byte{"Arrow": sample(t), "earlier": earlier(t)} {
		if c, err := decodeSample(b); err != nil || !c.isSample() {
			t.Errorf("%s: read back %+v, error %v", form, c, err)
		}
	}
}

var writeGolden = flag.Bool("golden", false, "write golden bytes")

const goldenFile = "testdata/golden.arrow"

// The bytes are a public format: models written by an older program must stay readable. After a change that keeps them readable,
// run with -golden.
func TestGoldenBytes(t *testing.T) {
	if *writeGolden {
		if err := os.WriteFile(goldenFile, sample(t), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sample(t), golden) {
		t.Error("the same values give other bytes")
	}
}

// What the Arrow library reads is what other programs read.
func TestArrowReadsIt(t *testing.T) {
	r, err := ipc.NewFileReader(bytes.NewReader(sample(t)))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.NumRecords(); n != 1 {
		t.Fatalf("%d record batches", n)
	}
	record, err := r.Record(0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"[[1 -2 2147483647]]", "[[-9223372036854775808]]", "[[0.5]]", "[[]]", `[["a" "" "ü"]]`} {
		if got := record.Column(i).(*array.List).String(); got != want {
			t.Errorf("section %s is %s, want %s", record.ColumnName(i), got, want)
		}
	}
	metadata := record.Schema().Metadata()
	for key, want := range map[string]string{kindKey: "sample", versionKey: "3", "millrace.config": `{"k":7}`} {
		if got, ok := metadata.GetValue(key); !ok || got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if !slices.IsSorted(metadata.Keys()) {
		t.Errorf("metadata %q is not in order", metadata.Keys())
	}
}

// Numbers are where the file is; only where that is at an odd address they are copied.
func TestNumbersAreUsedWhereTheyAre(t *testing.T) {
	b := sample(t)
	shifted := append(make([]byte, 1, len(b)+1), b...)[1:]
	for name, c := range map[string]struct {
		b    []byte
		want float32
	}{"aligned": {b, 0.25}, "shifted": {shifted, 0.5}} {
		got, err := decodeSample(c.b)
		if err != nil || !got.isSample() {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		half := binary.LittleEndian.AppendUint32(nil, math.Float32bits(0.5))
		binary.LittleEndian.PutUint32(c.b[bytes.Index(c.b, half):], math.Float32bits(0.25))
		if got.f32[0] != c.want {
			t.Errorf("%s: the number is %g after the file's changed, want %g", name, got.f32[0], c.want)
		}
	}
}

func TestLongSections(t *testing.T) {
	values := make([]int64, 3*chunkBytes/8+5)
	for i := range values {
		values[i] = int64(i) * 7
	}
	texts := slices.Repeat([]string{"some-item-id"}, chunkBytes/4)
	var buf bytes.Buffer
	w := NewWriter(&buf, "long", 1)
	w.Int64s("values", values)
	w.Strings("texts", texts)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := NewReader(File{Bytes: buf.Bytes()}, "long", 1)
	gotValues, gotTexts := r.Int64s("values"), r.Strings("texts")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gotValues, values) || !slices.Equal(gotTexts, texts) {
		t.Error("long sections changed on the way")
	}
}

// The earlier form has a checksum of its own. An Arrow file has not: what decodes in spite of a flipped bit has the types and the
// lengths that its metadata says.
func TestFlippedBits(t *testing.T) {
	for form, intact := range map[string][]byte{"Arrow": sample(t), "earlier": earlier(t)} {
		for i := range intact {
			for bit := range 8 {
				broken := slices.Clone(intact)
				broken[i] ^= 1 << bit
				if _, err := decodeSample(broken); err != nil && !errors.Is(err, ErrCorrupt) || err == nil && form == "earlier" {
					t.Fatalf("%s, byte %d bit %d flipped: error %v, want ErrCorrupt", form, i, bit, err)
				}
			}
		}
	}
}

func TestEveryTruncationAndAppendixIsFound(t *testing.T) {
	for form, intact := range map[string][]byte{"Arrow": sample(t), "earlier": earlier(t)} {
		for n := range intact {
			if _, err := decodeSample(intact[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, first %d bytes: error %v, want ErrCorrupt", form, n, err)
			}
		}
		if _, err := decodeSample(append(slices.Clone(intact), 0)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, one byte too many: error %v, want ErrCorrupt", form, err)
		}
	}
}

func TestOtherKindVersionAndSectionsAreRefused(t *testing.T) {
	for _, b := range [][]byte{sample(t), earlier(t)} {
		f := File{Bytes: b}
		for _, r := range []*Reader{NewReader(f, "other", 3), NewReader(f, "sample", 4), NewReader(f, "sample", 1, 2)} {
			if err := r.Close(); !errors.Is(err, ErrCorrupt) {
				t.Errorf("error %v, want ErrCorrupt", err)
			}
		}
	}
	for name, read := range map[string]func(*Reader){
		"unknown": func(r *Reader) { r.Int32s("unknown") },
		"i64":     func(r *Reader) { r.Int32s("i64") },
		"f32":     func(r *Reader) { r.Int32s("f32") },
		"texts":   func(r *Reader) { r.Int32s("texts") },
		"i32":     func(r *Reader) { r.Strings("i32") },
		"form":    func(r *Reader) { r.Text("form") },
	} {
		r := NewReader(File{Bytes: sample(t)}, "sample", 3)
		read(r)
		if err := r.Close(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

func TestReaderOfSeveralVersionsSaysWhichItMet(t *testing.T) {
	for _, b := range [][]byte{sample(t), earlier(t)} {
		if in := NewReader(File{Bytes: b}, "sample", 2, 3); in.Version() != 3 {
			t.Errorf("version %d, want 3", in.Version())
		}
	}
}

// A file that claims what it does not hold makes nobody allocate it: in the earlier form a section's count, in Arrow's any of the
// numbers of its metadata.
func TestLyingCountDoesNotAllocate(t *testing.T) {
	liars := [][]byte{earlier(t)[:26]}
	liars[0] = binary.LittleEndian.AppendUint64(append(slices.Clone(liars[0]), typeBytes), math.MaxInt32)
	for at := 8; at+4 <= len(sample(t)); at += 4 {
		b := sample(t)
		binary.LittleEndian.PutUint32(b[at:], math.MaxInt32-7)
		liars = append(liars, b)
	}
	for i, b := range liars {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decodeSample(b)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16*chunkBytes {
			t.Errorf("liar %d of %d bytes made the reader allocate %d (error %v)", i, len(b), grown, err)
		}
	}
}

// FuzzReader: whatever the bytes are, they are refused as corrupt or lead to values.
func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Add(earlier(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeSample(b)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error %v does not wrap ErrCorrupt", err)
		}
		total := len(c.i32) + len(c.i64) + len(c.f32) + len(c.f64)
		for _, text := range c.texts {
			total += len(text)
		}
		if total > 5*len(b) { // sections may share bytes
			t.Fatalf("%d bytes hold %d values", len(b), total)
		}
	})
}

func TestNamesAreUnique(t *testing.T) {
	for name, write := range map[string]func(*Writer){
		"section": func(w *Writer) { w.Int32s("a", nil); w.Int64s("a", nil) },
		"text":    func(w *Writer) { w.Text("kind", "other") },
	} {
		w := NewWriter(io.Discard, "sample", 1)
		write(w)
		if err := w.Close(); err == nil {
			t.Errorf("two %ss of one name were written", name)
		}
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
	for _, left := range []int{0, 30, 1000} {
		w := NewWriter(&failingWriter{left: left}, "sample", 1)
		w.Int32s("values", make([]int32, 100))
		if err := w.Close(); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("after %d bytes: error %v, want the writer's", left, err)
		}
	}
}
