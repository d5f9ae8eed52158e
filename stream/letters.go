package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

const (
	// MaxListedLetters bounds a list: what a person reads, and what an answer holds in memory.
	MaxListedLetters = 10_000
	// excerptBytes is how much of a record a list shows; escaped it is at most four times as long.
	excerptBytes = 80
	// shownHeaderBytes bounds what is shown of a header: other programs may write dead letters too.
	shownHeaderBytes = 512
)

// Letter is a dead letter as an operator sees it: the record that could not be used, where it stood and why. All texts are
// plain ASCII with escapes, whatever the bytes were: they are made for terminals.
type Letter struct {
	Time      time.Time `json:"time"`
	Topic     string    `json:"topic"`
	Epoch     int64     `json:"epoch"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Reason    string    `json:"reason"`
	Detail    string    `json:"detail,omitempty"`
	Size      int64     `json:"size"` // bytes of the original value
	Excerpt   string    `json:"excerpt"`
	Replayed  bool      `json:"replayed"`
}

// LetterList is the newest letters, newest first, and how many there are in all.
type LetterList struct {
	Letters []Letter `json:"letters"`
	Total   int64    `json:"total"`
}

// letter is a dead letter as it was read.
type letter struct {
	record    *kafka.Record
	place     control.RecordPlace // of the letter
	source    control.RecordPlace // of the record that it holds; its own place where it does not say
	reason    string
	detail    string
	size      int64 // of the original value
	truncated bool
	keyless   bool // the original key was too large to keep
}

// Letters lists the newest dead letters.
func (s *Stream) Letters(ctx context.Context, limit int) (list LetterList, err error) {
	if limit < 1 || limit > MaxListedLetters {
		return list, fmt.Errorf("list dead letters: limit %d is not between 1 and %d", limit, MaxListedLetters)
	}
	list.Letters = []Letter{} // an empty list in JSON, not null
	newest := func(a, b Letter) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(b.Partition, a.Partition), cmp.Compare(b.Offset, a.Offset))
	}
	at, err := s.lettersNow(ctx)
	if err != nil {
		return list, fmt.Errorf("list dead letters: %w", err)
	}
	err = s.readLetters(ctx, at, func(l letter) (bool, error) {
		list.Total++
		list.Letters = append(list.Letters, l.view())
		if len(list.Letters) >= 2*limit {
			slices.SortFunc(list.Letters, newest)
			list.Letters = list.Letters[:limit]
		}
		return true, nil
	})
	if err != nil {
		return list, fmt.Errorf("list dead letters: %w", err)
	}
	slices.SortFunc(list.Letters, newest)
	list.Letters = list.Letters[:min(limit, len(list.Letters))]
	for i := range list.Letters {
		l := &list.Letters[i]
		source := control.RecordPlace{Topic: l.Topic, Epoch: l.Epoch, Partition: l.Partition, Offset: l.Offset}
		if l.Replayed, err = s.deps.Replays.LetterReplayed(ctx, source); err != nil {
			return list, fmt.Errorf("list dead letters: %w", err)
		}
	}
	return list, nil
}

// LetterCursor is how far a reader of the dead letters has come in each partition, and where it ends: letters that are
// written later are not its business.
type LetterCursor struct {
	Epoch int64           `json:"epoch"`
	Next  map[int32]int64 `json:"next"`
	End   map[int32]int64 `json:"end"`
}

// lettersNow is a cursor over all letters that exist.
func (s *Stream) lettersNow(ctx context.Context) (LetterCursor, error) {
	c := LetterCursor{Next: make(map[int32]int64), End: make(map[int32]int64)}
	epoch, ok, err := s.deps.Epochs.TopicEpoch(ctx, event.TopicDead)
	if err != nil {
		return c, err
	}
	if !ok {
		return c, errors.New("the topic of dead letters is not known yet")
	}
	c.Epoch = epoch.Epoch
	ranges, err := s.deps.Log.Offsets(ctx, event.TopicDead)
	if err != nil {
		return c, err
	}
	for p, r := range ranges {
		c.Next[p], c.End[p] = r.Start, r.End
	}
	return c, nil
}

// readLetters calls f with the letters from the cursor on, partition by partition, and moves the cursor behind each. It
// ends early when f says that there is no more room.
func (s *Stream) readLetters(ctx context.Context, at LetterCursor, f func(letter) (more bool, err error)) error {
	partitions := make([]int32, 0, len(at.Next))
	for p := range at.Next {
		partitions = append(partitions, p)
	}
	slices.Sort(partitions)
	for _, p := range partitions {
		for at.Next[p] < at.End[p] {
			res, err := s.deps.Log.Fetch(ctx, kafka.FetchRequest{Topic: event.TopicDead, Partition: p, Offset: at.Next[p]})
			var below *kafka.ErrBelowStart
			if errors.As(err, &below) { // retention removed them; they are history by now
				at.Next[p] = below.Start
				continue
			}
			if err != nil {
				return err
			}
			for i := range res.Records {
				r := &res.Records[i]
				if r.Offset >= at.End[p] {
					break
				}
				more, err := true, error(nil)
				if !isFiller(r) {
					more, err = f(readLetter(r, at.Epoch))
				}
				if err != nil {
					return err
				}
				at.Next[p] = r.Offset + 1
				if !more {
					return nil
				}
			}
			at.Next[p] = max(at.Next[p], res.Next)
		}
	}
	return nil
}

// readLetter reads what bury wrote. Anybody may write to the topic: what a letter does not say, or says wrongly, is taken
// from the letter itself.
func readLetter(r *kafka.Record, epoch int64) letter {
	l := letter{record: r, place: control.RecordPlace{Topic: r.Topic, Epoch: epoch, Partition: r.Partition, Offset: r.Offset}, size: int64(len(r.Value))}
	number := func(h kafka.Header, bits int) (n int64, ok bool) {
		n, err := strconv.ParseInt(string(h.Value), 10, bits)
		return n, err == nil && n >= 0
	}
	var partition int64
	var ok [4]bool
	for _, h := range r.Headers {
		switch h.Key {
		case HeaderReason:
			l.reason = string(h.Value)
		case HeaderDetail:
			l.detail = string(h.Value)
		case HeaderTopic:
			l.source.Topic, ok[0] = string(h.Value), true
		case HeaderEpoch:
			l.source.Epoch, ok[1] = number(h, 64)
		case HeaderPartition:
			partition, ok[2] = number(h, 32)
		case HeaderOffset:
			l.source.Offset, ok[3] = number(h, 64)
		case HeaderTruncated:
			l.truncated = true
			if n, ok := number(h, 64); ok {
				l.size = n
			}
		case HeaderDropped:
			l.keyless = true
		}
	}
	l.source.Partition = int32(partition)
	if ok != [4]bool{true, true, true, true} {
		l.source = l.place
	}
	return l
}

// view is the letter for people.
func (l letter) view() Letter {
	value := l.record.Value
	return Letter{Time: l.record.Time.UTC(), Topic: escaped(l.source.Topic), Epoch: l.source.Epoch, Partition: l.source.Partition, Offset: l.source.Offset,
		Reason: escaped(l.reason), Detail: escaped(l.detail), Size: l.size, Excerpt: escaped(string(cutText(value, excerptBytes)))}
}

// cutText is the beginning of a text that may not be one, without half a character at its end.
func cutText(b []byte, limit int) []byte {
	if len(b) <= limit {
		return b
	}
	b = b[:limit]
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// escaped makes any bytes safe to print: control characters, sequences that move a cursor, characters that turn the
// direction of writing and everything else beyond printable ASCII come out as Go escapes.
func escaped(text string) string {
	quoted := strconv.QuoteToASCII(string(cutText([]byte(text), shownHeaderBytes)))
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
