package content

import (
	"compress/gzip"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
)

// readTable reads a file of the online-retail data without its head. It may not be redistributed, so it is no part of the project.
func readTable(t *testing.T, name string) [][]string {
	t.Helper()
	dir := os.Getenv("MILLRACE_TEST_DATA")
	if dir == "" {
		t.Skip("MILLRACE_TEST_DATA does not name the folder of public data sets")
	}
	f, err := os.Open(filepath.Join(dir, "online-retail", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// TestRealNewItems asks for the items that were sold for the first time in the newest fifth of a gift shop's orders, which no model of
// events could know: of the twenty most like an order's other items, one is the new item many times as often as by chance.
func TestRealNewItems(t *testing.T) {
	vocabulary, items := model.NewVocabulary(), []*event.CatalogueItem{}
	for _, row := range readTable(t, "items.csv.gz") {
		if int(vocabulary.Add(row[0])) == len(items) {
			items = append(items, &event.CatalogueItem{ItemID: row[0], Title: row[1], Available: true})
		}
	}
	events := readTable(t, "events.csv.gz") // by time
	seen, orders := make([]bool, len(items)), map[string][]int32{}
	var invoices []string
	for i, row := range events {
		item, ok := vocabulary.Index(row[1])
		if !ok || row[3] != "purchase" {
			continue
		}
		if i < len(events)*4/5 {
			seen[item] = true
			continue
		}
		if orders[row[4]] == nil {
			invoices = append(invoices, row[4])
		}
		orders[row[4]] = append(orders[row[4]], item)
	}
	m := fit(t, Default(), items)
	hits, asked := 0, 0
	for _, invoice := range invoices {
		order := orders[invoice]
		for _, item := range order {
			rest := slices.DeleteFunc(slices.Clone(order), func(other int32) bool { return other == item || !seen[other] })
			if seen[item] || len(rest) == 0 {
				continue
			}
			asked++
			top := m.Score(nil, model.Query{Items: rest[max(0, len(rest)-5):], Set: true}, 20)
			if slices.ContainsFunc(top, func(s model.Scored) bool { return s.Item == item }) {
				hits++
			}
		}
	}
	rate, chance := float64(hits)/float64(asked), 20/float64(len(items))
	t.Logf("HR@20 of new items %.4f, by chance %.4f, n = %d", rate, chance, asked)
	if asked < 500 || rate < 10*chance {
		t.Errorf("new items are found in %d of %d orders", hits, asked)
	}
}
