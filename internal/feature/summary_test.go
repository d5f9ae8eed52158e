package feature

import (
	"math"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

// TestSummaryIsOfTheAggregate reads shares one after the other with one reader, and expects of their summaries what the merged
// aggregate says.
func TestSummaryIsOfTheAggregate(t *testing.T) {
	for seed := range uint64(20) {
		shares := map[string][]*ItemAggregate{}
		for i, e := range history(seed, 400) {
			if !FeedsItems(e) {
				continue
			}
			for k := range e.Items {
				id := e.Items[k].ItemID
				if shares[id] == nil {
					shares[id] = []*ItemAggregate{{}, {}, {}}
				}
				shares[id][i%3].Apply(e, &e.Items[k])
			}
		}
		var reader SummaryReader
		for id, of := range shares {
			whole, summary := &ItemAggregate{}, ItemSummary{}
			for _, share := range of {
				read, err := reader.Read(share.Encode(nil))
				if err != nil {
					t.Fatal(err)
				}
				summary.Merge(&read)
				whole.Merge(share)
			}
			expectSummary(t, id, summary, whole)
		}
	}
}

func expectSummary(t *testing.T, id string, got ItemSummary, of *ItemAggregate) {
	t.Helper()
	clock := of.LastAt + 5*24*3600*1000
	interest := of.Interest()
	for h := Hour; h <= Fortnight; h++ {
		if a, b := got.Interest.Value(h, clock), interest.Value(h, clock); math.Abs(a-b) > 1e-9*(1+b) {
			t.Errorf("%s: interest %v of the summary, %v of the aggregate", id, a, b)
		}
	}
	if a, b := got.Trend(clock), of.Trend(clock); math.Abs(a-b) > 1e-9*(1+b) {
		t.Errorf("%s: trend %v of the summary, %v of the aggregate", id, a, b)
	}
	if got.FirstAt != of.FirstAt || got.LastAt != of.LastAt || got.Events != of.Events || got.Name != of.Name ||
		got.Category != of.Category || got.Brand != of.Brand || got.Price != of.Price {
		t.Errorf("%s: the summary is %+v, the aggregate %+v", id, got, of)
	}
}

func BenchmarkReadSummary(b *testing.B) {
	a := &ItemAggregate{}
	for _, e := range history(1, 400) {
		if FeedsItems(e) {
			a.Apply(e, &event.Item{ItemID: "i"})
		}
	}
	encoded := a.Encode(nil)
	var reader SummaryReader
	b.ReportAllocs()
	b.SetBytes(int64(len(encoded)))
	for b.Loop() {
		if _, err := reader.Read(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
