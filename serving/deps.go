package serving

import (
	"context"
	"io"
	"time"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/registry"
)

// Control is what serving asks of the control store: who calls, which placements there are, which life of the items topic
// offsets belong to, and who was erased.
type Control interface {
	Authenticate(ctx context.Context, secret string) (control.Key, error)
	Keys(ctx context.Context, site string) ([]control.Key, error)
	FeedControl
	Placement(ctx context.Context, site, name string) (control.Placement, error)
	TopicEpoch(ctx context.Context, topic string) (control.TopicEpoch, bool, error)
	Forgotten(ctx context.Context) (*erasure.Ledger, error)
	Ledger(ctx context.Context) (*erasure.Ledger, error)
	RequestErasure(ctx context.Context, who erasure.Who) (control.Erasure, error)
	Erasure(ctx context.Context, site, id string) (control.Erasure, error)
	Erasures(ctx context.Context, site string) ([]control.Erasure, error)
}

// Exporter writes everything that is held about a person as one JSON object; *stream.Stream does.
type Exporter interface {
	Export(ctx context.Context, who erasure.Who, to io.Writer) error
}

// OnlineStore is the base that serving reads: online features, catalogue and applied offsets.
type OnlineStore interface {
	Get(ctx context.Context, key string) (onlinestore.Row, bool, error)
	Scan(ctx context.Context, prefix string, f func(onlinestore.Row) error) error
	Put(ctx context.Context, rows []onlinestore.Row) error
	Marker(ctx context.Context) (string, error)
}

// Registry is where model versions come from. ChampionVersion answers registry.ErrNoChampion before the first promotion,
// Load registry.ErrCorrupt for a damaged version. Predecessors are the former champions, the newest first.
type Registry interface {
	ChampionVersion(ctx context.Context, site string) (string, error)
	Predecessors(ctx context.Context, site string) ([]string, error)
	List(ctx context.Context, site string) ([]registry.Manifest, error)
	Load(ctx context.Context, site, version string) (*registry.Bundle, error)
}

// Producer sends records and returns when every one is acknowledged.
type Producer interface {
	Produce(ctx context.Context, records []kafka.Record) error
}

// Log is the reading side of Kafka: what the catalogue follows, and where lists that were served are looked for.
type Log interface {
	Offsets(ctx context.Context, topic string) (map[int32]kafka.OffsetRange, error)
	OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error)
	Fetch(ctx context.Context, request kafka.FetchRequest) (kafka.FetchResult, error)
}
