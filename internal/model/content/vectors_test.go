package content

import (
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// Vectors compare as the index does, which finds the items that are like another.
func TestVectorsCompareAsTheIndexDoes(t *testing.T) {
	live := newShop(t)
	for _, it := range []event.CatalogueItem{
		{ItemID: "a", Title: "Trail shoe red", Brand: "Fox", Categories: []string{"Shoes"}, Available: true},
		{ItemID: "b", Title: "Trail shoe blue", Brand: "Fox", Categories: []string{"Shoes"}, Available: true},
		{ItemID: "c", Title: "Road shoe", Brand: "Elk", Categories: []string{"Shoes"}, Available: true},
		{ItemID: "d", Title: "Cast iron pan", Categories: []string{"Kitchen"}, Available: true},
	} {
		if err := live.Put(&it); err != nil {
			t.Fatal(err)
		}
	}
	ids := []string{"a", "b", "c", "d", "unknown"}
	vectors := live.Vectors(nil, ids)
	if len(vectors) != len(ids) || len(vectors[4]) != 0 {
		t.Fatalf("%d vectors, of an unknown item %v", len(vectors), vectors[4])
	}
	now := time.Now()
	for i, id := range ids[:4] {
		if own := vectors[i].Cosine(vectors[i]); math.Abs(float64(own)-1) > 1e-5 {
			t.Errorf("%s is like itself by %g", id, own)
		}
		want := map[string]float32{}
		for _, s := range live.Compare(nil, Query{Items: []string{id}, Set: true, Now: now}, ids) {
			want[s.ID] = s.Score
		}
		for j, other := range ids {
			if got := vectors[i].Cosine(vectors[j]); math.Abs(float64(got-want[other])) > 1e-5 {
				t.Errorf("%s and %s: %g, the index says %g", id, other, got, want[other])
			}
		}
	}
}
