package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// bury writes dead letters as another version of the program did, which could not use the values. Their records stood at
// the offsets 1000 and on of partition 0.
func (h *house) bury(topic string, values ...[]byte) {
	h.t.Helper()
	var letters []kafka.Record
	for i, v := range values {
		r := &kafka.Record{Topic: topic, Offset: int64(1000 + i), Time: time.UnixMilli(1_772_000_000_000), Key: []byte("default:a:b1"), Value: v,
			Headers: []kafka.Header{{Key: event.HeaderSchema, Value: []byte(event.Schema)}}}
		letters = append(letters, deadLetter{r, 1, &poison{reasonFormat, "not known yet"}}.letter())
	}
	if err := h.producer.Produce(h.t.Context(), letters); err != nil {
		h.t.Fatal(err)
	}
}

func encoded(t *testing.T, e *event.Event) []byte {
	t.Helper()
	b, err := event.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replay runs a replay to its end and counts the outcomes.
func replay(t *testing.T, s *Stream, req ReplayRequest) (map[string]int, []ReplayOutcome) {
	t.Helper()
	counts := make(map[string]int)
	var all []ReplayOutcome
	for {
		report, err := s.ReplayLetters(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range report.Outcomes {
			counts[o.Outcome]++
		}
		all = append(all, report.Outcomes...)
		if req.Cursor = report.Next; req.Cursor == nil {
			return counts, all
		}
	}
}

// forgetfulReplays dies after records were sent and before that is remembered.
type forgetfulReplays struct {
	*control.Store
	die bool
}

var errForgot = errors.New("died before remembering")

func (r *forgetfulReplays) RememberLetters(ctx context.Context, letters []control.ReplayedLetter) error {
	if r.die {
		return errForgot
	}
	return r.Store.RememberLetters(ctx, letters)
}

func TestReplayAddsEachEventOnce(t *testing.T) {
	h := newHouse(t)
	h.produce(view("known", "b1", "a"))
	h.producePoison("{")
	h.bury(event.TopicEvents, encoded(t, view("known", "b1", "a")), encoded(t, view("new", "b1", "b")), []byte("{}"),
		encoded(t, view("large", "b1", strings.Repeat("x", 100))))
	h.bury("another.topic", encoded(t, view("foreign", "b1", "a")))
	s := h.start()
	s.drain()
	memory := &forgetfulReplays{Store: h.control, die: true}
	s.deps.Replays = memory
	if _, err := s.ReplayLetters(t.Context(), ReplayRequest{Reason: reasonFormat}); !errors.Is(err, errForgot) {
		t.Fatalf("a replay that could not be remembered: %v", err)
	}
	memory.die = false
	counts, all := replay(t, s.Stream, ReplayRequest{Reason: reasonFormat})
	want := map[string]int{OutcomeReplayed: 3, OutcomePoison: 2, OutcomeForeign: 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) {
		t.Fatalf("outcomes %v, want %v: %+v", counts, want, all)
	}
	s.drain()
	landed := map[string]bool{"known": true, "new": true, "large": true}
	h.checkLanded(landed)
	if n := len(h.deadLetters()); n != 6 {
		t.Fatalf("%d dead letters after the replay, want the 6 that were there", n)
	}
	verify(t, s.Stream)

	counts, _ = replay(t, s.Stream, ReplayRequest{})
	if counts[OutcomeReplayed] != 0 || counts[OutcomeRepeated] != 3 {
		t.Fatalf("the second replay came to %v", counts)
	}
	ends, err := h.client.Offsets(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	replay(t, s.Stream, ReplayRequest{Record: &RecordOffset{Partition: 0, Offset: 1001}})
	again, err := h.client.Offsets(t.Context(), event.TopicEvents)
	if err != nil || fmt.Sprint(again) != fmt.Sprint(ends) {
		t.Fatalf("a letter that was replayed went out again: %v, before %v (%v)", again, ends, err)
	}
}

// TestReplayKeepsTheRecord compares what a replay sends with what was buried: the same bytes, key and own headers.
func TestReplayKeepsTheRecord(t *testing.T) {
	h := newHouse(t)
	value := encoded(t, view("e1", "b1", "a"))
	h.bury(event.TopicEvents, value)
	s := h.stream()
	defer s.Close()
	replay(t, s, ReplayRequest{})
	sent := h.readTopic(event.TopicEvents)
	if len(sent) != 1 || string(sent[0].Value) != string(value) || string(sent[0].Key) != "default:a:b1" ||
		len(sent[0].Headers) != 1 || sent[0].Headers[0].Key != event.HeaderSchema {
		t.Fatalf("sent %+v", sent)
	}
	if want := kafka.PartitionFor(sent[0].Key, testPartitions); sent[0].Partition != want {
		t.Errorf("sent to partition %d, its key belongs to %d", sent[0].Partition, want)
	}
	large := letter{record: &kafka.Record{Value: value}, truncated: true, size: 1 << 20, source: control.RecordPlace{Topic: event.TopicEvents}}
	if _, outcome, note := large.original(); outcome != OutcomeTruncated || !strings.Contains(note, "of 1048576 bytes") {
		t.Errorf("half a record came to %q (%s)", outcome, note)
	}
}

// TestReplayGoesPageByPage has more letters than one call reports.
func TestReplayGoesPageByPage(t *testing.T) {
	h := newHouse(t)
	values := make([][]byte, replayPage+replayPage/2)
	for i := range values {
		values[i] = encoded(t, view(fmt.Sprintf("e%d", i), "b1", "a"))
	}
	h.bury(event.TopicEvents, values...)
	s := h.stream()
	defer s.Close()
	first, err := s.ReplayLetters(t.Context(), ReplayRequest{})
	if err != nil || len(first.Outcomes) != replayPage || first.Next == nil {
		t.Fatalf("the first page has %d letters, next %v: %v", len(first.Outcomes), first.Next, err)
	}
	rest, err := s.ReplayLetters(t.Context(), ReplayRequest{Cursor: first.Next})
	if err != nil || len(rest.Outcomes) != replayPage/2 || rest.Next != nil {
		t.Fatalf("the second page has %d letters, next %v: %v", len(rest.Outcomes), rest.Next, err)
	}
	if n := len(h.readTopic(event.TopicEvents)); n != len(values) {
		t.Fatalf("%d records were sent for %d letters", n, len(values))
	}
}

// TestHostileLettersAreSafeToPrint buries bytes that would move a terminal's cursor, turn its text around or end a line.
func TestHostileLettersAreSafeToPrint(t *testing.T) {
	h := newHouse(t)
	hostile := []string{"\x1b]0;owned\x07\x1b[2J", "\u202egnp.exe", "a\r\nb\u0085c\u009b31m", "\xff\xfe\x00", strings.Repeat("é", 200), `say "hi" \`}
	for _, text := range hostile {
		h.bury(event.TopicEvents, []byte(text))
	}
	r := kafka.Record{Topic: event.TopicDead, Partition: 0, Value: []byte("v"), Headers: []kafka.Header{
		{Key: HeaderReason, Value: []byte("\x1b[1m")}, {Key: HeaderTopic, Value: []byte("\x9b" + strings.Repeat("t", 5000))},
		{Key: HeaderEpoch, Value: []byte("1")}, {Key: HeaderPartition, Value: []byte("99999999999")}, {Key: HeaderOffset, Value: []byte("-1")}}}
	if err := h.producer.Produce(t.Context(), []kafka.Record{r}); err != nil {
		t.Fatal(err)
	}
	s := h.stream()
	defer s.Close()
	list, err := s.Letters(t.Context(), 100)
	if err != nil || len(list.Letters) != len(hostile)+1 {
		t.Fatalf("%d letters listed: %v", len(list.Letters), err)
	}
	_, outcomes := replay(t, s, ReplayRequest{})
	for _, o := range outcomes {
		list.Letters = append(list.Letters, o.Letter)
		for _, text := range []string{o.Topic, o.Reason, o.Detail, o.Excerpt, o.Note} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 || len(text) > 12*shownHeaderBytes {
				t.Errorf("a terminal would get %.60q", text)
			}
		}
		if o.Outcome == OutcomeReplayed {
			t.Errorf("%s was sent again", o.Excerpt)
		}
	}
	found := false
	for _, l := range list.Letters {
		found = found || l.Excerpt == `say "hi" \\`
		if l.Reason == `\x1b[1m` && l.Topic != event.TopicDead {
			t.Errorf("a letter with a source that cannot be is listed under %.40s", l.Topic)
		}
	}
	if !found {
		t.Errorf("the excerpts do not read well: %+v", list.Letters)
	}
}

func TestListShowsTheNewest(t *testing.T) {
	h := newHouse(t)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for i := range 9 {
		r := kafka.Record{Topic: event.TopicDead, Partition: int32(i) % testPartitions, Time: at.Add(time.Duration(i) * time.Second), Value: []byte{byte('0' + i)}}
		if err := h.producer.Produce(t.Context(), []kafka.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	s := h.stream()
	defer s.Close()
	list, err := s.Letters(t.Context(), 2)
	if err != nil || list.Total != 9 || len(list.Letters) != 2 || list.Letters[0].Excerpt != "8" || list.Letters[1].Excerpt != "7" {
		t.Fatalf("list %+v: %v", list, err)
	}
	for _, limit := range []int{0, MaxListedLetters + 1} {
		if _, err := s.Letters(t.Context(), limit); err == nil {
			t.Errorf("a list of %d letters was made", limit)
		}
	}
}
