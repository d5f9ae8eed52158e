package historyfile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/history"
)

// pyarrowRows are the good rows of the files that testdata/write_parquet.py writes, as JSON lines. The second row is bad,
// and nothing is left of the last one but that it is no row.
const pyarrowRows = `{"id":"a","small":1,"large":1152921504606846977,"unsigned":4294967295,"real":1.5,"single":0.1,"yes":true,` +
	`"us":"2024-02-29T23:59:58.123Z","ms":"2024-02-29T23:59:58.123Z","ns":"2024-02-29T23:59:58.123Z","day":"2024-02-29T00:00:00Z",` +
	`"exact":"12345678901234567.89","price":"19.90","bytes":"text","items":[{"item_id":"x","price":9.5,"tags":["p","q"]},{"item_id":"y"}],` +
	`"props":{"k":"v","l":"w"},"page":{"url":"/"}}
{"small":0,"large":0,"unsigned":0,"yes":false,"us":"1970-01-01T00:00:00Z","exact":"0.00"}
`

func openFile(t *testing.T, name string) *history.Reader {
	t.Helper()
	r, err := Open(filepath.Join("testdata", name), history.Parquet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func openLines(t *testing.T, text string) *history.Reader {
	t.Helper()
	r, err := history.NewReader(strings.NewReader(text), history.JSONL)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestParquetIsAsJSONLines reads what another writer wrote, in two of its dialects, and finds each row to be the one that
// JSON lines say, digest and all.
func TestParquetIsAsJSONLines(t *testing.T) {
	for _, name := range []string{"snappy.parquet", "zstd_v2.parquet"} {
		r, want := openFile(t, name), openLines(t, pyarrowRows)
		for i := range 4 {
			row, err := r.Next()
			var bad *history.RowError
			if reason := map[int]string{1: `column "bytes": it is not valid UTF-8`, 3: "no columns"}[i]; reason != "" {
				if !errors.As(err, &bad) || bad.Line != int64(i+1) || !strings.Contains(err.Error(), reason) {
					t.Errorf("%s: row %d: %v, want %s", name, i+1, err, reason)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: row %d: %v", name, i+1, err)
			}
			expected, err := want.Next()
			if err != nil {
				t.Fatal(err)
			}
			if row.Line != int64(i+1) || row.Index != int64(i) {
				t.Errorf("%s: row %d says that it is line %d, index %d", name, i+1, row.Line, row.Index)
			}
			if row.Digest("s") != expected.Digest("s") {
				t.Errorf("%s: row %d is\n%s, want\n%s", name, i+1, row.Raw, expected.Raw)
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last row: %v", name, err)
		}
	}
}

func TestParquetInt96(t *testing.T) {
	row, err := openFile(t, "int96.parquet").Next()
	if err != nil || row.Get("us") != "2024-02-29T23:59:58.123Z" {
		t.Errorf("%s, %v", row.Raw, err)
	}
}

func TestParquetRefused(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("testdata", "snappy.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	lz4, err := os.ReadFile(filepath.Join("testdata", "lz4.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty": {nil, "not a Parquet file"}, "text": {[]byte("a,b\n1,2\n"), "not a Parquet file"},
		"cut": {whole[:len(whole)-9], "not a Parquet file"}, "LZ4": {lz4, "write the file with zstd or snappy"},
	} {
		path := filepath.Join(t.TempDir(), "x.parquet")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, history.Parquet); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// FuzzParquet damages files: whatever is in one, reading it ends with rows and errors.
func FuzzParquet(f *testing.F) {
	for _, name := range []string{"snappy.parquet", "zstd_v2.parquet", "int96.parquet"} {
		content, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		rows, err := newParquetRows(bytes.NewReader(content), int64(len(content)))
		for n := 0; err == nil && n < 100; n++ {
			var bad *history.RowError
			if _, err = rows.read(); errors.As(err, &bad) {
				err = nil
			}
		}
	})
}
