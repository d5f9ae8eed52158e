package serving

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/internal/registry"
)

// closedAt is a closed session whose profile's last event stood at a place.
func closedAt(id string, partition int32, epoch, offset int64, items ...string) *event.ClosedSession {
	c := &event.ClosedSession{Site: testSite, SessionID: id, ProfileID: testSite + ":a:b-" + id + ":0", StartedAt: noon, LastAt: noon,
		ClosedReason: event.ClosedIdle, Events: int64(len(items)), Partition: partition, Epoch: epoch, Offset: offset}
	for i, item := range items {
		c.Items = append(c.Items, event.SessionItem{ItemID: item, OccurredAt: noon.Add(time.Duration(i) * time.Second)})
	}
	return c
}

func newFresh(sessions ...*event.ClosedSession) *freshSessions {
	f := &freshSessions{byID: map[string]*freshSession{}}
	for _, c := range sessions {
		f.add(c)
	}
	return f
}

// What a version was trained on does not go over it, and everything else does: by partition, and by the life of the topic.
func TestOnlySessionsThatTheVersionDoesNotKnowGoOverIt(t *testing.T) {
	f := newFresh(closedAt("landed", 0, 2, 9, "a", "b"), closedAt("behind", 0, 2, 10, "a", "c"), closedAt("other partition", 1, 2, 9, "a", "d"),
		closedAt("new partition", 2, 2, 0, "a", "e"), closedAt("earlier epoch", 1, 1, 99, "a", "f"), closedAt("later epoch", 0, 3, 0, "a", "g"),
		closedAt("one item", 0, 2, 50, "h"))
	items := func(source registry.Source) string {
		sessions, vocabulary := f.behind(source, model.NewVocabulary("a"))
		text := ""
		for i := range sessions.Len() {
			list, _ := sessions.At(i)
			text += vocabulary.ID(list[1])
		}
		return text
	}
	fences := map[string]int64{"0": 10, "1": 5}
	if got := items(registry.Source{Epoch: 2, Fences: fences}); got != "cdeg" {
		t.Errorf("over a version of epoch 2 go %q", got)
	}
	if got := items(registry.Source{Fences: fences}); got != "cdef" {
		t.Errorf("over a version that does not say its epoch go %q", got)
	}
	if got := items(registry.Source{}); got != "bcdefg" {
		t.Errorf("over a version of an empty lake go %q", got)
	}
}

// A record that a crash repeats changes nothing, one of a session that went on replaces it, and an older one comes too late.
func TestSessionThatComesAgainCountsOnce(t *testing.T) {
	f := newFresh(closedAt("s", 0, 1, 5, "a", "b"), closedAt("s", 0, 1, 7, "a", "b", "c"))
	before := f.changes
	f.add(closedAt("s", 0, 1, 7, "a", "b", "c"))
	f.add(closedAt("s", 0, 1, 6, "a", "x"))
	sessions, _ := f.behind(registry.Source{}, model.NewVocabulary())
	if f.changes != before || sessions.Len() != 1 || sessions.Events() != 3 {
		t.Errorf("%d sessions of %d items, after %d changes more", sessions.Len(), sessions.Events(), f.changes-before)
	}
}

func TestOldestSessionsGoWhenThereAreTooMany(t *testing.T) {
	f := newFresh()
	for i := range maxFreshSessions + 3 {
		f.add(closedAt(fmt.Sprint(i), 0, 1, int64(i), "a", "b"))
	}
	if len(f.byID) != maxFreshSessions || len(f.order) != maxFreshSessions || f.byID[f.order[0]].offset != 3 {
		t.Errorf("%d sessions are kept, the oldest of offset %d", len(f.byID), f.byID[f.order[0]].offset)
	}
}
