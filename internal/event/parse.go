package event

import (
	"bytes"
	"fmt"
	"mime"
	"strings"
	"time"
)

// Request is a body taken apart: the raw events in order, not decoded yet, so that one bad event costs no other.
type Request struct {
	SentAt time.Time // when the client says it sent the request; zero where it does not
	Raw    [][]byte  // parts of the body
}

// Parse splits a request body into raw events. It takes one event, an array of events, NDJSON, or the envelope
// {"sent_at": ..., "events": [...]}; which one it is follows from the text, because a browser sends all of them as
// text/plain, and from a content type that names NDJSON. The error is always a *Problem.
func Parse(body []byte, contentType string) (Request, error) {
	if len(body) > MaxBodyBytes {
		return Request{}, &Problem{Code: CodeBodyTooLarge, Detail: fmt.Sprintf("the body has %d bytes, the limit is %d", len(body), MaxBodyBytes)}
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 {
		return Request{}, &Problem{Code: CodeEmptyBody, Detail: "the body is empty; send one event, an array, NDJSON or an envelope"}
	}
	sp := splitter{scanner: scanner{s: string(body)}, body: body}
	var p *Problem
	switch {
	case isLines(body, contentType):
		p = sp.lines()
	case body[0] == '[':
		p = sp.list()
	case body[0] == '{':
		p = sp.single()
	default:
		p = sp.syntax("expected '{' or '['")
	}
	if p != nil {
		return Request{}, p
	}
	return sp.out, nil
}

// splitter finds where the events of a body begin and end.
type splitter struct {
	scanner
	body []byte
	out  Request
}

func (sp *splitter) add(raw []byte) *Problem {
	if len(sp.out.Raw) == MaxBatchEvents {
		return &Problem{Code: CodeBatchTooLarge, Detail: fmt.Sprintf("a request holds at most %d events", MaxBatchEvents)}
	}
	sp.out.Raw = append(sp.out.Raw, raw)
	return nil
}

// list reads an array whose elements are events.
func (sp *splitter) list() *Problem {
	if p := sp.elements(); p != nil {
		return p
	}
	return sp.end()
}

func (sp *splitter) elements() *Problem {
	return sp.array(func(int) *Problem {
		start := sp.pos
		if p := sp.skip(); p != nil {
			return p
		}
		return sp.add(sp.body[start:sp.pos])
	})
}

// single reads an object: the envelope if it has an array named events, else one event.
func (sp *splitter) single() *Problem {
	envelope := false
	var sentAt time.Time
	var sentProblem *Problem
	p := sp.object(func(name string) *Problem {
		switch {
		case name == "events" && sp.at('[') && !envelope:
			envelope = true
			return sp.elements()
		case name == "sent_at":
			start := sp.pos
			if p := sp.skip(); p != nil {
				return p
			}
			value := scanner{s: sp.s[start:sp.pos]}
			sentAt, sentProblem = value.time()
			return nil
		}
		return sp.skip()
	})
	if p != nil {
		return p
	}
	if p := sp.end(); p != nil {
		return p
	}
	if !envelope {
		// sent_at belongs to the envelope; in a lone event it is an unknown field like any other.
		return sp.add(sp.body)
	}
	sp.out.SentAt = sentAt
	return sentProblem.under("sent_at")
}

// lines reads NDJSON. A line that is no JSON stays in the list: its own decoding refuses it and no other.
func (sp *splitter) lines() *Problem {
	for line := range bytes.Lines(sp.body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if p := sp.add(line); p != nil {
			return p
		}
	}
	return nil
}

// isLines reports whether a body is NDJSON: the content type says so, or two lines begin with '{' and the first one ends
// where no JSON text over several lines could continue with '{'.
func isLines(body []byte, contentType string) bool {
	media, _, _ := mime.ParseMediaType(contentType)
	switch strings.ToLower(media) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return true
	}
	first, rest, found := bytes.Cut(body, []byte("\n"))
	if !found || body[0] != '{' {
		return false
	}
	first, rest = bytes.TrimSpace(first), bytes.TrimSpace(rest)
	return rest[0] == '{' && !bytes.ContainsRune([]byte("[,:"), rune(first[len(first)-1]))
}
