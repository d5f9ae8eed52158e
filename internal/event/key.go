package event

// Key is the Kafka key and the state key of an event: the browser where there is one, so that order and session stay
// together when the visitor logs in, else the user. An event that lands without ids (personalization refused) has the
// key <site>:e:<event_id>: it spreads over the partitions and names no profile.
func (e *Event) Key() string { return string(e.AppendKey(nil)) }

// MaxKeyBytes is the length of the longest key.
const MaxKeyBytes = MaxSiteBytes + len(":a:") + MaxIDBytes

// AppendKey appends the key to b.
func (e *Event) AppendKey(b []byte) []byte {
	kind, id := ":e:", e.EventID
	switch {
	case e.AnonymousID != "":
		kind, id = ":a:", e.AnonymousID
	case e.UserID != "":
		kind, id = ":u:", e.UserID
	}
	return append(append(append(b, e.Site...), kind...), id...)
}
