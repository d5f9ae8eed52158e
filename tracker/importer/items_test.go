package importer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/tracker/importer"
)

// shelf keeps rows as a catalogue would, and refuses those without an id.
type shelf struct {
	site  string
	rows  []string
	calls int
}

func (s *shelf) Upsert(_ context.Context, site string, rows []json.RawMessage) ([]importer.ItemReject, error) {
	s.site = site
	s.calls++
	var refused []importer.ItemReject
	for i, row := range rows {
		if !strings.Contains(string(row), `"item_id"`) {
			refused = append(refused, importer.ItemReject{Index: i, Reason: "missing_item_id: the row has no item_id"})
			continue
		}
		s.rows = append(s.rows, string(row))
	}
	return refused, nil
}

func itemsConfig(t *testing.T) importer.ItemsConfig {
	return importer.ItemsConfig{Site: "shop", RejectDir: filepath.Join(t.TempDir(), "rejects")}
}

func TestItems(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		mapping    string
		want       []string
	}{
		"csv": {
			file: "items.csv",
			text: "item_id,name,genres,price,available,published_at,colour,labels\n" +
				"007,Pot,kitchen| pots ,19.5,no,1590884413,red,\"[\"\"new\"\",\"\"sale\"\"]\"\n" +
				"008,,,,,,,\n",
			want: []string{
				`{"item_id":"007","title":"Pot","categories":["kitchen","pots"],"price":19.5,"available":false,"published_at":"2020-05-31T00:20:13Z","labels":["new","sale"],"fields":{"colour":"red"}}`,
				`{"item_id":"008"}`,
			},
		},
		"jsonl": {
			file: "items.jsonl",
			text: `{"item_id":"a","title":"Pot","categories":["kitchen","pots"],"weight":2.5,"fields":{"colour":"red"},"sizes":["s","m"],"gone":null}` + "\n",
			want: []string{`{"item_id":"a","title":"Pot","categories":["kitchen","pots"],"fields":{"colour":"red","sizes":["s","m"],"weight":2.5}}`},
		},
		"mapped": {
			file: "items.csv", text: "code,description,title\nx,A pot,ignored\n", mapping: "item_id=code,title=description",
			want: []string{`{"item_id":"x","title":"A pot","fields":{"title":"ignored"}}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := itemsConfig(t)
			var err error
			if cfg.Map, err = importer.ParseItemMapping(c.mapping); err != nil {
				t.Fatal(err)
			}
			out := &shelf{}
			sum, err := importer.Items(t.Context(), file(t, c.file, c.text), cfg, importer.ItemsDeps{Sink: out})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(out.rows, c.want) {
				t.Errorf("rows\n%s\nwant\n%s", strings.Join(out.rows, "\n"), strings.Join(c.want, "\n"))
			}
			if sum.Written != int64(len(c.want)) || sum.Rejected != 0 || out.site != "shop" {
				t.Errorf("summary %+v, site %s", sum, out.site)
			}
		})
	}
}

// Bad rows, found here or by the catalogue, in whichever batch, are named by their line; the others are written.
func TestItemsRejects(t *testing.T) {
	var text strings.Builder
	text.WriteString("item_id,price,available\n")
	const rows = 2*importer.ItemBatchRows + 10
	for i := range rows {
		switch i {
		case 1:
			text.WriteString("a,cheap,\n")
		case 2:
			text.WriteString("a,1,perhaps\n")
		case rows - 1:
			text.WriteString(",1,\n")
		default:
			fmt.Fprintf(&text, "i%d,1,yes\n", i)
		}
	}
	out := &shelf{}
	sum, err := importer.Items(t.Context(), file(t, "items.csv", text.String()), itemsConfig(t), importer.ItemsDeps{Sink: out})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Rows != rows || sum.Written != rows-3 || sum.Rejected != 3 || out.calls != 3 {
		t.Errorf("summary %+v after %d calls", sum, out.calls)
	}
	rejects, err := os.ReadFile(sum.RejectFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`3,"price ""cheap"" is not a number"`,
		`4,"available ""perhaps"" is neither true nor false"`,
		fmt.Sprintf(`%d,missing_item_id: the row has no item_id`, rows+1),
	} {
		if !strings.Contains(string(rejects), want) {
			t.Errorf("rejects lack %s:\n%s", want, rejects)
		}
	}
}

func TestItemsRefuses(t *testing.T) {
	if _, err := importer.ParseItemMapping("colour=c"); err == nil || !strings.Contains(err.Error(), `no catalogue field "colour"; the fields are item_id, item_group_id, title`) {
		t.Errorf("error %v", err)
	}
	for text, want := range map[string]string{
		"code,price\nx,1\n": "no column holds the item's id; the file has: code, price. Name one with --map item_id=COLUMN",
		"":                  "the file is empty",
	} {
		_, err := importer.Items(t.Context(), file(t, "items.csv", text), itemsConfig(t), importer.ItemsDeps{Sink: &shelf{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	cfg := itemsConfig(t)
	cfg.Map = mapping(t, "title=nowhere")
	_, err := importer.Items(t.Context(), file(t, "items.csv", "item_id\nx\n"), cfg, importer.ItemsDeps{Sink: &shelf{}})
	if err == nil || !strings.Contains(err.Error(), `the file has no column "nowhere", which is mapped to title`) {
		t.Errorf("error %v", err)
	}
}
