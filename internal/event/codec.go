package event

import (
	"bytes"
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
// decoder would take a tenth of a busy node for it. The texts of an exposure lie in one copy of the value: tens of thousands of lists wait
// for a landing, and the collector of garbage would go through each of their texts.
func UnmarshalExposure(b []byte, x *Exposure) error {
	if n := bytes.Count(b, []byte(`"position":`)); n > cap(x.Items) { // as each item is written; of others the list grows
		x.Items = make([]ExposureItem, 0, n)
	}
	if err := fastjson.UnmarshalWithOption(bytes.Clone(b), x, fastjson.DecodeNoCopyString()); err != nil {
		return fmt.Errorf("decode exposure: %w", err)
	}
	return nil
}
