package trainer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// text writes sessions as lines of item ids.
func text(d *dataset) string {
	var lines []string
	for i := range d.log.Sessions.Len() {
		items, _ := d.log.Sessions.At(i)
		var ids []string
		for _, item := range items {
			ids = append(ids, d.log.Vocabulary.ID(item))
		}
		lines = append(lines, strings.Join(ids, " "))
	}
	return strings.Join(lines, "\n")
}

// unwatched lets everything pass.
func unwatched() watch {
	return watch{admit: func(int64) error { return nil }, report: func(int64) {}}
}

func read(t *testing.T, cfg Config, events ...Interaction) *dataset {
	t.Helper()
	cfg.Site = testSite
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDataset(t.Context(), cfg, &sliceSource{events: events}, unwatched())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.log.Sessions.Check(d.log.Vocabulary.Len()); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSessions(t *testing.T) {
	at := func(minutes int) time.Time { return testStart.Add(time.Duration(minutes) * time.Minute) }
	with := func(i Interaction, change func(*Interaction)) Interaction { change(&i); return i }
	kind := func(name string) func(*Interaction) { return func(i *Interaction) { i.Type = name } }
	given := func(id string) func(*Interaction) { return func(i *Interaction) { i.SessionID = id } }
	for _, c := range []struct {
		name   string
		events []Interaction
		want   string
	}{
		{"a silence of 30 minutes ends a session", []Interaction{
			view("b", "x", at(0)), view("b", "y", at(29)), view("b", "z", at(59)),
		}, "x y\nz"},
		{"no session is longer than a day", func() (long []Interaction) {
			for i := range 60 {
				long = append(long, view("b", fmt.Sprintf("i%02d", i), at(i*25)))
			}
			return long
		}(), strings.Join(idsTo(0, 58), " ") + "\n" + strings.Join(idsTo(58, 60), " ")},
		{"a given session id wins over time and joins nothing else", []Interaction{
			with(view("b", "x", at(0)), given("s1")), with(view("b", "y", at(500)), given("s1")),
			with(view("b", "z", at(1)), given("s2")), view("b", "w", at(2)),
		}, "z\nw\nx y"},
		{"the same session id of two browsers is two sessions", []Interaction{
			with(view("b", "x", at(0)), given("s")), with(view("c", "y", at(1)), given("s")),
		}, "x\ny"},
		{"a browser is one visitor before and after login", []Interaction{
			view("b", "x", at(0)), with(view("b", "y", at(1)), func(i *Interaction) { i.UserID = "u" }),
		}, "x y"},
		{"a user without a browser is a visitor, and not the browser of that name", []Interaction{
			with(view("", "x", at(0)), func(i *Interaction) { i.UserID = "b" }),
			with(view("", "y", at(1)), func(i *Interaction) { i.UserID = "b" }), view("b", "z", at(2)),
		}, "x y\nz"},
		{"robots and impressions do not count", []Interaction{
			view("b", "x", at(0)), with(view("b", "y", at(1)), func(i *Interaction) { i.IsBot = true }),
			with(view("b", "z", at(2)), kind(event.ViewItemList)), with(view("b", "w", at(3)), kind(event.PageView)),
		}, "x"},
		{"without consent each item stands alone", []Interaction{
			with(view("b", "x", at(0)), func(i *Interaction) { i.Personalized = false }),
			with(view("b", "y", at(1)), func(i *Interaction) { i.Personalized = false }), view("", "z", at(2)),
		}, "x\ny\nz"},
		{"equal times keep the order of recording", []Interaction{
			with(view("b", "x", at(0)), func(i *Interaction) { i.Sequence = 2 }),
			with(view("b", "y", at(0)), func(i *Interaction) { i.Sequence = 1 }),
		}, "y x"},
		{"a click in a list and the page it opens are one act", []Interaction{
			with(view("b", "x", at(0)), kind(event.SelectItem)), view("b", "x", at(1)), view("b", "y", at(2)),
		}, "x y"},
		{"coming back counts, and so does a reload", []Interaction{
			view("b", "x", at(0)), view("b", "y", at(1)), view("b", "x", at(2)), view("b", "x", at(3)),
		}, "x y x x"},
		{"a cart and a purchase of what was seen are no next item", []Interaction{
			view("b", "x", at(0)), view("b", "y", at(1)), with(view("b", "x", at(2)), kind(event.AddToCart)),
			with(view("b", "", at(3)), func(i *Interaction) {
				i.Type, i.Items = event.Purchase, []InteractionItem{{ID: "x"}, {ID: "new"}, {ID: ""}, {ID: "more"}}
			}),
		}, "x y new more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text(read(t, Config{}, c.events...)); got != c.want {
				t.Fatalf("sessions are\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A program that sends one session id for ever makes no session that grows for ever.
func TestNoSessionIsLongerThanMaxSession(t *testing.T) {
	var events []Interaction
	for i := range 2*maxSession + 1 {
		endless := view("kiosk", fmt.Sprintf("i%02d", i%12), testStart.Add(time.Duration(i)*time.Minute))
		endless.SessionID = "always"
		events = append(events, endless)
	}
	s := read(t, Config{}, events...).log.Sessions
	if want := []int{0, maxSession, 2 * maxSession, 2*maxSession + 1}; !slices.Equal(s.Offsets, want) || !slices.Equal(s.Users, []int32{0, 0, 0}) {
		t.Errorf("sessions of visitors %v begin at %v, want %v of one visitor", s.Users, s.Offsets, want)
	}
}

// idsTo lists the item ids i<from> to i<to-1>.
func idsTo(from, to int) (ids []string) {
	for i := from; i < to; i++ {
		ids = append(ids, fmt.Sprintf("i%02d", i))
	}
	return ids
}

// The window counts back from the newest event, however long ago that was.
func TestWindow(t *testing.T) {
	old := time.Date(2011, 5, 1, 0, 0, 0, 0, time.UTC)
	d := read(t, Config{Window: 24 * time.Hour},
		view("b", "before", old.Add(-25*time.Hour)), view("b", "edge", old.Add(-24*time.Hour)), view("c", "newest", old))
	if got := text(d); got != "edge\nnewest" || d.rows != 2 || !d.to.Equal(old) {
		t.Fatalf("window holds %q, %d rows, to %s", got, d.rows, d.to)
	}
}

func TestCategoriesAreThoseOfTheNewestEvent(t *testing.T) {
	with := func(i Interaction, categories ...string) Interaction {
		i.Items[0].Categories = categories
		return i
	}
	d := read(t, Config{},
		with(view("b", "x", testStart.Add(2*time.Minute)), "shoes", "boots"),
		with(view("b", "x", testStart), "old"),
		view("b", "x", testStart.Add(3*time.Minute)), view("b", "y", testStart))
	got := d.log.Items
	if !slices.Equal(got[0].Categories, []string{"shoes", "boots"}) || len(got[1].Categories) != 0 {
		t.Fatalf("categories are %v", got)
	}
}

// A visitor's sessions belong together, whatever they did with an item weighs once, and their device is their segment.
func TestSessionsKeepTheirVisitorAndWeights(t *testing.T) {
	at := func(minutes int) time.Time { return testStart.Add(time.Duration(minutes) * time.Minute) }
	with := func(i Interaction, change func(*Interaction)) Interaction { change(&i); return i }
	device := func(name string) func(*Interaction) { return func(i *Interaction) { i.Device = name } }
	d := read(t, Config{},
		with(view("late", "x", at(50)), device("desktop")), with(view("late", "y", at(51)), device("mobile")),
		view("b", "x", at(0)), view("b", "y", at(1)), of(event.AddToCart, view("b", "", at(2)), "x"), of(event.Purchase, view("b", "", at(3)), "x", "z"),
		view("b", "z", at(200)),
		with(view("b", "y", at(300)), func(i *Interaction) { i.Personalized = false }))
	var got []string
	for i := range d.log.Sessions.Len() {
		s := d.log.Sessions.Session(i)
		line := fmt.Sprintf("%d %q", s.User, s.Segment)
		for e, item := range s.Items {
			line += fmt.Sprintf(" %s:%g", d.log.Vocabulary.ID(item), s.Weights[e])
		}
		got = append(got, line)
	}
	want := []string{`0 "" x:5 y:1 z:5`, `1 "mobile" x:1 y:1`, `0 "" z:1`, `-1 "" y:1`}
	if !slices.Equal(got, want) {
		t.Errorf("sessions are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The catalogue knows items that nobody has met, and knows better than events what an item is.
func TestTheCatalogueAddsItems(t *testing.T) {
	seen := view("b", "x", testStart)
	seen.Items[0].Name, seen.Items[0].Categories = "from an event", []string{"heard"}
	heard := view("b", "y", testStart.Add(time.Second))
	heard.Items[0].Name, heard.Items[0].Brand = "Y", "Acme"
	cfg, err := Config{Site: testSite}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	d, err := readDataset(t.Context(), cfg, &sliceSource{events: []Interaction{seen, heard}, catalogue: []event.CatalogueItem{
		{ItemID: "x", Title: "X", Categories: []string{"shoes"}}, {ItemID: "new", Title: "N", Categories: []string{"boots"}},
	}}, unwatched())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range d.itemsOf(d.log.Vocabulary) {
		got = append(got, fmt.Sprint(it.ItemID, it.Title, it.Brand, it.Categories))
	}
	if want := []string{"newN[boots]", "xX[shoes]", "yYAcme[]"}; !slices.Equal(got, want) {
		t.Errorf("items are %q, want %q", got, want)
	}
}

func TestEmptySource(t *testing.T) {
	if d := read(t, Config{}); d.rows != 0 || d.sessions != 0 || d.log.Sessions.Len() != 0 {
		t.Fatalf("read %+v", d)
	}
}

// The order in which the lake is read must not show.
func TestOrderOfReadingDoesNotMatter(t *testing.T) {
	events := planted(200, 3)
	for i := range events { // many equal times
		events[i].OccurredAt = events[i].OccurredAt.Truncate(time.Hour)
	}
	for i := range 200 { // of people who allowed no profile, whom nothing tells apart
		lone := of([]string{event.ViewItem, event.AddToCart, event.Purchase}[i%3], view("", "", testStart), "a00")
		lone.Personalized, lone.Sequence = false, int64(i)
		events = append(events, lone)
	}
	cfg, err := Config{Site: testSite}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	first := read(t, Config{}, events...)
	want := text(first)
	for seed := range uint64(3) {
		source := &sliceSource{events: events, order: rand.New(rand.NewPCG(seed, 9))}
		d, err := readDataset(t.Context(), cfg, source, unwatched())
		if err != nil {
			t.Fatal(err)
		}
		if text(d) != want || !slices.Equal(d.log.Sessions.Weights, first.log.Sessions.Weights) {
			t.Fatalf("order %d gives other sessions", seed)
		}
	}
}

// Where the window holds enough, what lies before it is named; where it holds too little, it is widened to all history.
func TestOlderEventsAreNoted(t *testing.T) {
	old := planted(600, 1)
	events := append(slices.Clone(old), view("b", "x", testStart.Add(3*DefaultWindow)))
	want := "the window of 8760h alone holds 0 sessions, so the 3,000 older events (2026-03-01 to 2026-03-05) were used too"
	var seen []Progress
	run := func(cfg Config) Result {
		seen, cfg.Site, cfg.Skip = nil, testSite, Optional()
		result, err := Run(t.Context(), cfg, Deps{
			Source: &sliceSource{events: events}, Registry: openRegistry(t), Progress: func(p Progress) { seen = append(seen, p) },
		})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	said := func() bool { return slices.ContainsFunc(seen, func(p Progress) bool { return p.Detail == want }) }
	if result := run(Config{}); !result.Promoted || result.Rows != 3001 || !strings.HasSuffix(result.Reason, want) || !said() {
		t.Errorf("result %+v, progress %+v", result, seen)
	}
	events = append(old, later(planted(300, 2), 3*DefaultWindow)...)
	want = "3,000 older events (2026-03-01 to 2026-03-05) lie before the window of 8760h; set trainer.window to train on them"
	if result := run(Config{}); result.Rows != 1500 || !strings.HasSuffix(result.Reason, want) || !said() {
		t.Errorf("result %+v, progress %+v", result, seen)
	}
	if result := run(Config{Window: 4 * DefaultWindow}); result.Version == "" || strings.Contains(result.Reason, "older") || said() {
		t.Errorf("with a window over all: %+v, progress %+v", result, seen)
	}
}

func BenchmarkDataset(b *testing.B) {
	events := planted(20_000, 1)
	cfg, err := Config{Site: testSite}.withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readDataset(b.Context(), cfg, &sliceSource{events: events}, unwatched()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(events)*b.N)/b.Elapsed().Seconds(), "events/s")
}
