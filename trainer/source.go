package trainer

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// Interaction is what training needs of one event. It is only valid during the call that yields it.
type Interaction struct {
	Type       string
	OccurredAt time.Time
	// AnonymousID is the browser and UserID the shop's own id; both are empty for an event that landed without ids.
	AnonymousID string
	UserID      string
	SessionID   string // as given by the site; empty where the session rule decides
	// TransactionID is what the site calls the purchase; empty where it gave no name.
	TransactionID string
	Device        string // kind of device, such as mobile; empty where it is not known
	Items         []InteractionItem
	IsBot         bool
	// Personalized is false when the visitor did not allow a profile: the event counts for its items only.
	Personalized bool
	Logical      bool // OccurredAt is a logical clock: only the order means something
	// Sequence grows in the order in which the events of one visitor were recorded; it settles equal times.
	Sequence int64
}

// InteractionItem is an item of an event, with what the event says of it: empty where it says nothing. Categories are the
// broadest first.
type InteractionItem struct {
	ID         string
	Name       string
	Brand      string
	Categories []string
}

// Snapshot pins what a training run reads: the same snapshot always yields the same events and the same catalogue.
type Snapshot struct {
	ID     int64            // of the events table; 0 when it is empty
	Items  int64            // of the items table; 0 when it is empty
	Epoch  int64            // the life of the events topic that Fences are of
	Fences map[string]int64 // the Kafka offset up to which it holds the events topic, by partition
	Rows   int64            // events of the site
	Newest time.Time        // the newest occurred_at of the site, zero when it has no event
}

// EventSource yields the events of a site and its catalogue.
type EventSource interface {
	// Snapshot pins the present state.
	Snapshot(ctx context.Context, site string) (Snapshot, error)
	// Events calls yield with every event of the site in the snapshot that occurred at from or later, in any order,
	// until yield returns an error, which it returns.
	Events(ctx context.Context, site string, s Snapshot, from time.Time, yield func(*Interaction) error) error
	// Older sums up the events of the site in the snapshot that occurred before a time: those that Events leaves out.
	Older(ctx context.Context, site string, s Snapshot, before time.Time) (Older, error)
	// Catalogue calls yield with every item of the site's catalogue in the snapshot, each once and in any order, until yield
	// returns an error, which it returns. Items that were deleted are left out, those that are only unavailable are not. An
	// item owns its memory.
	Catalogue(ctx context.Context, site string, s Snapshot, yield func(*event.CatalogueItem) error) error
}

// Older is what a site has from before the training window.
type Older struct {
	Events      int64
	First, Last time.Time // occurred_at; zero when there is none
}
