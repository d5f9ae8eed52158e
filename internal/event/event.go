// Package event holds the one schema of everything that Millrace records: the event types, ids, limits, the JSON
// codec of topics and API, and the only session rule. Every role reads and writes events through this package.
package event

import "time"

// Schema is the value of the header HeaderSchema on every record of the events topic. Readers accept one version back
// and forward and keep unknown fields out of harm's way by ignoring them.
const Schema = "event/1"

// HeaderSchema names the Kafka header that carries the schema of a value.
const HeaderSchema = "millrace-schema"

// Topics of the product; names and keys are part of the public contract.
const (
	TopicEvents    = "millrace.events"
	TopicDead      = "millrace.events.dead"
	TopicExposures = "millrace.exposures"
	TopicFeatures  = "millrace.features"
	TopicItems     = "millrace.items"
	TopicSessions  = "millrace.sessions"
)

// DefaultSite is the site of a single-shop installation.
const DefaultSite = "default"

// The GA4 e-commerce names, and Millrace's own. Any other name that matches [a-z][a-z0-9_]{0,39} is a custom event.
const (
	PageView       = "page_view"
	ViewItemList   = "view_item_list" // an impression
	SelectItem     = "select_item"    // a click in a list
	ViewItem       = "view_item"
	Search         = "search"
	AddToCart      = "add_to_cart"
	RemoveFromCart = "remove_from_cart"
	AddToWishlist  = "add_to_wishlist"
	BeginCheckout  = "begin_checkout"
	Purchase       = "purchase"
	Refund         = "refund"
	RateItem       = "rate_item"
	Engage         = "engage"
	Identify       = "identify"
	Logout         = "logout"
	ConsentChange  = "consent"
)

// Clock says where an event's time came from.
const (
	ClockLogical = "logical" // an import without a time column: 1 s a row, only the order means something
)

// Source says which door an event came through.
const (
	SourceCollector = "" // the collector; the common case costs no bytes
	SourceImport    = "import"
)

// Event is one thing that a visitor did. Times are UTC with millisecond precision. ReceivedAt, Site, UserAgentFamily,
// Device, IsBot and NetworkPrefix are set by the collector and never read from a client.
type Event struct {
	EventID          string         `json:"event_id"`
	Site             string         `json:"site"`
	Type             string         `json:"type"`
	OccurredAt       time.Time      `json:"occurred_at"`
	ReceivedAt       time.Time      `json:"received_at"`
	ClientOccurredAt time.Time      `json:"client_occurred_at,omitzero"` // what the client said, before skew correction
	AnonymousID      string         `json:"anonymous_id,omitempty"`
	UserID           string         `json:"user_id,omitempty"`
	SessionID        string         `json:"session_id,omitempty"`
	TabID            string         `json:"tab_id,omitempty"`
	Seq              *int64         `json:"seq,omitempty"`
	PageViewID       string         `json:"page_view_id,omitempty"`
	Items            []Item         `json:"items,omitempty"`
	SearchTerm       string         `json:"search_term,omitempty"`
	Value            *float64       `json:"value,omitempty"`
	Currency         string         `json:"currency,omitempty"`
	Rating           *float64       `json:"rating,omitempty"`
	TransactionID    string         `json:"transaction_id,omitempty"`
	Page             *Page          `json:"page,omitempty"`
	Rec              *Rec           `json:"rec,omitempty"`
	Engagement       *Engagement    `json:"engagement,omitempty"`
	Consent          *Consent       `json:"consent,omitempty"`
	Props            map[string]any `json:"props,omitempty"` // scalars only: string, float64, bool
	UserAgentFamily  string         `json:"user_agent_family,omitempty"`
	Device           string         `json:"device,omitempty"`
	IsBot            bool           `json:"is_bot,omitempty"`
	NetworkPrefix    string         `json:"network_prefix,omitempty"`
	PropsDropped     int            `json:"-"` // entries of props that Decode dropped, for the collector's count
	Clock            string         `json:"clock,omitempty"`
	Source           string         `json:"source,omitempty"`
}

// Item is one article in an event, in GA4's words. Index counts from 0.
type Item struct {
	ItemID        string   `json:"item_id" maxLength:"128" doc:"The item." example:"shoe-1"`
	Index         *int32   `json:"index,omitempty" minimum:"0" doc:"Its place in the list, from 0."`
	Quantity      *float64 `json:"quantity,omitempty" doc:"How many."`
	Price         *float64 `json:"price,omitempty" doc:"Of one, in the currency of the event." example:"129.95"`
	ItemName      string   `json:"item_name,omitempty" doc:"What it is called." example:"Trail shoe"`
	ItemCategory  string   `json:"item_category,omitempty" doc:"Its category." example:"Shoes"`
	ItemCategory2 string   `json:"item_category2,omitempty" doc:"The category below."`
	ItemCategory3 string   `json:"item_category3,omitempty" doc:"The category below that."`
	ItemBrand     string   `json:"item_brand,omitempty" doc:"Who makes it."`
	ItemVariant   string   `json:"item_variant,omitempty" doc:"Which variant."`
}

// Page is where it happened.
type Page struct {
	URL      string `json:"url,omitempty" maxLength:"4096" doc:"Its address." example:"https://shop.example/p/shoe-1"`
	Referrer string `json:"referrer,omitempty" maxLength:"4096" doc:"Where the visitor came from."`
	Title    string `json:"title,omitempty" doc:"Its title."`
}

// Rec says which recommendation an event answers; Index repeats the answer's position and counts from 0.
type Rec struct {
	RecID     string `json:"rec_id,omitempty" maxLength:"128" doc:"The list."`
	Placement string `json:"placement,omitempty" doc:"Where it was shown."`
	Index     *int32 `json:"index,omitempty" minimum:"0" doc:"Its place in the list, from 0."`
	Token     string `json:"token,omitempty" doc:"The answer's token."`
}

// Engagement is dwell: milliseconds visible and focused, and the deepest scroll in percent (0 to 100).
type Engagement struct {
	VisibleMs int64   `json:"visible_ms,omitempty" minimum:"0" doc:"Milliseconds visible."`
	FocusedMs int64   `json:"focused_ms,omitempty" minimum:"0" doc:"Milliseconds focused."`
	ScrollPct float64 `json:"scroll_pct,omitempty" minimum:"0" maximum:"100" doc:"The deepest scroll."`
}

// Consent is what the visitor allowed; nil pointers mean the site's default.
type Consent struct {
	Personalization *bool `json:"personalization,omitempty" doc:"Whether a profile may be built."`
	Analytics       *bool `json:"analytics,omitempty" doc:"Whether the event may be kept at all."`
}

// Personalized reports whether the visitor's own profile may be built from this event.
func (e *Event) Personalized() bool {
	return e.Consent == nil || e.Consent.Personalization == nil || *e.Consent.Personalization
}

// Measured reports whether the event may be kept at all; the collector counts and drops those that may not.
func (e *Event) Measured() bool {
	return e.Consent == nil || e.Consent.Analytics == nil || *e.Consent.Analytics
}
