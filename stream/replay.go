package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// Replays remembers which dead letters were sent again; *control.Store does.
type Replays interface {
	LetterReplayed(ctx context.Context, source control.RecordPlace) (bool, error)
	RememberLetters(ctx context.Context, letters []control.ReplayedLetter) error
	ForgetLetters(ctx context.Context, before control.RecordPlace) error
}

// replayPage is how many letters one call of ReplayLetters reports: their report fits into one answer.
const replayPage = 2_000

// What became of a letter.
const (
	OutcomeReplayed  = "replayed"         // sent again; the stream drops it if its event_id came some other way
	OutcomeRepeated  = "already replayed" // sent again by an earlier replay: nothing was done
	OutcomePoison    = "still poison"     // this program cannot use it either
	OutcomeTruncated = "truncated"        // the letter holds only the beginning of the record
	OutcomeForeign   = "unknown source"   // it names no topic that the stream reads
)

// ReplayRequest says which letters to send again: all, those of a reason, or those of one record. Cursor continues an
// earlier call; nil begins.
type ReplayRequest struct {
	Reason string        `json:"reason,omitempty"`
	Record *RecordOffset `json:"record,omitempty"`
	Cursor *LetterCursor `json:"cursor,omitempty"`
}

// RecordOffset names a record by where it stood in its topic, as Letters lists it.
type RecordOffset struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// ReplayReport says what became of each letter of a call. Next is nil when all are done.
type ReplayReport struct {
	Outcomes []ReplayOutcome `json:"outcomes"`
	Next     *LetterCursor   `json:"next,omitempty"`
}

// ReplayOutcome is what became of one letter. Note says more where there is more to say.
type ReplayOutcome struct {
	Letter
	Outcome string `json:"outcome"`
	Note    string `json:"note,omitempty"`
}

func (r ReplayRequest) wants(l letter) bool {
	if r.Reason != "" && l.reason != r.Reason {
		return false
	}
	return r.Record == nil || l.source.Partition == r.Record.Partition && l.source.Offset == r.Record.Offset
}

// ReplayLetters sends the original bytes of dead letters to the topic that they came from, under their original key, if
// the stream can use them now; the others stay. What was sent is remembered, after it was acknowledged: a crash between
// the two sends it again, and the stream recognises its event_id. One call does one page; call again with Next.
func (s *Stream) ReplayLetters(ctx context.Context, req ReplayRequest) (report ReplayReport, err error) {
	report.Outcomes = []ReplayOutcome{}
	at := req.Cursor
	if at == nil {
		if at, err = s.beginReplay(ctx); err != nil {
			return report, fmt.Errorf("replay dead letters: %w", err)
		}
	}
	page := replayedPage{s: s, sent: make(map[control.RecordPlace]bool)}
	err = s.readLetters(ctx, *at, func(l letter) (bool, error) {
		if req.wants(l) {
			o, err := page.add(ctx, l)
			if err != nil {
				return false, err
			}
			report.Outcomes = append(report.Outcomes, o)
		}
		return len(report.Outcomes) < replayPage, nil
	})
	if err = errors.Join(err, page.flush(ctx)); err != nil {
		return report, fmt.Errorf("replay dead letters: %w", err)
	}
	for p, end := range at.End {
		if at.Next[p] < end {
			report.Next = at
		}
	}
	return report, nil
}

// beginReplay is a cursor over all letters; what is remembered of letters that are gone is dropped.
func (s *Stream) beginReplay(ctx context.Context) (*LetterCursor, error) {
	at, err := s.lettersNow(ctx)
	if err != nil {
		return nil, err
	}
	for p, start := range at.Next {
		if err := s.deps.Replays.ForgetLetters(ctx, control.RecordPlace{Topic: event.TopicDead, Epoch: at.Epoch, Partition: p, Offset: start}); err != nil {
			return nil, err
		}
	}
	return &at, nil
}

// replayedPage collects what a call sends.
type replayedPage struct {
	s       *Stream
	records []kafka.Record
	letters []control.ReplayedLetter
	size    int
	sent    map[control.RecordPlace]bool
}

// add judges a letter and sends it if it is good.
func (p *replayedPage) add(ctx context.Context, l letter) (ReplayOutcome, error) {
	o := ReplayOutcome{Letter: l.view()}
	known, err := p.s.deps.Replays.LetterReplayed(ctx, l.source)
	if err != nil {
		return o, err
	}
	if known || p.sent[l.source] {
		o.Outcome, o.Replayed = OutcomeRepeated, true
		return o, nil
	}
	record, outcome, note := l.original()
	o.Outcome, o.Note = outcome, escaped(note)
	if outcome != OutcomeReplayed {
		return o, nil
	}
	o.Replayed = true
	p.sent[l.source] = true
	p.records = append(p.records, record)
	p.letters = append(p.letters, control.ReplayedLetter{Source: l.source, Letter: l.place})
	if p.size += len(record.Value); p.size < letterBatchBytes {
		return o, nil
	}
	return o, p.flush(ctx)
}

// flush sends what was collected and remembers it.
func (p *replayedPage) flush(ctx context.Context) error {
	if len(p.records) == 0 {
		return nil
	}
	if err := produce(ctx, p.s.deps.Producer, p.s.log, p.records); err != nil {
		return fmt.Errorf("send %d records again: %w", len(p.records), err)
	}
	if err := p.s.deps.Replays.RememberLetters(ctx, p.letters); err != nil {
		return err
	}
	p.records, p.letters, p.size = nil, nil, 0
	return nil
}

// original is the record that a letter holds, if the stream can use it. Its time is now: retention counts from it, and it
// shall not remove the record before it was read.
func (l letter) original() (record kafka.Record, outcome, note string) {
	if l.truncated {
		return record, OutcomeTruncated, fmt.Sprintf("the letter holds %d of %d bytes", len(l.record.Value), l.size)
	}
	original := *l.record
	original.Topic, original.Partition, original.Time, original.Headers = l.source.Topic, -1, time.Now(), nil
	for _, h := range l.record.Headers {
		if !isLetterHeader(h.Key) {
			original.Headers = append(original.Headers, h)
		}
	}
	var bad *poison
	var key string
	switch l.source.Topic {
	case event.TopicEvents:
		var e *event.Event
		if e, bad = decodeEvent(event.NewReader(), &original); bad == nil {
			key = e.Key()
		}
	case event.TopicExposures:
		var x *event.Exposure
		if x, bad = decodeExposure(&original); bad == nil {
			key = x.Site + ":" + x.RecID
		}
	case event.TopicItems:
		var row *event.CatalogueRow
		if row, bad = decodeItem(&original); bad == nil {
			key = row.Site + ":" + row.ItemID
		}
	default:
		return record, OutcomeForeign, "the letter does not say which of the stream's topics it came from"
	}
	if bad != nil {
		return record, OutcomePoison, strings.TrimSpace(bad.reason + ": " + bad.detail)
	}
	if l.keyless || original.Key == nil {
		original.Key = []byte(key)
	}
	return original, OutcomeReplayed, ""
}

// isLetterHeader tells the headers that bury added from the original ones.
func isLetterHeader(key string) bool {
	switch key {
	case HeaderReason, HeaderDetail, HeaderTopic, HeaderEpoch, HeaderPartition, HeaderOffset, HeaderTruncated, HeaderDropped:
		return true
	}
	return false
}
