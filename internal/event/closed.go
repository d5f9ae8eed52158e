package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/jsontext"
)

// SessionSchema is the schema header of the topic of closed sessions.
const SessionSchema = "session/1"

// Why a session was closed.
const (
	ClosedIdle   = "idle"   // SessionIdle has passed without an event
	ClosedLength = "length" // it was as long as SessionMax
	ClosedNext   = "next"   // another session of the same profile began
)

// MaxClosedItems bounds the items that a reader takes from one record; the stream writes fewer.
const MaxClosedItems = 1000

// ClosedSession is the value of a record of millrace.sessions, whose key is <site>:<session_id>: a session that is over, and
// the items that its visitor was interested in. Robots, visitors who refused a profile and repeated events are not in it.
//
// Records with the same profile_id and session_id are one session. A crash has a record written again, and an event that comes
// after its session was closed, and belongs to it, has it written with what it is then: the record with the largest
// (epoch, offset) holds, and an equal one is a repeat.
type ClosedSession struct {
	Site         string        `json:"site"`
	SessionID    string        `json:"session_id"` // the given one, else "auto:" and the id of the event that began it
	ProfileID    string        `json:"profile_id"` // as in the change feed of features
	StartedAt    time.Time     `json:"started_at"`
	LastAt       time.Time     `json:"last_at"`
	ClosedReason string        `json:"closed_reason"`
	Events       int64         `json:"events"`
	Items        []SessionItem `json:"items"`     // oldest first, the newest 50; the same item twice in a row stands once
	Partition    int32         `json:"partition"` // of the events topic, with the place of the profile's last event before
	Epoch        int64         `json:"epoch"`     // the record was made
	Offset       int64         `json:"offset"`
}

// SessionItem is an item in a session.
type SessionItem struct {
	ItemID     string    `json:"item_id"`
	OccurredAt time.Time `json:"occurred_at"`
}

// Key is the key of the session's records.
func (c *ClosedSession) Key() string { return c.Site + ":" + c.SessionID }

// AppendClosedSession appends a session as the value of the sessions topic.
func AppendClosedSession(b []byte, c *ClosedSession) []byte {
	b = jsontext.AppendString(append(b, `{"site":`...), c.Site)
	b = jsontext.AppendString(append(b, `,"session_id":`...), c.SessionID)
	b = jsontext.AppendString(append(b, `,"profile_id":`...), c.ProfileID)
	b = jsontext.AppendTime(append(b, `,"started_at":`...), c.StartedAt)
	b = jsontext.AppendTime(append(b, `,"last_at":`...), c.LastAt)
	b = jsontext.AppendString(append(b, `,"closed_reason":`...), c.ClosedReason)
	b = strconv.AppendInt(append(b, `,"events":`...), c.Events, 10)
	b = append(b, `,"items":[`...)
	for i := range c.Items {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.AppendString(append(b, `{"item_id":`...), c.Items[i].ItemID)
		b = append(jsontext.AppendTime(append(b, `,"occurred_at":`...), c.Items[i].OccurredAt), '}')
	}
	b = strconv.AppendInt(append(b, `],"partition":`...), int64(c.Partition), 10)
	b = strconv.AppendInt(append(b, `,"epoch":`...), c.Epoch, 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), c.Offset, 10)
	return append(b, '}')
}

// UnmarshalClosedSession decodes the value of a sessions record and checks what every reader relies on. Unknown fields are
// ignored.
func UnmarshalClosedSession(b []byte) (*ClosedSession, error) {
	c := &ClosedSession{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("decode session: %w", err)
	}
	if err := CheckSite(c.Site); err != nil {
		return nil, fmt.Errorf("decode session: %w", err)
	}
	switch {
	case c.SessionID == "" || c.ProfileID == "":
		return nil, fmt.Errorf("decode session: it has no session_id or no profile_id")
	case c.Partition < 0 || c.Epoch < 0 || c.Offset < 0:
		return nil, fmt.Errorf("decode session: its place (%d, %d, %d) is none", c.Partition, c.Epoch, c.Offset)
	case len(c.Items) > MaxClosedItems:
		return nil, fmt.Errorf("decode session: %d items, at most %d are taken", len(c.Items), MaxClosedItems)
	}
	for i := range c.Items {
		if err := CheckID(c.Items[i].ItemID); err != nil {
			return nil, fmt.Errorf("decode session: item %d: %w", i, err)
		}
	}
	return c, nil
}
