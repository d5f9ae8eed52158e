package tracker

import (
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// eventsEndpoint describes what handleEvents does.
var eventsEndpoint = api.Endpoint{
	ID: "sendEvents", Method: http.MethodPost, Path: "/v1/events", Tag: api.TagEvents, Summary: "Send events", Access: api.AnyKey, Status: http.StatusAccepted,
	Description: "What visitors do: one event, an array, one event a line (NDJSON), or an envelope with the client's clock, plain or as gzip or zstd. " +
		"One bad event never costs its neighbours: the answer says which were refused, and why. An accepted event is on disk.",
	MaxBodyBytes: event.MaxBodyBytes, OwnParameters: true, // a script may add what it likes
	Body: `{"sent_at":"2026-03-02T12:00:01Z","events":[{"event_id":"019cae3f-3a80-7c31-9a4e-2f7d1c0b8a55","type":"view_item",` +
		`"occurred_at":"2026-03-02T12:00:00Z","anonymous_id":"b-7f3a","items":[{"item_id":"shoe-1","price":129.95}]}]}`,
	Answer: `{"accepted":1,"duplicates":0,"rejected":[]}`,
	Problems: []string{
		problemSecretKey, problemOrigin, problemEncoding, problemUnavailable, httpserver.ProblemBodyTooLarge, httpserver.ProblemUnreadable,
		problemType(event.CodeEmptyBody), problemType(event.CodeInvalidJSON), problemType(event.CodeBatchTooLarge),
	},
}

// eventsInput is the envelope; Parse takes its events also without it.
type eventsInput struct {
	api.JSON[envelope]
}

type envelope struct {
	SentAt time.Time   `json:"sent_at,omitzero" doc:"The client's clock when it sent the request, by which times are corrected." example:"2026-03-02T12:00:01Z"`
	Events []sentEvent `json:"events" maxItems:"500" doc:"In the order in which they happened."`
	_      struct{}    `additionalProperties:"true"`
}

// sentEvent is the fields of event.Event that a client may set.
type sentEvent struct {
	EventID       string            `json:"event_id,omitempty" maxLength:"128" doc:"A UUID of version 7; the key of de-duplication. The server makes one where it is absent." example:"019cae3f-3a80-7c31-9a4e-2f7d1c0b8a55"`
	Type          string            `json:"type" pattern:"^[a-z][a-z0-9_]{0,39}$" doc:"A name of GA4's e-commerce events, or a custom one." example:"view_item"`
	OccurredAt    time.Time         `json:"occurred_at,omitzero" doc:"When it happened, by the client's clock. Unix milliseconds are taken too." example:"2026-03-02T12:00:00Z"`
	AnonymousID   string            `json:"anonymous_id,omitempty" maxLength:"128" doc:"The browser. An event needs this or user_id." example:"b-7f3a"`
	UserID        string            `json:"user_id,omitempty" maxLength:"128" doc:"The shop's own id of the visitor."`
	SessionID     string            `json:"session_id,omitempty" maxLength:"128" doc:"The visit; without it 30 idle minutes end one."`
	TabID         string            `json:"tab_id,omitempty" maxLength:"128" doc:"The browser's tab."`
	Seq           *int64            `json:"seq,omitempty" minimum:"0" doc:"Counts the events of a tab: a gap is loss, a repeat is replay."`
	PageViewID    string            `json:"page_view_id,omitempty" maxLength:"128" doc:"The page as it was shown once."`
	ItemID        string            `json:"item_id,omitempty" maxLength:"128" doc:"The short form of items for one item." example:"shoe-1"`
	Items         []event.Item      `json:"items,omitempty" maxItems:"200" doc:"The items that it is about."`
	SearchTerm    string            `json:"search_term,omitempty" doc:"What was searched for." example:"trail"`
	Value         *float64          `json:"value,omitempty" doc:"What it was worth, in currency."`
	Currency      string            `json:"currency,omitempty" doc:"ISO 4217." example:"EUR"`
	Rating        *float64          `json:"rating,omitempty" doc:"Of rate_item."`
	TransactionID string            `json:"transaction_id,omitempty" maxLength:"128" doc:"The order."`
	Page          *event.Page       `json:"page,omitempty" doc:"Where it happened."`
	Rec           *event.Rec        `json:"rec,omitempty" doc:"Which recommendation it answers."`
	Engagement    *event.Engagement `json:"engagement,omitempty" doc:"Dwell, on engage and impressions."`
	Consent       *event.Consent    `json:"consent,omitempty" doc:"What the visitor allowed; absent is the site's default."`
	Props         map[string]any    `json:"props,omitempty" doc:"Up to 64 scalars of the shop's own."`
	_             struct{}          `additionalProperties:"true"`
}

type eventsOutput struct {
	Body eventsAnswer
}

// pixelEndpoint describes what handlePixel does.
var pixelEndpoint = api.Endpoint{
	ID: "sendPixel", Method: http.MethodGet, Path: pixelPath, Tag: api.TagEvents, Summary: "Send an event by an image", Access: api.AnyKey,
	Description: "For pages and mails without scripts: an event in the address of an image, with the fields of `POST /v1/events` as parameters, " +
		"and `props.NAME` for those of the shop. Without anonymous_id and user_id it is the visitor whom the cookie `mr_id` names, or a new one; `url` is the page that " +
		"shows the image where it is not given.",
	OwnParameters: true,
	Problems: []string{
		problemSecretKey, problemOrigin, problemUnavailable,
	},
}

// pixelInput is the usual parameters; pixelFields has all of them.
type pixelInput struct {
	Type          string  `query:"type" required:"true" maxLength:"40" doc:"A name of GA4's e-commerce events, or a custom one." example:"page_view"`
	AnonymousID   string  `query:"anonymous_id" maxLength:"128" doc:"The browser." example:"b-7f3a"`
	UserID        string  `query:"user_id" maxLength:"128" doc:"The shop's own id of the visitor."`
	EventID       string  `query:"event_id" maxLength:"128" doc:"The key of de-duplication. The server makes one where it is absent."`
	ItemID        string  `query:"item_id" maxLength:"128" doc:"The item that it is about." example:"shoe-1"`
	Value         float64 `query:"value" doc:"What it was worth, in currency."`
	Currency      string  `query:"currency" doc:"ISO 4217." example:"EUR"`
	TransactionID string  `query:"transaction_id" maxLength:"128" doc:"The order."`
	URL           string  `query:"url" maxLength:"4096" doc:"The page."`
}

type pixelOutput struct {
	Body pixelImage
}

// pixelImage is an image in the document; JSON is what the other answers are.
type pixelImage []byte

// ContentType is asked by huma.
func (pixelImage) ContentType(string) string { return "image/gif" }
