package history

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readAll returns the values of the good rows in the order of their columns, and the errors of the bad ones.
func readAll(t *testing.T, r *Reader) (rows [][]string, bad []*RowError) {
	t.Helper()
	for {
		row, err := r.Next()
		var rowErr *RowError
		switch {
		case errors.Is(err, io.EOF):
			return rows, bad
		case errors.As(err, &rowErr):
			bad = append(bad, rowErr)
		case err != nil:
			t.Fatal(err)
		default:
			rows = append(rows, row.values)
		}
	}
}

func openText(t *testing.T, format Format, text string) *Reader {
	t.Helper()
	r, err := NewReader(strings.NewReader(text), format)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCSV(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want [][]string
	}{
		"plain":             {"a,b\n1,2\n3,4\n", [][]string{{"1", "2"}, {"3", "4"}}},
		"no last newline":   {"a,b\n1,2", [][]string{{"1", "2"}}},
		"CRLF and BOM":      {"\xef\xbb\xbfa,b\r\n1,2\r\n", [][]string{{"1", "2"}}},
		"empty fields":      {"a,b\n,\n\"\",\n", [][]string{{"", ""}, {"", ""}}},
		"empty lines":       {"a,b\n\n1,2\n\r\n3,4\n", [][]string{{"1", "2"}, {"3", "4"}}},
		"quotes":            {"a,b\n\"x, \"\"y\"\"\",2\n", [][]string{{`x, "y"`, "2"}}},
		"newline in quotes": {"a,b\n\"x\n\ny\",2\n3,4\n", [][]string{{"x\n\ny", "2"}, {"3", "4"}}},
		"ends in quotes":    {"a,b\n1,\"2\"\n", [][]string{{"1", "2"}}},
		"spaces are kept":   {"a , b\n 1, 2 \n", [][]string{{" 1", " 2 "}}},
	} {
		rows, bad := readAll(t, openText(t, CSV, c.text))
		if len(bad) > 0 || !slices.EqualFunc(rows, c.want, slices.Equal) {
			t.Errorf("%s: rows %q, bad %v, want %q", name, rows, bad, c.want)
		}
	}
}

func TestBadRowsDoNotCostTheirNeighbours(t *testing.T) {
	long := strings.Repeat("x", MaxRowBytes+1)
	for name, c := range map[string]struct {
		row  string
		want string
	}{
		"too few":             {"1", "1 fields where the header has 2"},
		"too many":            {"1,2,3", "3 fields where the header has 2"},
		"bare quote":          {`5" pipe,2`, errBareQuote.Error()},
		"text after quote":    {`"5"x,2`, errAfter.Error()},
		"never closed":        {`1,"2`, errOpenQuote.Error()},
		"not UTF-8":           {"1,\xff", "field 2 is not valid UTF-8"},
		"too long":            {"1," + long, ErrTooLong.Error()},
		"never closed, large": {"1,\"2" + strings.Repeat("\nfiller,row", MaxRowBytes/10), errOpenQuote.Error()},
	} {
		text := "a,b\ngood,1\n" + c.row + "\ngood,2\n"
		rows, bad := readAll(t, openText(t, CSV, text))
		if len(bad) != 1 || bad[0].Line != 3 || !strings.Contains(bad[0].Error(), c.want) {
			t.Errorf("%s: errors %.200v, want one of line 3 with %q", name, bad, c.want)
		}
		if len(rows) < 2 || rows[0][1] != "1" || rows[len(rows)-1][1] != "2" {
			t.Errorf("%s: the rows around it are not both there: %d rows", name, len(rows))
		}
	}
}

func TestBadRowsAreCounted(t *testing.T) {
	r := openText(t, CSV, "a,b\n1,2\nbad\n\n3,4\n")
	var got []int64
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			got = append(got, row.Index, row.Line)
		}
	}
	if want := []int64{0, 2, 2, 5}; !slices.Equal(got, want) {
		t.Errorf("index and line of the good rows %v, want %v", got, want)
	}
}

func TestHeaderErrorsSayWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":             "must name the columns",
		"\n\n":         "must name the columns",
		"a,b,a\n":      `columns 1 and 3 are both named "a"`,
		"a,\"b\n":      errOpenQuote.Error(),
		"\x1f\x8bjunk": "gzip",
	} {
		if _, err := NewReader(strings.NewReader(text), CSV); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("header %q: error %v, want %q", text, err, want)
		}
	}
}

