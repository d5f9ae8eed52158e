package stream

import (
	"context"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// Bugs that are planted into the adapters around the stream, to see that the simulation notices them. Each is one that a real
// adapter, or a change of the stream, could have.
const (
	bugGroupPosition = "the offset that the group has committed is taken for the position of the lake"
	bugUnfenced      = "the lake commits without looking at its fences"
	bugTornCommit    = "rows and fences are committed one after the other"
	bugHiddenFailure = "a failed commit to the lake is taken for a success"
	bugOlderRows     = "an older row replaces a newer one in the online store"
	bugNoReplace     = "rows of earlier states are not replaced"
	bugLazySync      = "the outbox is dropped before the online store is durable"
	bugSameMarker    = "an online store that was lost keeps its marker"
	bugSkippedRecord = "a fetch leaves the last record of a batch out and goes on behind it"
	bugLostLetters   = "dead letters are acknowledged and not written"
)

// plantedBugs are all of them, each with the moment at which it does harm. docs/simulation.md holds this table.
func plantedBugs() [][2]string {
	return [][2]string{
		{bugGroupPosition, "a process ends between apply and commit"},
		{bugUnfenced, "a process that lost a partition lands what the next owner has landed"},
		{bugTornCommit, "a process ends between put file and commit"},
		{bugHiddenFailure, "the commit of the last events fails: no later one meets the fence and heals it"},
		{bugOlderRows, "a process that stood still between apply and publish goes on when others have published"},
		{bugNoReplace, "any rebuild"},
		{bugLazySync, "a power cut of everything after a checkpoint"},
		{bugSameMarker, "the online store comes back empty"},
		{bugSkippedRecord, "a backlog, after any fault"},
		{bugLostLetters, "any record that is no event"},
	}
}

// simBug is the bug that a world has; nil has none.
type simBug struct{ name string }

func (b *simBug) is(name string) bool { return b != nil && b.name == name }

func (b *simBug) fetched(res *kafka.FetchResult) {
	if n := len(res.Records); b.is(bugSkippedRecord) && n > 20 {
		res.Records = res.Records[:n-1]
	}
}

func (b *simBug) swallows(topic string) bool { return b.is(bugLostLetters) && topic == event.TopicDead }

func (b *simBug) fences(w *simWorld, fences map[lake.FenceKey]lake.Fence) {
	if !b.is(bugGroupPosition) {
		return
	}
	w.hints.mu.Lock()
	defer w.hints.mu.Unlock()
	for key, f := range fences {
		f.Next, f.Hash = w.hints.next[partitionID{key.Topic, key.Partition}], 0
		fences[key] = f
	}
}

func (b *simBug) landed(err error) error {
	if b.is(bugHiddenFailure) {
		return nil
	}
	return err
}

func (b *simBug) put(ctx context.Context, o *simOnline, rows []onlinestore.Row) error {
	if !b.is(bugOlderRows) {
		return o.Put(ctx, rows)
	}
	o.leave(rows)
	return nil
}

func (b *simBug) correct(ctx context.Context, o *simOnline, wrong []onlinestore.Replacement) error {
	if b.is(bugNoReplace) {
		return nil
	}
	return o.Replace(ctx, wrong)
}

func (b *simBug) sync(ctx context.Context, o *simOnline) error {
	if b.is(bugLazySync) {
		return nil
	}
	return o.Sync(ctx)
}

func (b *simBug) marker(ctx context.Context, o *simOnline) (string, error) {
	if b.is(bugSameMarker) {
		return "always the same", nil
	}
	return o.Marker(ctx)
}
