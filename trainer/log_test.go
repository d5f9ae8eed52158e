package trainer

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/trainer/eval"
)

// An evaluation of what has landed knows visitors, texts and which items may be recommended unmet.
func TestReadLogIsWhatATrainingReads(t *testing.T) {
	source := &sliceSource{events: planted(300, 1), catalogue: []event.CatalogueItem{
		{ItemID: "a00", Title: "First", Categories: []string{"chain a"}, Fields: map[string]any{"description": "walked first"}}, {ItemID: "unmet", Brand: "new"},
	}}
	log, err := ReadLog(t.Context(), Config{Site: testSite}, source)
	if err != nil {
		t.Fatal(err)
	}
	known, _ := log.Vocabulary.Index("a00")
	unmet, _ := log.Vocabulary.Index("unmet")
	if item := log.Items[known]; item.Title != "First" || item.Fields["description"] != "walked first" || item.Categories[0] != "chain a" {
		t.Errorf("a00 is %+v", item)
	}
	if len(log.Catalogue) != 2 || log.Items[unmet].Brand != "new" || len(log.Items) != log.Vocabulary.Len() {
		t.Errorf("catalogue %v of %d items, of a vocabulary of %d", log.Catalogue, len(log.Items), log.Vocabulary.Len())
	}
	r, err := eval.RunOn(t.Context(), eval.Config{Data: eval.DataLake, Protocol: eval.ProtocolLeaveLast, Models: []string{eval.ModelTransitions}}, log)
	// Nine of the 300 end with an item that nobody else met.
	if err != nil || r.Examples != 291 || r.Results[0].Metrics["HR@10"].Value < 0.9 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReadLogOfNothing(t *testing.T) {
	source := &sliceSource{events: []Interaction{{Type: event.ViewItemList, OccurredAt: testStart}}}
	if _, err := ReadLog(t.Context(), Config{Site: testSite, Window: time.Hour}, source); err == nil || !strings.Contains(err.Error(), "no event that counts, of 1") {
		t.Errorf("error %v", err)
	}
}
