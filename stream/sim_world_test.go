package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// simWorld is everything around the simulated processes.
type simWorld struct {
	plan     plan
	bug      *simBug
	dir      string
	start    time.Time
	log      *simLog
	group    *simGroup
	hints    simHints
	online   *simOnline
	rebuilds *simRebuilds
	bucket   objstore.Bucket
	tally    *tally
	lake     simLake // as an onlooker has it open

	processes []*simProcess

	mu        sync.Mutex
	awayUntil time.Time // of the broker
	story     bytes.Buffer
	broken    error // of the simulation itself
}

func newSimWorld(p plan, bug *simBug, dir string, lakes []simLake) (*simWorld, error) {
	w := &simWorld{plan: p, bug: bug, dir: dir, start: time.Now(), log: newSimLog(p), online: newSimOnline(), rebuilds: &simRebuilds{states: make(map[int32]control.PartitionState)},
		group: &simGroup{plan: p, members: make(map[*simMember]bool)}, hints: simHints{next: make(map[partitionID]int64)}}
	w.lake, w.tally = lakes[0], newTally()
	var err error
	if w.bucket, err = objstore.OpenLocal(filepath.Join(dir, "bucket")); err != nil {
		return w, err
	}
	for id := range p.processes {
		process, err := newSimProcess(w, id, lakes[1+id])
		if err != nil {
			return w, err
		}
		w.processes = append(w.processes, process)
	}
	return w, nil
}

// note writes a line of the story: what happened when, for whoever reads about a failure.
func (w *simWorld) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(&w.story, "%10s  %s\n", time.Since(w.start).Round(time.Millisecond), fmt.Sprintf(format, args...))
}

// check keeps an error that is the simulation's own.
func (w *simWorld) check(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = errors.Join(w.broken, err)
}

// logger puts the warnings of a process into the story.
func (w *simWorld) logger(process, life int) *slog.Logger {
	return slog.New(slog.NewTextHandler(storyWriter{w}, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})).With("process", process, "life", life)
}

type storyWriter struct{ w *simWorld }

func (s storyWriter) Write(b []byte) (int, error) {
	s.w.note("%s", bytes.TrimSuffix(b, []byte("\n")))
	return len(b), nil
}

// awaitBroker returns when the broker answers, or ctx ends. The client tries that long.
func (w *simWorld) awaitBroker(ctx context.Context) {
	for w.brokerAway() {
		w.mu.Lock()
		left := time.Until(w.awayUntil)
		w.mu.Unlock()
		select {
		case <-time.After(left):
		case <-ctx.Done():
			return
		}
	}
}

func (w *simWorld) brokerAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.awayUntil)
}

// simLast is how long the last faults may wait for their steps. It is longer than anything that a process does by time.
const simLast = 20 * time.Second

// play lets the actions of the plan happen in their time, then those of the end, then takes all faults away.
func (w *simWorld) play(traffic <-chan error) error {
	for _, a := range w.plan.actions {
		wait(time.Until(w.start.Add(a.at)))
		w.act(a)
	}
	wait(time.Until(w.start.Add(w.plan.length)))
	err := <-traffic
	w.note("all traffic is over")
	for _, a := range w.plan.last {
		w.act(a)
	}
	if len(w.plan.last) > 0 {
		wait(simLast)
	}
	w.mu.Lock()
	w.awayUntil = time.Time{}
	w.mu.Unlock()
	for _, p := range w.processes {
		p.heal()
	}
	w.note("all faults are over")
	return err
}

// act lets an action happen, or arms its process with it.
func (w *simWorld) act(a action) {
	if !a.waits() {
		w.tally.fault(a.what)
		w.happen(a)
		return
	}
	w.processes[a.process].arm(a)
}

// happen makes an action true at once.
func (w *simWorld) happen(a action) {
	switch a.what {
	case actRebalance:
		w.note("%s", a.what)
		w.group.rebalance()
	case actBroker:
		w.note("%s", a.what)
		w.mu.Lock()
		w.awayUntil = time.Now().Add(a.hold)
		w.mu.Unlock()
	case actBlackout:
		for _, p := range w.processes {
			p.happen(a)
		}
		w.online.cut(w.plan.draw(101, "kept online", a.at))
	case actLoseRows:
		w.note("%s", a.what)
		w.online.lose()
	case actRebuild:
		w.note("%s", a.what)
		w.check(w.leaveBehind())
		w.rebuilds.request()
	default:
		w.processes[a.process].happen(a)
	}
}

