package model

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/model/artifact"
	"github.com/millrace/millrace/internal/model/artifact/artifacttest"
)

func TestExcludedByPolicy(t *testing.T) {
	items, history := []int32{4, 2, 9}, []int32{7, 4}
	for _, c := range []struct {
		policy RepeatPolicy
		set    bool
		want   Excluded
	}{
		{RepeatsAllowed, false, Excluded{}},
		{RepeatsNotCurrent, false, Excluded{{9}}},
		{RepeatsNone, false, Excluded{items}},
		{RepeatsUnseen, false, Excluded{items, history}},
		{RepeatsAllowed, true, Excluded{items}}, // a cart never gets back what is in it
	} {
		got := (Query{Items: items, History: history, Set: c.set}).Excluded(c.policy)
		if !slices.Equal(got[0], c.want[0]) || !slices.Equal(got[1], c.want[1]) {
			t.Errorf("policy %s, set %t: excluded %v, want %v", c.policy, c.set, got, c.want)
		}
		if got.Len() != len(c.want[0])+len(c.want[1]) || got.Has(2) != slices.Contains(c.want[0], 2) || got.Has(7) != slices.Contains(c.want[1], 7) {
			t.Errorf("policy %s, set %t: %d excluded, item 2 %t, item 7 %t", c.policy, c.set, got.Len(), got.Has(2), got.Has(7))
		}
	}
	if got := (Query{}).Excluded(RepeatsNotCurrent); got.Len() != 0 {
		t.Errorf("an empty query excludes %v", got)
	}
}

func TestSessionsKeepEventsApart(t *testing.T) {
	var s Sessions
	if s.Len() != 0 || s.Newest() != 0 {
		t.Fatalf("the zero value has %d sessions, newest %d", s.Len(), s.Newest())
	}
	s.Append([]int32{1, 2}, []int64{10, 30})
	s.Append(nil, nil)
	s.Append([]int32{3}, []int64{20})
	if err := s.Check(4); err != nil {
		t.Fatal(err)
	}
	if s.Len() != 3 || s.Events() != 3 || s.Newest() != 30 {
		t.Errorf("%d sessions, %d events, newest %d", s.Len(), s.Events(), s.Newest())
	}
	items, times := s.At(2)
	if !slices.Equal(items, []int32{3}) || !slices.Equal(times, []int64{20}) {
		t.Errorf("session 2 is %v at %v", items, times)
	}
	tail := s.Slice(1, 3)
	if err := tail.Check(4); err != nil {
		t.Fatal(err)
	}
	if got, _ := tail.At(1); tail.Len() != 2 || !slices.Equal(got, []int32{3}) {
		t.Errorf("slice has %d sessions, the second %v", tail.Len(), got)
	}
	if s.Slice(2, 2).Len() != 0 {
		t.Error("an empty slice has sessions")
	}
}

func TestAppendingToASessionDoesNotWriteIntoTheNext(t *testing.T) {
	var s Sessions
	s.Append([]int32{1}, []int64{1})
	s.Append([]int32{2}, []int64{2})
	items, times := s.At(0)
	_, _ = append(items, 9), append(times, 9)
	if next, at := s.At(1); next[0] != 2 || at[0] != 2 {
		t.Errorf("session 1 became %v at %v", next, at)
	}
}

func TestCheckFindsBrokenSessions(t *testing.T) {
	for name, s := range map[string]Sessions{
		"times missing":     {Items: []int32{1}, Offsets: []int{0, 1}},
		"offsets fall":      {Items: []int32{1, 1}, Times: []int64{1, 1}, Offsets: []int{0, 2, 1}},
		"offsets end early": {Items: []int32{1, 1}, Times: []int64{1, 1}, Offsets: []int{0, 1}},
		"offsets start off": {Items: []int32{1}, Times: []int64{1}, Offsets: []int{1, 1}},
		"item too high":     {Items: []int32{3}, Times: []int64{1}, Offsets: []int{0, 1}},
		"item unknown":      {Items: []int32{-1}, Times: []int64{1}, Offsets: []int{0, 1}},
	} {
		if err := s.Check(3); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestVocabularyRoundTrip(t *testing.T) {
	v := NewVocabulary("b", "a", "b", "007")
	if v.Len() != 3 || v.ID(2) != "007" {
		t.Fatalf("%d ids, the last %q", v.Len(), v.ID(2))
	}
	if got := v.Indices(nil, []string{"a", "unknown", "b"}); !slices.Equal(got, []int32{1, 0}) {
		t.Errorf("indices %v, want the known ones in order", got)
	}
	var buf bytes.Buffer
	if err := v.Encode(&buf); err != nil {
		t.Fatal(err)
	}
	back, err := DecodeVocabulary(artifact.File{Bytes: buf.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) {
		if at, ok := back.Index(v.ID(i)); !ok || at != i {
			t.Errorf("id %q came back at %d (%t), want %d", v.ID(i), at, ok, i)
		}
	}
}

func TestVocabularyOfAnEarlierProgram(t *testing.T) {
	v, err := DecodeVocabulary(artifacttest.Read(t, "vocabulary_v1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tent", "lamp", "Ü-1"}; !slices.Equal(v.ids, want) {
		t.Errorf("it has the ids %q, want %q", v.ids, want)
	}
}

func TestVocabularyWithARepeatedIDIsCorrupt(t *testing.T) {
	var buf bytes.Buffer
	w := artifact.NewWriter(&buf, VocabularyKind, vocabularyVersion)
	w.Strings("ids", []string{"a", "a"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeVocabulary(artifact.File{Bytes: buf.Bytes()}); !errors.Is(err, artifact.ErrCorrupt) {
		t.Errorf("error %v, want ErrCorrupt", err)
	}
}

// A vocabulary over another one answers as one of all ids, and leaves the other as it was.
func TestVocabularyOverAnother(t *testing.T) {
	base := NewVocabulary("a", "b")
	over := base.Over()
	if i := over.Add("b"); i != 1 {
		t.Errorf("a known id got the index %d", i)
	}
	if i := over.Add("c"); i != 2 || over.Add("c") != 2 || over.Len() != 3 || over.ID(2) != "c" || over.ID(0) != "a" {
		t.Errorf("a new id got the index %d of %d", i, over.Len())
	}
	if got := over.Indices(nil, []string{"c", "unknown", "a"}); !slices.Equal(got, []int32{2, 0}) {
		t.Errorf("indices %v", got)
	}
	if _, known := base.Index("c"); known || base.Len() != 2 {
		t.Error("the vocabulary below has changed")
	}
	if over.Encode(io.Discard) == nil {
		t.Error("half of a vocabulary was stored")
	}
}
