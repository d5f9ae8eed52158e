package blend

import (
	"fmt"
	"io"

	"github.com/millrace/millrace/internal/model/artifact"
)

// Kind names the codec of this package.
const Kind = "blend"

// version 1 is config, the Config as JSON. The members are artifacts of their own.
const version = 1

// Kind implements model.Artifact.
func (m *Model) Kind() string { return Kind }

// Encode implements model.Artifact.
func (m *Model) Encode(w io.Writer) error {
	out := artifact.NewWriter(w, Kind, version)
	out.JSON("config", m.cfg)
	return out.Close()
}

// Decode reads the configuration that Encode wrote, for New; its errors wrap artifact.ErrCorrupt.
func Decode(f artifact.File) (Config, error) {
	in := artifact.NewReader(f, Kind, version)
	var cfg Config
	in.JSON("config", &cfg)
	if err := cfg.Validate(); err != nil {
		in.Failf("%v", err) // an error of the reader came before, and stays
	}
	if err := in.Close(); err != nil {
		return Config{}, fmt.Errorf("decode blend: %w", err)
	}
	return cfg, nil
}
