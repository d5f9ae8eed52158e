package serving

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
)

// The files in testdata tell what a list must be in words of the domain, one command a line:
//
//	item JSON              a catalogue row
//	event AGO KEY=VALUE... something a visitor did AGO before the request: a= browser, u= user, type=, id=, items=
//	                       separated by commas, and of each item category= and name=
//	session ID ID ...      a session of the training data
//	order ID ID ...        what was bought together in the training data
//	train                  fit and promote a version of the sessions so far
//	placement NAME KIND JSON  a placement of the shop's own with its settings
//	trends                 read the item aggregates, as serving does every few seconds
//	ask JSON               a request; the lines below it say what the answer is:
//	  list ID ID ...       exactly these items in this order
//	  first ID ID ...      these items at the head of the list, in any order
//	  degraded RUNG · served_by SOURCE · stale BOOL
//	  reason ID TEXT       one of the item's reasons
func TestDomain(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runDomain(t, file) })
	}
}

func runDomain(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := start(t)
	var answer Answer
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		command, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch command {
		case "", "#":
		case "item":
			if r := h.put(rest); r.Accepted != 1 {
				t.Fatalf("%s:%d: %+v", file, number, r)
			}
		case "event":
			h.happen(parseEvent(t, rest))
		case "session":
			h.sessions = append(h.sessions, strings.Fields(rest))
		case "order":
			h.orders = append(h.orders, strings.Fields(rest))
		case "train":
			h.train(h.sessions)
			h.serving.models.poll(t.Context(), testSite)
		case "placement":
			h.place(rest)
		case "trends":
			h.refresh()
		case "ask":
			answer = h.ask(rest)
		default:
			if !expect(t, answer, command, rest) {
				t.Errorf("%s:%d: %s\n  got %s %s (served_by %s) %s", file, number, line, answer.Degraded, strings.Join(ids(answer), " "), answer.ServedBy, reasonsOf(answer))
			}
		}
	}
}

// place sets a placement up: its name, its kind and its settings.
func (h *house) place(text string) {
	h.tb.Helper()
	name, rest, _ := strings.Cut(text, " ")
	kind, settings, _ := strings.Cut(rest, " ")
	if _, p := ParseSettings(kind, json.RawMessage(settings)); p != nil {
		h.tb.Fatal(p)
	}
	h.must(h.control.PutPlacement(h.tb.Context(), control.Placement{
		Site: testSite, Name: name, Kind: kind, Limit: control.DefaultPlacementLimit, Settings: json.RawMessage(settings),
	}))
}

func expect(t *testing.T, a Answer, what, want string) bool {
	switch what {
	case "list":
		return slices.Equal(ids(a), strings.Fields(want))
	case "first":
		head := ids(a)
		wanted := strings.Fields(want)
		if len(head) < len(wanted) {
			return false
		}
		head = slices.Sorted(slices.Values(head[:len(wanted)]))
		slices.Sort(wanted)
		return slices.Equal(head, wanted)
	case "degraded":
		return a.Degraded == want
	case "served_by":
		return a.ServedBy == want
	case "stale":
		return a.Stale == (want == "true")
	case "reason":
		id, text, _ := strings.Cut(want, " ")
		i := slices.Index(ids(a), id)
		return i >= 0 && slices.Contains(a.Items[i].Reasons, text)
	}
	t.Fatalf("unknown command %q", what)
	return false
}

func reasonsOf(a Answer) string {
	var b strings.Builder
	for _, item := range a.Items {
		text, _ := json.Marshal(item.Reasons)
		b.WriteString(item.ItemID + "=" + string(text) + " ")
	}
	return b.String()
}

func parseEvent(t testing.TB, text string) *event.Event {
	t.Helper()
	ago, rest, _ := strings.Cut(text, " ")
	age, err := time.ParseDuration(ago)
	if err != nil {
		t.Fatal(err)
	}
	e := &event.Event{OccurredAt: noon.Add(-age), ReceivedAt: noon.Add(-age)}
	category, name := "", ""
	for _, pair := range strings.Fields(rest) {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "a":
			e.AnonymousID = value
		case "u":
			e.UserID = value
		case "type":
			e.Type = value
		case "id":
			e.EventID = value
		case "category":
			category = value
		case "name":
			name = value
		case "items":
			for id := range strings.SplitSeq(value, ",") {
				e.Items = append(e.Items, event.Item{ItemID: id})
			}
		default:
			t.Fatalf("unknown field %q of an event", key)
		}
	}
	for i := range e.Items {
		e.Items[i].ItemCategory, e.Items[i].ItemName = category, name
	}
	return e
}
