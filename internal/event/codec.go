package event

import (
	"encoding/json"
	"fmt"

	fastjson "github.com/goccy/go-json"
)

// Marshal encodes an event as the value of the events topic.
func Marshal(e *Event) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.EventID, err)
	}
	return b, nil
}

// Unmarshal decodes the value of an events record. Unknown fields are ignored, so that a reader accepts the next version.
func Unmarshal(b []byte, e *Event) error {
	if err := json.Unmarshal(b, e); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	return nil
}

// MarshalExposure encodes an exposure as the value of the exposures topic.
func MarshalExposure(x *Exposure) ([]byte, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("encode exposure %s: %w", x.RecID, err)
	}
	return b, nil
}

// UnmarshalExposure decodes the value of an exposures record. Every list that is served comes this way to the lake, and the general
// decoder would take a tenth of a busy node for it.
func UnmarshalExposure(b []byte, x *Exposure) error {
	if err := fastjson.Unmarshal(b, x); err != nil {
		return fmt.Errorf("decode exposure: %w", err)
	}
	return nil
}
