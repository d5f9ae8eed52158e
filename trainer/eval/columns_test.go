package eval

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/model"
)

func TestLoadCutsAVisitorsEventsByTheSessionRule(t *testing.T) {
	l := mustLoad(t, "e.csv", "user_id,item_id,timestamp\nu,a,0\nv,x,10\nu,b,1799\nu,c,3599\nu,d,1000000\n", Config{})
	want := [][]string{{"x"}, {"a", "b"}, {"c"}, {"d"}} // 30 minutes of silence end a session
	if !slices.EqualFunc(ids(l), want, slices.Equal) || !slices.Equal(l.Sessions.Users, []int32{1, 0, 0, 0}) {
		t.Errorf("sessions %v of users %v, want %v of 1, 0, 0, 0", ids(l), l.Sessions.Users, want)
	}
}

// The sessions of the file win over the rule, and belong to the first user that they name.
func TestLoadKeepsGivenSessionsWhole(t *testing.T) {
	l := mustLoad(t, "e.csv", "session_id,user_id,item_id,timestamp\n1,,a,0\n1,u,b,900000\n2,u,c,900001\n3,,d,900002\n", Config{})
	if want := [][]string{{"a", "b"}, {"c"}, {"d"}}; !slices.EqualFunc(ids(l), want, slices.Equal) {
		t.Errorf("sessions %v, want %v", ids(l), want)
	}
	if !slices.Equal(l.Sessions.Users, []int32{0, 0, model.NoUser}) {
		t.Errorf("users %v", l.Sessions.Users)
	}
}

func TestLoadWeighsTypes(t *testing.T) {
	text := "user_id,item_id,timestamp,event_type\nu,a,1,pv\nu,b,2,cart\nu,c,3,buy\nu,d,4,cancel\n"
	l := mustLoad(t, "e.csv", text, Config{})
	if l.Sessions.Weights != nil || l.LeftOut != 1 || l.Rows != 3 || !maps.Equal(l.Types, map[string]int{"pv": 1, "cart": 1, "buy": 1, "cancel": 1}) {
		t.Errorf("weights %v, %d left out of %v: what was taken back counts nothing", l.Sessions.Weights, l.LeftOut, l.Types)
	}
	l = mustLoad(t, "e.csv", text, Config{Weights: map[string]float64{"pv": 0, "buy": 5, "cancel": 0.5}})
	if !slices.Equal(l.Sessions.Weights, []float32{1, 5, 0.5}) || l.LeftOut != 1 {
		t.Errorf("weights %v, %d left out", l.Sessions.Weights, l.LeftOut)
	}
	_, err := load(t, "e.csv", text, Config{Weights: map[string]float64{"view": 1}})
	var usage *UsageError
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), `"view", which no row has; the file's types: buy, cancel, cart, pv`) {
		t.Errorf("error %v", err)
	}
}

func TestLoadLeavesOutLowRatings(t *testing.T) {
	least, text := 4.0, "user_id,item_id,timestamp,rating\nu,a,1,5\nu,b,2,3.5\nu,c,3,4\nu,d,4,good\n"
	l := mustLoad(t, "e.csv", text, Config{MinRating: &least})
	if want := [][]string{{"a", "c"}}; !slices.EqualFunc(ids(l), want, slices.Equal) || l.LeftOut != 1 || l.BadRows != 1 {
		t.Errorf("sessions %v, %d left out, %d bad", ids(l), l.LeftOut, l.BadRows)
	}
	if all := mustLoad(t, "e.csv", text, Config{}); all.Rows != 4 {
		t.Errorf("%d rows, want all: a low rating is a sign of interest, too", all.Rows)
	}
}

func TestLoadReadsDevices(t *testing.T) {
	const desktop = `"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/48.0.2564.109 Safari/537.36"`
	l := mustLoad(t, "e.csv", "session_id,item_id,timestamp,user_agent\n1,a,1,\n1,b,2,"+desktop+"\n2,a,3,\n", Config{})
	if want := []string{"desktop", ""}; !slices.Equal(l.Sessions.Segments, want) {
		t.Errorf("segments %q, want %q", l.Sessions.Segments, want)
	}
	l = mustLoad(t, "e.csv", "session_id,item_id,timestamp,user_agent,kind\n1,a,1,x,Mobile\n", Config{Mapping: history.Mapping{"props.device": "kind"}})
	if want := []string{"mobile"}; !slices.Equal(l.Sessions.Segments, want) {
		t.Errorf("segments %q, want %q", l.Sessions.Segments, want)
	}
}

func TestLoadLearnsOfItems(t *testing.T) {
	dir := t.TempDir()
	items := filepath.Join(dir, "items.csv")
	if err := os.WriteFile(items, []byte("item_id,title,genres,description\nb,The B,Comedy|Drama,long\nz,The Z,,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "session_id,item_id,timestamp,category_id\n1,a,1,c1\n1,b,2,c2\n1,a,3,c3\n"
	l := mustLoad(t, "e.csv", text, Config{Items: items})
	want := map[string]Item{"a": {Categories: []string{"c3"}}, "b": {Title: "The B", Fields: map[string]any{"description": "long"}, Categories: []string{"Comedy", "Drama"}}, "z": {Title: "The Z"}}
	for i, got := range l.Items {
		w := want[l.Vocabulary.ID(int32(i))]
		if got.Title != w.Title || got.Fields["description"] != w.Fields["description"] || !slices.Equal(got.Categories, w.Categories) {
			t.Errorf("item %s: %+v, want %+v", l.Vocabulary.ID(int32(i)), got, w)
		}
	}
	if len(l.Items) != 3 || len(l.Catalogue) != 2 {
		t.Errorf("%d items, %d of the catalogue", len(l.Items), len(l.Catalogue))
	}
	for text, say := range map[string]string{"title\nx\n": "no column holds the item's id", "item_id,title\n,x\n": "line 2: the item is empty"} {
		if err := os.WriteFile(items, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, "e.csv", "session_id,item_id\n1,a\n", Config{Items: items}); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("items %q: error %v, want %q", text, err, say)
		}
	}
}

func TestLoadReadsTheLakeThroughItsSource(t *testing.T) {
	want := logOf(1)
	source := func(context.Context) (*Log, error) { return want, nil }
	if got, err := Load(context.Background(), Config{Data: "lake", Source: source}); got != want || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	var usage *UsageError
	if _, err := Load(context.Background(), Config{Data: "lake", Source: source, Items: "items.csv"}); !errors.As(err, &usage) {
		t.Errorf("a catalogue file beside the lake: error %v", err)
	}
}

func TestColumnsThatFlagsNeed(t *testing.T) {
	least := 1.0
	for say, c := range map[string]Config{
		"no column for rating": {MinRating: &least}, "no column for type": {Weights: map[string]float64{"view": 1}},
	} {
		_, err := load(t, "e.csv", "session_id,item_id\n1,a\n", c)
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), say) {
			t.Errorf("error %v, want %q", err, say)
		}
	}
}