func TestJSONLines(t *testing.T) {
	text := `{"item_id": "007", "n": 12345678901234567890, "ok": true, "none": null, "items": [{"item_id": "x"}, {"price": 1.50}]}

{"b": 1, "a": ""}
[1]
{"a": 1} {"a": 2}
null
{"a.b": 1, "a": {"b": 2}}
{"a": "\ud800"` + "\n" + `{"last": "row"}`
	r := openText(t, JSONL, text)
	if r.Columns() != nil {
		t.Errorf("columns %v: JSON lines have no header", r.Columns())
	}
	row, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[string]string{
		"item_id": "007", "n": "12345678901234567890", "ok": "true", "none": "", "items.0.item_id": "x", "items.1.price": "1.50",
	} {
		if got := row.Get(column); got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	if !strings.HasPrefix(string(row.Raw), `{"item_id": "007"`) || row.Has("none") || !row.Has("ok") {
		t.Errorf("raw %q, has none %t", row.Raw, row.Has("none"))
	}
	rows, bad := readAll(t, r)
	if want := [][]string{{"", "1"}, {"row"}}; !slices.EqualFunc(rows, want, slices.Equal) {
		t.Errorf("rows %q, want %q", rows, want)
	}
	var lines []int64
	for _, b := range bad {
		lines = append(lines, b.Line)
	}
	if want := []int64{4, 5, 6, 7, 8}; !slices.Equal(lines, want) {
		t.Errorf("bad lines %v, want %v: %v", lines, want, bad)
	}
}

func TestOpenReadsGzipByContent(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, "a,b\n1,2\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "events.csv") // the name does not say gzip
	if err := os.WriteFile(path, zipped.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path, CSV)
	if err != nil {
		t.Fatal(err)
	}
	rows, bad := readAll(t, r)
	if len(rows) != 1 || len(bad) != 0 || !slices.Equal(r.Columns(), []string{"a", "b"}) {
		t.Errorf("rows %v, bad %v, columns %v", rows, bad, r.Columns())
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestTruncatedGzipIsAnError(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(w, "a,b\n"+strings.Repeat("1,2\n", 1000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(zipped.Bytes()[:zipped.Len()-10]), CSV)
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut file ended with %v", err)
	}
}

func TestOpenErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "missing.csv"), dir} {
		if _, err := Open(path, CSV); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v does not name %s", err, path)
		}
	}
}

func TestDetectFormat(t *testing.T) {
	for path, want := range map[string]Format{
		"a/events.csv.gz": CSV, "X.CSV": CSV, "x.jsonl": JSONL, "x.ndjson.gz": JSONL, "x.parquet": Parquet, "x.orc": "", "events": "",
	} {
		got, err := DetectFormat(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
}

func TestDigestIsOfTheContent(t *testing.T) {
	first := func(format Format, text string) Row {
		row, err := openText(t, format, text).Next()
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	base := first(CSV, "a,b,c\n1,2,\n")
	for name, same := range map[string]Row{
		"columns in another order": first(CSV, "c,b,a\n,2,1\n"),
		"without the empty column": first(CSV, "a,b\n1,2\n"),
		"other line ends":          first(CSV, "a,b,c\r\n\"1\",2,\r\n"),
		"JSON":                     first(JSONL, `{"b": 2, "a": "1", "c": null}`),
	} {
		if same.Digest("default") != base.Digest("default") {
			t.Errorf("%s: another digest", name)
		}
	}
	for name, other := range map[string]Row{
		"values swapped":  first(CSV, "a,b,c\n2,1,\n"),
		"columns swapped": first(CSV, "b,a,c\n1,2,\n"),
		"values joined":   first(CSV, "a,b,c\n1,,2\n"),
	} {
		if other.Digest("default") == base.Digest("default") {
			t.Errorf("%s: the same digest", name)
		}
	}
	if base.Digest("other") == base.Digest("default") {
		t.Error("two sites share a digest")
	}
}

// FuzzCSV checks that reading ends, that rows agree with the header, and that every file that the standard library
// reads strictly gives the same rows here.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a,b\n\"x\n\"\"y\",2\n3,4", "a\n\"\n", "\"a\"\r\n1\r\n", "a,b\n1\"2,3\n", "a\n\n\n1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := NewReader(strings.NewReader(text), CSV)
		if err != nil {
			return
		}
		rows, bad := readAll(t, r)
		for _, row := range rows {
			if len(row) != len(r.Columns()) {
				t.Fatalf("row %q of columns %q", row, r.Columns())
			}
		}
		strict := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\xef\xbb\xbf")))
		want, err := strict.ReadAll()
		if err != nil || len(bad) > 0 || strings.Contains(text, "\r") {
			return // the library keeps a lone CR that ends a quoted line, and we do not promise it
		}
		if !slices.EqualFunc(rows, want[1:], slices.Equal) {
			t.Errorf("rows %q, the standard library reads %q", rows, want[1:])
		}
	})
}

func FuzzJSONL(f *testing.F) {
	f.Add(`{"a": 1, "b": {"c": [true, null, "x"]}}` + "\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := NewReader(strings.NewReader(text), JSONL)
		if err != nil {
			return
		}
		readAll(t, r)
	})
}

func BenchmarkCSV(b *testing.B) {
	text := "session_id,item_id,timestamp,split\n" + strings.Repeat("15354,14742,1590884413,train\n", 10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewReader(strings.NewReader(text), CSV)
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
