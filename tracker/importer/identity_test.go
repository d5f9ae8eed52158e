package importer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/tracker/importer"
)

// The ids of rows are a promise across versions of the program: were they to change, importing a file again would count
// its rows twice. This test may get new lines, the old ones never change.
func TestEventIDsAreForEver(t *testing.T) {
	out := &log{}
	text := "user_id,item_id,timestamp,note\nu1,i1,1590884413,\nu1,i1,1590884413,\nu1,i1,1590884413,\nü,0007,1590884414,\"a, b\"\n"
	if _, err := newImporter(t, views, importer.Deps{Producer: out, Ledger: ledger(t)}).Events(t.Context(), file(t, "x.csv", text)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1fa5eea7-edcb-8f80-9a3c-eed1ae5a912e",
		"916b13dd-e2e8-8305-b240-868b03942764",
		"b62d9f0c-ceb7-8746-8bd0-5183bbac5d3a",
		"48504962-2506-8b85-b28a-a4a70a71c1fb",
	}
	var got []string
	for _, e := range out.events(t) {
		got = append(got, e.EventID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("ids\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// pages is a ledger in memory, for the many short runs of a fuzzer.
type pages map[string]control.ImportProgress

func (p pages) CheckImport(_ context.Context, site, digest, file, mapping string) (control.ImportProgress, error) {
	if known, ok := p[site+digest]; ok {
		return known, nil
	}
	return control.ImportProgress{Site: site, Digest: digest, File: file, Mapping: mapping}, nil
}

func (p pages) ImportProgress(_ context.Context, site, digest string) (control.ImportProgress, bool, error) {
	known, ok := p[site+digest]
	return known, ok, nil
}

func (p pages) SaveImportProgress(_ context.Context, progress control.ImportProgress) error {
	progress.StartedAt = time.Unix(1_600_000_000, 0).UTC()
	p[progress.Site+progress.Digest] = progress
	return nil
}

// Whatever a file holds: every row is sent or rejected, no id is given twice, what is sent is a sound event, and an
// interrupted import ends with the same ids.
func FuzzEvents(f *testing.F) {
	f.Add("user_id,item_id,timestamp\nu,i,1590884413\nu,i,1590884413\n,,\nu,\"i\n", false)
	f.Add("anonymous_id,event_type,price,session_id\na,view_item,x,s\na,page_view,1,s\n", false)
	f.Add(`{"user_id":1,"item_id":"a"}`+"\n"+`{"user_id":"b","item_id":[1]}`+"\n", true)
	f.Add(`{"type":"purchase","user_id":"u","occurred_at":1,"items":[{"item_id":"a","price":-1}]}`+"\n{}\n", true)
	f.Fuzz(func(t *testing.T, text string, jsonl bool) {
		name := "x.csv"
		if jsonl {
			name = "x.jsonl"
		}
		path := file(t, name, text)
		cfg := importer.Config{Type: event.PageView, BatchRows: 2}
		whole := &log{}
		sum, err := newImporter(t, cfg, importer.Deps{Producer: whole, Ledger: pages{}}).Events(t.Context(), path)
		if err != nil {
			return // a file without sense as a whole
		}
		events := whole.events(t)
		if sum.Added+sum.Rejected != sum.Rows || int(sum.Added) != len(events) || len(ids(events)) != len(events) {
			t.Fatalf("summary %+v of %d events with %d ids", sum, len(events), len(ids(events)))
		}
		for i := range events {
			if p := events[i].Admit(event.AdmitInput{Site: event.DefaultSite, ReceivedAt: sum.StartedAt, Import: true}); p != nil {
				t.Fatalf("event %+v: %v", events[i], p)
			}
		}
		killed := errors.New("killed")
		out, book := &log{failAt: 1 + len(text)%3, failAfter: len(text)%2 == 0, failWith: killed}, pages{}
		im := newImporter(t, cfg, importer.Deps{Producer: out, Ledger: book})
		if _, err := im.Events(t.Context(), path); err != nil && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if _, err := im.Events(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids(out.events(t)), ids(events)) {
			t.Fatal("an interrupted import ends with other ids")
		}
	})
}
