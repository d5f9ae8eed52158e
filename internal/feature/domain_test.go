package feature

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

var update = flag.Bool("update", false, "write what the code computes into testdata")

// TestDomain runs the texts in testdata: events in, features out. A file is a comment that says what must hold, the line
// "-- events --", one event a line in JSON, and the line "-- profile --" or "-- item ID --" with the view expected;
// or "-- site --". All events are one visitor's and one site's.
func TestDomain(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no domain tests found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runDomain(t, file) })
	}
}

func runDomain(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "-- events --\n")
	if !ok {
		t.Fatal("no events section")
	}
	at := strings.Index(rest, "-- ")
	if at < 0 {
		t.Fatal("no expectation")
	}
	input, expected := rest[:at], rest[at:]
	title, want, _ := strings.Cut(expected, "\n")
	var profile Profile
	var site SiteAggregate
	items := map[string]*ItemAggregate{}
	for line := range strings.Lines(input) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var e event.Event
		if err := event.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if FeedsSite(&e) {
			site.Apply(&e)
		}
		item := func(id string) *ItemAggregate {
			if items[id] == nil {
				items[id] = &ItemAggregate{}
			}
			return items[id]
		}
		if FeedsProfile(&e) {
			if !profile.Apply(&e) {
				continue
			}
			for _, m := range profile.Met() {
				item(m.Item).Meet(m.Other, e.OccurredAt.UnixMilli())
				item(m.Other).Meet(m.Item, e.OccurredAt.UnixMilli())
			}
		}
		if FeedsItems(&e) {
			for i := range e.Items {
				item(e.Items[i].ItemID).Apply(&e, &e.Items[i])
			}
		}
	}
	// What is stored is what is compared: the values go through the codec.
	var view any
	if id, ok := strings.CutPrefix(strings.Trim(title, "- "), "item "); ok {
		a, err := DecodeItemAggregate(items[id].Encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		view = a.View(id)
	} else if title == "-- site --" {
		s, err := DecodeSiteAggregate(site.Encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		view = s.View("default")
	} else {
		p, err := DecodeProfile(profile.Encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		view = p.View("default:a:b1:0")
	}
	got, err := json.MarshalIndent(view, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, []byte(head+"-- events --\n"+input+title+"\n"+string(got)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, []byte(want)) {
		t.Errorf("%s\ngot:\n%s\nwant:\n%s", head, got, want)
	}
}
