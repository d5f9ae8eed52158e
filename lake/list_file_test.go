package lake

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// Lists are read back by the library as they were written, over more rows than are encoded at a time.
func TestListFile(t *testing.T) {
	var out bytes.Buffer
	f, err := NewListFile(&out)
	if err != nil {
		t.Fatal(err)
	}
	const rows = encodeChunkRows + 100
	for i := range rows {
		item := ListItem{UserID: fmt.Sprint("größe-", i/3), Placement: "home", Position: int32(i % 3), ItemID: fmt.Sprint("i", i), Score: 1 / float64(i+1), RecID: fmt.Sprint(i / 3), Variant: fmt.Sprint("e:", i%2)}
		if i%2 == 0 {
			item.Reasons, item.ModelVersion = []string{"popular", "new here"}, "v1"
		}
		if err := f.Write(&item); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := parquet.Read[listRow](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil || len(got) != rows {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	for i, r := range got {
		known := r.ModelVersion != nil && *r.ModelVersion == "v1" && len(r.Reasons) == 2
		if r.UserID != fmt.Sprint("größe-", i/3) || r.Position != int32(i%3) || r.ItemID != fmt.Sprint("i", i) || r.Score != 1/float64(i+1) || known != (i%2 == 0) || r.Variant != fmt.Sprint("e:", i%2) {
			t.Fatalf("row %d is %+v", i, r)
		}
	}
}
