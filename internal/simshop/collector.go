package simshop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/event"
)

const (
	// requestTimeout ends a request to a collector that accepts connections and answers nothing.
	requestTimeout = 15 * time.Second

	// firstWait and longestWait bound the pause between attempts while the collector is down or busy.
	firstWait   = 250 * time.Millisecond
	longestWait = 10 * time.Second

	// maxAnswerBytes bounds what is read of an answer: a verdict on 200 events takes far less.
	maxAnswerBytes = 1 << 20

	// userAgent is an ordinary browser's, so that simulated visitors count as people, with our name behind it, so that
	// nobody takes them for real.
	userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Millrace-Simshop/1"
)

// collector posts events to POST /v1/events.
type collector struct {
	url    string
	key    string
	client *http.Client
	now    func() time.Time
}

// wireEvent is an event as a client sends it: without what the collector sets.
type wireEvent struct {
	EventID       string       `json:"event_id"`
	Type          string       `json:"type"`
	OccurredAt    time.Time    `json:"occurred_at"`
	AnonymousID   string       `json:"anonymous_id"`
	SessionID     string       `json:"session_id"`
	TabID         string       `json:"tab_id"`
	Seq           *int64       `json:"seq"`
	Items         []event.Item `json:"items,omitempty"`
	Value         *float64     `json:"value,omitempty"`
	Currency      string       `json:"currency,omitempty"`
	TransactionID string       `json:"transaction_id,omitempty"`
}

type wireRequest struct {
	SentAt time.Time   `json:"sent_at"`
	Events []wireEvent `json:"events"`
}

type wireAnswer struct {
	Accepted int `json:"accepted"`
	Rejected []struct {
		Index  int    `json:"index"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	} `json:"rejected"`
}

// send posts the events until the collector has taken them. It gives up when the context ends, and at once when the
// answer says that trying again cannot help.
func (c collector) send(ctx context.Context, events []event.Event) error {
	wait := firstWait
	for {
		again, after, err := c.post(ctx, events)
		if err == nil {
			return nil
		}
		if !again || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(max(wait, after))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		wait = min(2*wait, longestWait)
	}
}

// post makes one attempt and says whether, and after how long at the earliest, another is worthwhile.
func (c collector) post(ctx context.Context, events []event.Event) (again bool, after time.Duration, err error) {
	request := wireRequest{SentAt: c.now().UTC(), Events: make([]wireEvent, len(events))}
	for i, e := range events {
		request.Events[i] = wireEvent{
			EventID: e.EventID, Type: e.Type, OccurredAt: e.OccurredAt, AnonymousID: e.AnonymousID, SessionID: e.SessionID,
			TabID: e.TabID, Seq: e.Seq, Items: e.Items, Value: e.Value, Currency: e.Currency, TransactionID: e.TransactionID,
		}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return false, 0, fmt.Errorf("encode events: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, fmt.Errorf("post events: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Millrace-Key", c.key)
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.client.Do(req)
	if err != nil {
		return true, 0, fmt.Errorf("post events: %w", err)
	}
	text, readErr := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	_ = resp.Body.Close() // everything of interest has been read
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return true, retryAfter(resp), fmt.Errorf("post events: collector answered %s", resp.Status)
	}
	if resp.StatusCode != http.StatusAccepted {
		return false, 0, fmt.Errorf("post events: collector answered %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	if readErr != nil {
		return true, 0, fmt.Errorf("read answer: %w", readErr)
	}
	var answer wireAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, 0, fmt.Errorf("read answer: %w", err)
	}
	if len(answer.Rejected) > 0 {
		r := answer.Rejected[0]
		return false, 0, fmt.Errorf("collector rejected %d of %d events, first %d: %s: %s", len(answer.Rejected), len(events), r.Index, r.Code, r.Detail)
	}
	return false, 0, nil
}

// retryAfter reads the header's form in seconds.
func retryAfter(resp *http.Response) time.Duration {
	s, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(s)*time.Second, longestWait)
}
