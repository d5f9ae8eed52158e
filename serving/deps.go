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
	SigningTexts(ctx context.Context, site string) ([]string, error)
	Administration
	Attributes
	Placement(ctx context.Context, site, name string) (control.Placement, error)
	Rules(ctx context.Context, site string) ([]control.Rule, error)
	Rule(ctx context.Context, site, id string) (control.Rule, error)
	PutRule(ctx context.Context, rule control.Rule, ifMatch string) (control.Rule, error)
	DeleteRule(ctx context.Context, site, id, ifMatch string) error
	ExperimentControl
	TopicEpoch(ctx context.Context, topic string) (control.TopicEpoch, bool, error)
	Forgotten(ctx context.Context) (*erasure.Ledger, error)
	Ledger(ctx context.Context) (*erasure.Ledger, error)
	RequestErasure(ctx context.Context, who erasure.Who) (control.Erasure, error)
	Erasure(ctx context.Context, site, id string) (control.Erasure, error)
	Erasures(ctx context.Context, site string) ([]control.Erasure, error)
}

// ExperimentControl is where experiments are.
type ExperimentControl interface {
	RunningExperiment(ctx context.Context, site, placement string) (*control.Running, error)
	RunningExperiments(ctx context.Context, site string) (map[string]*control.Running, error)
	Experiments(ctx context.Context, site string) ([]control.Experiment, error)
	Experiment(ctx context.Context, site, id string) (control.Experiment, error)
	PutExperiment(ctx context.Context, e control.Experiment, ifMatch string) (control.Experiment, error)
	StartExperiment(ctx context.Context, site, id, ifMatch string) (control.Experiment, error)
	StopExperiment(ctx context.Context, site, id, ifMatch string) (control.Experiment, error)
	DeleteExperiment(ctx context.Context, site, id, ifMatch string) error
}

// Administration is what the endpoints for operators change in the control store, and read of it.
type Administration interface {
	KeyByID(ctx context.Context, site, id string) (control.Key, error)
	CreateKey(ctx context.Context, n control.NewKey) (control.Key, string, error)
	RotateKey(ctx context.Context, site, id string, overlap time.Duration) (control.Key, string, error)
	RevokeKey(ctx context.Context, site, id string) error
	SigningSecrets(ctx context.Context, site string) ([]control.SigningSecret, error)
	RotateSigningSecret(ctx context.Context, site string, overlap time.Duration) (control.SigningSecret, string, error)
	Placements(ctx context.Context, site string) ([]control.Placement, error)
	PutPlacementIf(ctx context.Context, p control.Placement, ifMatch string) error
	DeletePlacement(ctx context.Context, site, name, ifMatch string) error
	Jobs(ctx context.Context, f control.JobFilter) ([]control.Job, error)
	Audit(ctx context.Context, e control.AuditEntry) error
	AuditLog(ctx context.Context, site, before string, limit int) ([]control.AuditRecord, error)
}

// Attributes is what shops say of their users.
type Attributes interface {
	PutUserAttributes(ctx context.Context, u control.UserAttributes) (control.UserAttributes, error)
	UserAttributes(ctx context.Context, site, user string) (control.UserAttributes, bool, error)
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
	Resolve(ctx context.Context, site, name string) (version string, err error)
	Promote(ctx context.Context, site, version string) error
	Rollback(ctx context.Context, site string) (version string, err error)
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
