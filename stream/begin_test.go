package stream

import (
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// TestStateLostBeforeAnythingLanded starts without states and with an empty lake over what an owner before has left in the
// online store. Nothing but the log tells that there was one.
func TestStateLostBeforeAnythingLanded(t *testing.T) {
	for what, change := range map[string]func(h *house){
		"another feature version": func(h *house) {
			h.haunt(feature.Version - 1)
			key := onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "i1", Partition: 0})
			late := onlinestore.Row{Key: key, Version: feature.Version - 1, Epoch: 1, Offset: 1 << 20, Value: []byte("moved by more events")}
			if err := h.online.Put(t.Context(), []onlinestore.Row{late}); err != nil {
				t.Fatal(err)
			}
		},
		"a rebuild": func(h *house) {
			h.haunt(feature.Version)
			h.requestRebuild()
		},
		"another epoch": func(h *house) {
			h.haunt(feature.Version)
			if _, err := h.control.AdoptTopic(t.Context(), event.TopicEvents, testPartitions); err != nil {
				t.Fatal(err)
			}
		},
		"nobody reported": func(h *house) { h.haunt(feature.Version) },
	} {
		t.Run(what, func(t *testing.T) {
			h, tr := newHouse(t), newTraffic(19)
			h.produce(tr.next(200)...)
			change(h)
			s := h.start()
			s.rebuilt(0)
			h.exactly(s)
			h.checkLanded(tr.ids)
		})
	}
}
