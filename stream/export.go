package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/lake"
)

// Export writes everything that is held about a person as one JSON object: site, id and exported_at, and the lists profiles (as
// GET /v1/users/{id}/features shows them, one a browser), links (browsers in which the user was seen), events, exposures, sessions
// (closed ones, as far as their log goes back) and dead_letters (records nobody could use, as text). Events and lists that have
// not landed yet are among them. What belongs to an erasure that is under way is not.
func (s *Stream) Export(ctx context.Context, who erasure.Who, to io.Writer) error {
	if s.deps.Erasing == nil {
		return fmt.Errorf("export: %w", errNotErasing)
	}
	p, err := s.seek(ctx, who)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	erased, err := s.deps.Ledgers.Ledger(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	x := &export{s: s, out: to, ledger: p.ledger(), erased: erased}
	x.head(who, s.now().UTC())
	for _, list := range []struct {
		name string
		fill func(context.Context) error
	}{
		{"profiles", x.profiles}, {"links", x.links}, {"events", x.events}, {"exposures", x.exposures},
		{"sessions", x.sessions}, {"dead_letters", x.letters},
	} {
		x.begin(list.name)
		if err := errors.Join(list.fill(ctx), x.err); err != nil {
			return fmt.Errorf("export %s: %w", list.name, err)
		}
		x.text("]")
	}
	x.text("}\n")
	return x.err
}

// export writes lists one after the other, entry by entry.
type export struct {
	s              *Stream
	out            io.Writer
	ledger, erased *erasure.Ledger
	entries        int
	err            error // the first of writing
}

func (x *export) text(t string) {
	if x.err == nil {
		_, x.err = io.WriteString(x.out, t)
	}
}

func (x *export) head(who erasure.Who, now time.Time) {
	id := who.User
	if who.Browser != "" {
		id = erasure.AnonymousPrefix + who.Browser
	}
	text, err := json.Marshal(map[string]any{"site": who.Site, "id": id, "exported_at": now})
	if err != nil {
		x.err = err
		return
	}
	x.text(string(text[:len(text)-1]))
}

func (x *export) begin(name string) {
	x.entries = 0
	x.text(`,"` + name + `":[`)
}

func (x *export) add(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if x.entries++; x.entries > 1 {
		x.text(",")
	}
	x.text("\n" + string(text))
	return x.err
}

// owns reports whether a row is the person's, and not one of before an erasure.
func (x *export) owns(row erasure.Row) bool { return x.ledger.Covers(row) && !x.erased.Covers(row) }

func (x *export) profiles(ctx context.Context) error {
	return x.s.deps.Online.Scan(ctx, "p/", func(row onlinestore.Row) error {
		r, named, err := whose(row, nil)
		if err != nil || !named || !x.owns(r) {
			return err
		}
		of, err := onlinestore.ParseProfileKey(row.Key)
		if err != nil {
			return err
		}
		p, err := feature.DecodeProfile(row.Value)
		if err != nil {
			return err
		}
		return x.add(p.View(profileID(of)))
	})
}

func (x *export) links(ctx context.Context) error {
	return x.s.deps.Online.Scan(ctx, onlinestore.LinkPrefixAll, func(row onlinestore.Row) error {
		r, named, err := whose(row, nil)
		if err != nil || !named || !x.owns(r) {
			return err
		}
		return x.add(map[string]any{"user_id": r.User, "anonymous_id": r.Browser, "linked_at": time.UnixMilli(r.At).UTC()})
	})
}

// notLandedYet calls f with the records of a topic that the lake did not have at fences.
func (x *export) notLandedYet(ctx context.Context, topic string, fences map[lake.FenceKey]lake.Fence, f func(*kafka.Record) error) error {
	in, err := x.s.layoutOf(ctx, topic)
	if err != nil {
		return err
	}
	return x.s.eachRecord(ctx, topic, func(partition int32, start int64) int64 {
		return max(start, fences[lake.FenceKey{Topic: topic, Epoch: in.epoch, Partition: partition}].Next)
	}, f)
}

func (x *export) events(ctx context.Context) error {
	fences, err := x.s.deps.Lake.Next(ctx, lake.TableEvents)
	if err != nil {
		return err
	}
	before := func(at lake.Position) bool {
		return at.Offset < fences[lake.FenceKey{Topic: at.Topic, Epoch: at.Epoch, Partition: at.Partition}].Next
	}
	err = x.s.deps.Erasing.Lake.ScanEvents(ctx, lake.ScanRequest{}, func(r lake.EventRow) error {
		if !before(r.At) || !x.owns(erasure.EventRow(r.Event)) {
			return nil
		}
		return x.add(r.Event)
	})
	if err != nil {
		return err
	}
	reader := event.NewReader()
	return x.notLandedYet(ctx, event.TopicEvents, fences, func(r *kafka.Record) error {
		e, bad := decodeEvent(reader, r)
		if bad != nil || !x.owns(erasure.EventRow(e)) {
			return nil
		}
		return x.add(e)
	})
}

func (x *export) exposures(ctx context.Context) error {
	fences, err := x.s.deps.Lake.Next(ctx, lake.TableExposures)
	if err != nil {
		return err
	}
	err = x.s.deps.Erasing.Lake.ScanExposures(ctx, lake.ScanRequest{}, func(r lake.ExposureRow) error {
		if r.At.Offset >= fences[lake.FenceKey{Topic: r.At.Topic, Epoch: r.At.Epoch, Partition: r.At.Partition}].Next || !x.owns(erasure.ExposureRow(r.Exposure)) {
			return nil
		}
		return x.add(r.Exposure)
	})
	if err != nil {
		return err
	}
	return x.notLandedYet(ctx, event.TopicExposures, fences, func(r *kafka.Record) error {
		list, bad := decodeExposure(r)
		if bad != nil || !x.owns(erasure.ExposureRow(list)) {
			return nil
		}
		return x.add(list)
	})
}

// fromTopic adds what of a topic's records is the person's.
func (x *export) fromTopic(ctx context.Context, topic string, value func(*kafka.Record) any) error {
	ranges, err := x.s.deps.Log.Offsets(ctx, topic)
	if err != nil {
		return err
	}
	records := newRecordRows()
	return x.s.eachRecordIn(ctx, topic, ranges, func(r *kafka.Record) error {
		if !records.covered(r, x.ledger) || records.covered(r, x.erased) {
			return nil
		}
		return x.add(value(r))
	})
}

func (x *export) sessions(ctx context.Context) error {
	return x.fromTopic(ctx, event.TopicSessions, func(r *kafka.Record) any {
		if json.Valid(r.Value) {
			return json.RawMessage(r.Value)
		}
		return string(r.Value)
	})
}

func (x *export) letters(ctx context.Context) error {
	return x.fromTopic(ctx, event.TopicDead, func(r *kafka.Record) any {
		return map[string]any{"time": r.Time.UTC(), "key": string(r.Key), "value": string(r.Value)}
	})
}
