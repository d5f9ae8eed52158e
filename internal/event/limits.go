package event

import "time"

// Limits of what a client may send. Ids beyond them refuse the event, descriptive text is cut: a long title must not
// cost a purchase.
const (
	MaxBodyBytes   = 1 << 20  // one request after decompression: 500 events of 2 KiB, what a browser queues at most
	MaxEventBytes  = 32 << 10 // one event: a purchase of 200 items with names fits
	MaxBatchEvents = 500      // events in one request
	MaxItems       = 200      // items in one event: GA4's own limit
	MaxProps       = 64       // entries of props: a schema, not a document store
	MaxIDBytes     = 128      // any id: a UUID, a URL slug or a hash fits; ids are keys in every store
	MaxNameBytes   = 1 << 10  // descriptive text: names, categories, titles, search terms, values of props
	MaxURLBytes    = 4 << 10  // page URL and referrer
	MaxPropName    = 64       // bytes of the name of an entry of props
	MaxDepth       = 32       // nesting of a request: bounds the recursion of the scanner
)

// MaxEventAge is how far back a live event may lie. The beacon keeps events for 7 days; older than 30 is a wrong clock.
// Imports are exempt.
const MaxEventAge = 30 * 24 * time.Hour
