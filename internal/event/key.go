package event

// Key is the Kafka key and the state key of an event: the browser where there is one, so that order and session stay
// together when the visitor logs in, else the user. An event that lands without ids (personalization refused) has the
// key <site>:e:<event_id>: it spreads over the partitions and names no profile.
func (e *Event) Key() string {
	if e.AnonymousID != "" {
		return e.Site + ":a:" + e.AnonymousID
	}
	if e.UserID != "" {
		return e.Site + ":u:" + e.UserID
	}
	return e.Site + ":e:" + e.EventID
}