// leaveBehind puts rows into the online store as a state of another feature version leaves them: of an item that nobody
// knows any more, and of known keys at events that moved them then. The states that are made next have to take them away.
// Where nothing has landed yet there was no such state.
func (w *simWorld) leaveBehind() error {
	if fences, err := w.lake.Next(context.Background(), lake.TableEvents); err != nil || len(fences) == 0 {
		return err
	}
	rows := w.online.all()
	keys := slices.Sorted(maps.Keys(rows))
	version := int32(feature.Version - 1 + 2*w.plan.draw(2, "left version")) // they may come from a newer program, too
	var left []onlinestore.Row
	leave := func(key string, number int32, after int64) {
		end := eventPartition(number).start() + int64(len(w.log.records(eventPartition(number))))
		if behind := end - after - 1; behind > 0 {
			left = append(left, onlinestore.Row{Key: key, Version: version, Epoch: simEpoch, Offset: after + 1 + int64(w.plan.draw(int(behind), "left", key)),
				Value: []byte("of an earlier version")})
		}
	}
	for number := range int32(simEventPartitions) {
		leave(onlinestore.ItemKey(onlinestore.ItemShare{Site: "default", Item: "forgotten", Partition: number}), number, eventPartition(number).start())
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, onlinestore.OffsetPrefix(event.TopicEvents)) && w.plan.draw(leftRows, "left", key) == 0 {
			leave(key, int32(rows[key].Offset/simOffsets), rows[key].Offset)
		}
	}
	w.tally.count("rows of earlier versions", len(left))
	w.online.leave(left)
	return nil
}

// leftRows is one in how many rows a state of another version has moved last.
const leftRows = 10

// traffic writes to the log what the plan has: events with repetitions, latecomers and poison, and exposures.
func (w *simWorld) traffic() error {
	tr := newTraffic(w.plan.seed)
	for sent, turn := 0, 0; sent < w.plan.events; turn++ {
		wait(time.Duration(w.plan.draw(int(2*w.plan.length)/(w.plan.events/6), "gap", turn)))
		if w.plan.draw(30, "quiet", turn) == 0 { // days without events, few enough that no repetition comes after its window
			tr.now = tr.now.Add(15 * time.Hour)
		}
		events := tr.next(1 + w.plan.draw(12, "burst", turn))
		sent += len(events)
		var records []kafka.Record
		for _, e := range events {
			value, err := event.Marshal(e)
			if err != nil {
				return err
			}
			records = append(records, kafka.Record{Topic: event.TopicEvents, Partition: -1, Time: time.Now(), Key: []byte(e.Key()), Value: value})
		}
		if w.plan.draw(6, "poison", turn) == 0 {
			records = append(records, kafka.Record{Topic: event.TopicEvents, Partition: int32(turn % simEventPartitions), Time: time.Now(), Value: []byte("poison")})
		}
		x := event.Exposure{RecID: fmt.Sprintf("r%d", turn), Site: "default", Placement: "home", ServedAt: tr.now,
			Items: []event.ExposureItem{{ItemID: "a", Score: 0.5}}}
		value, err := event.MarshalExposure(&x)
		if err != nil {
			return err
		}
		records = append(records, kafka.Record{Topic: event.TopicExposures, Partition: -1, Time: time.Now(), Key: []byte(x.RecID), Value: value})
		w.log.append(records...)
	}
	return nil
}

// landed returns what is in the lake, by position.
func (w *simWorld) landed(ctx context.Context) (map[lake.Position][]string, error) {
	rows := make(map[lake.Position][]string)
	err := w.lake.ScanEvents(ctx, lake.ScanRequest{Table: lake.TableEvents}, func(r lake.EventRow) error {
		value, err := event.Marshal(r.Event)
		rows[r.At] = append(rows[r.At], string(value))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = w.lake.ScanExposures(ctx, lake.ScanRequest{Table: lake.TableExposures}, func(r lake.ExposureRow) error {
		value, err := event.MarshalExposure(r.Exposure)
		rows[r.At] = append(rows[r.At], string(value))
		return err
	})
	return rows, err
}

// buried returns the positions of the records that have dead letters.
func (w *simWorld) buried() map[lake.Position]bool {
	at := make(map[lake.Position]bool)
	for _, r := range w.log.records(partitionID{event.TopicDead, 0}) {
		p := lake.Position{Epoch: simEpoch}
		for _, h := range r.Headers {
			switch n, _ := strconv.ParseInt(string(h.Value), 10, 64); h.Key { // only numbers are asked for
			case HeaderTopic:
				p.Topic = string(h.Value)
			case HeaderPartition:
				p.Partition = int32(n)
			case HeaderOffset:
				p.Offset = n
			}
		}
		at[p] = true
	}
	return at
}

// caughtUp says whether the lake has reached the ends of the logs.
func (w *simWorld) caughtUp(ctx context.Context) (bool, error) {
	fences := make(map[lake.FenceKey]lake.Fence)
	for _, table := range []string{lake.TableEvents, lake.TableExposures} {
		next, err := w.lake.Next(ctx, table)
		if err != nil {
			return false, err
		}
		maps.Copy(fences, next)
	}
	for _, topic := range Topics() {
		ranges, err := w.log.Offsets(ctx, topic)
		if err != nil {
			return false, err
		}
		for number, r := range ranges {
			if fences[lake.FenceKey{Topic: topic, Epoch: simEpoch, Partition: number}].Next < r.End && r.End > r.Start {
				return false, nil
			}
		}
	}
	return true, nil
}
