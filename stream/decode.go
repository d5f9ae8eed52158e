package stream

import (
	"fmt"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

// Reasons of dead letters; each is the value of a header and a label of a metric.
const (
	reasonEmpty   = "empty"   // a record without a value
	reasonFormat  = "format"  // not JSON of the schema
	reasonInvalid = "invalid" // JSON of the schema that no collector would have let in
)

// poison says why a record cannot be used.
type poison struct {
	reason string
	detail string
}

// decodeEvent reads an events record. The collector admits only good events, but other programs may write to the topic
// too: what would break keys, stores or clocks is refused here.
func decodeEvent(reader *event.Reader, r *kafka.Record) (*event.Event, *poison) {
	if len(r.Value) == 0 {
		return nil, &poison{reasonEmpty, "the record has no value"}
	}
	e, err := reader.Read(r.Value)
	if err != nil {
		return nil, &poison{reasonFormat, err.Error()}
	}
	if detail := invalid(e); detail != "" {
		return nil, &poison{reasonInvalid, detail}
	}
	if !e.Personalized() {
		// The collector has removed them; whoever else writes events may not have.
		e.AnonymousID, e.UserID, e.SessionID, e.TabID, e.PageViewID, e.TransactionID = "", "", "", "", "", ""
	}
	return e, nil
}

func invalid(e *event.Event) string {
	if err := event.CheckSite(e.Site); err != nil {
		return "site " + err.Error()
	}
	if !event.CheckType(e.Type) {
		return "type must match [a-z][a-z0-9_]{0,39}"
	}
	if err := event.CheckID(e.EventID); err != nil {
		return "event_id " + err.Error()
	}
	for _, id := range [...]struct{ name, value string }{
		{"anonymous_id", e.AnonymousID}, {"user_id", e.UserID}, {"session_id", e.SessionID},
	} {
		if id.value == "" {
			continue
		}
		if err := event.CheckID(id.value); err != nil {
			return id.name + " " + err.Error()
		}
	}
	for i := range e.Items {
		if err := event.CheckID(e.Items[i].ItemID); err != nil {
			return fmt.Sprintf("item_id of item %d %s", i, err)
		}
		// Profiles and items keep these texts: their length bounds every row and whatever is made of it.
		if max(len(e.Items[i].ItemName), len(e.Items[i].ItemCategory), len(e.Items[i].ItemBrand)) > event.MaxNameBytes {
			return fmt.Sprintf("name, category or brand of item %d has more than %d bytes", i, event.MaxNameBytes)
		}
	}
	switch {
	case len(e.Items) > event.MaxItems:
		return fmt.Sprintf("%d items, at most %d", len(e.Items), event.MaxItems)
	case e.OccurredAt.IsZero():
		return "occurred_at is missing"
	case e.ReceivedAt.IsZero():
		return "received_at is missing"
	case e.OccurredAt.After(e.ReceivedAt):
		return "occurred_at is after received_at"
	}
	return ""
}

// decodeItem reads a record of the catalogue.
func decodeItem(r *kafka.Record) (*event.CatalogueRow, *poison) {
	row, err := event.DecodeCatalogueRow(r.Value)
	if err != nil {
		return nil, &poison{reasonFormat, err.Error()}
	}
	if err := event.CheckSite(row.Site); err != nil {
		return nil, &poison{reasonInvalid, "site " + err.Error()}
	}
	if err := event.CheckID(row.ItemID); err != nil {
		return nil, &poison{reasonInvalid, "item_id " + err.Error()}
	}
	if row.UpdatedAt.IsZero() {
		return nil, &poison{reasonInvalid, "updated_at is missing"}
	}
	return &row, nil
}

// decodeExposure reads an exposures record.
func decodeExposure(r *kafka.Record) (*event.Exposure, *poison) {
	if len(r.Value) == 0 {
		return nil, &poison{reasonEmpty, "the record has no value"}
	}
	x := &event.Exposure{}
	if err := event.UnmarshalExposure(r.Value, x); err != nil {
		return nil, &poison{reasonFormat, err.Error()}
	}
	if err := event.CheckSite(x.Site); err != nil {
		return nil, &poison{reasonInvalid, "site " + err.Error()}
	}
	if err := event.CheckID(x.RecID); err != nil {
		return nil, &poison{reasonInvalid, "rec_id " + err.Error()}
	}
	if x.ServedAt.IsZero() {
		return nil, &poison{reasonInvalid, "served_at is missing"}
	}
	return x, nil
}
