package lake

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// eventRow is one row of the events table, version 1. The tags are the schema: name, nullability, encoding and Iceberg
// field id of every column; the Iceberg schema is derived from them and FORMAT.md describes them. A field id is never
// reused and never changed.
//
// Every optional column is a pointer, so that a zero stays a zero, strings too: the library writes some empty strings of
// an optional value column as "" and others as null, depending on their neighbours. An empty string is null in the table,
// because it means "absent" in event.Event (omitempty). For the same reason maps are not optional but empty.
type eventRow struct {
	EventID          string            `parquet:"event_id,id(1)"`
	Site             string            `parquet:"site,dict,id(2)"`
	Type             string            `parquet:"type,dict,id(3)"`
	OccurredAt       int64             `parquet:"occurred_at,timestamp(microsecond),id(4)"`
	ReceivedAt       int64             `parquet:"received_at,timestamp(microsecond),id(5)"`
	ClientOccurredAt *int64            `parquet:"client_occurred_at,optional,timestamp(microsecond),id(6)"`
	AnonymousID      *string           `parquet:"anonymous_id,optional,id(7)"`
	UserID           *string           `parquet:"user_id,optional,id(8)"`
	SessionID        *string           `parquet:"session_id,optional,id(9)"`
	TabID            *string           `parquet:"tab_id,optional,id(10)"`
	Seq              *int64            `parquet:"seq,optional,id(11)"`
	PageViewID       *string           `parquet:"page_view_id,optional,id(12)"`
	Items            []itemRow         `parquet:"items,optional,list,id(13)" parquet-element:",id(101)"`
	SearchTerm       *string           `parquet:"search_term,optional,id(14)"`
	Value            *float64          `parquet:"value,optional,id(15)"`
	Currency         *string           `parquet:"currency,optional,dict,id(16)"`
	Rating           *float64          `parquet:"rating,optional,id(17)"`
	TransactionID    *string           `parquet:"transaction_id,optional,id(18)"`
	Page             *pageRow          `parquet:"page,optional,id(19)"`
	Rec              *recRow           `parquet:"rec,optional,id(20)"`
	Engagement       *engagementRow    `parquet:"engagement,optional,id(21)"`
	Consent          *consentRow       `parquet:"consent,optional,id(22)"`
	Props            map[string]string `parquet:"props,id(23)" parquet-key:",id(161)" parquet-value:",id(162)"`
	UserAgentFamily  *string           `parquet:"user_agent_family,optional,dict,id(24)"`
	Device           *string           `parquet:"device,optional,dict,id(25)"`
	IsBot            bool              `parquet:"is_bot,id(26)"`
	NetworkPrefix    *string           `parquet:"network_prefix,optional,id(27)"`
	Clock            *string           `parquet:"clock,optional,dict,id(28)"`
	Source           *string           `parquet:"source,optional,dict,id(29)"`
	KafkaTopic       string            `parquet:"kafka_topic,dict,id(30)"`
	KafkaEpoch       int64             `parquet:"kafka_epoch,id(31)"`
	KafkaPartition   int32             `parquet:"kafka_partition,id(32)"`
	KafkaOffset      int64             `parquet:"kafka_offset,id(33)"`
}

type itemRow struct {
	ItemID        string   `parquet:"item_id,id(102)"`
	Index         *int32   `parquet:"index,optional,id(103)"`
	Quantity      *float64 `parquet:"quantity,optional,id(104)"`
	Price         *float64 `parquet:"price,optional,id(105)"`
	ItemName      *string  `parquet:"item_name,optional,id(106)"`
	ItemCategory  *string  `parquet:"item_category,optional,dict,id(107)"`
	ItemCategory2 *string  `parquet:"item_category2,optional,dict,id(108)"`
	ItemCategory3 *string  `parquet:"item_category3,optional,dict,id(109)"`
	ItemBrand     *string  `parquet:"item_brand,optional,dict,id(110)"`
	ItemVariant   *string  `parquet:"item_variant,optional,id(111)"`
}

type pageRow struct {
	URL      *string `parquet:"url,optional,id(121)"`
	Referrer *string `parquet:"referrer,optional,id(122)"`
	Title    *string `parquet:"title,optional,id(123)"`
}

type recRow struct {
	RecID     *string `parquet:"rec_id,optional,id(131)"`
	Placement *string `parquet:"placement,optional,dict,id(132)"`
	Index     *int32  `parquet:"index,optional,id(133)"`
	Token     *string `parquet:"token,optional,id(134)"`
}

type engagementRow struct {
	VisibleMs int64   `parquet:"visible_ms,id(141)"`
	FocusedMs int64   `parquet:"focused_ms,id(142)"`
	ScrollPct float64 `parquet:"scroll_pct,id(143)"`
}

type consentRow struct {
	Personalization *bool `parquet:"personalization,optional,id(151)"`
	Analytics       *bool `parquet:"analytics,optional,id(152)"`
}

// fill makes the row say what the event says. It points into the event and never changes it; the memory of the items is that of
// the row's last ones.
func (r *eventRow) fill(in EventRow) error {
	e, items := in.Event, r.Items[:0]
	*r = eventRow{
		EventID: e.EventID, Site: e.Site, Type: e.Type,
		OccurredAt: e.OccurredAt.UnixMicro(), ReceivedAt: e.ReceivedAt.UnixMicro(), ClientOccurredAt: optionalMicros(e.ClientOccurredAt),
		AnonymousID: present(&e.AnonymousID), UserID: present(&e.UserID), SessionID: present(&e.SessionID),
		TabID: present(&e.TabID), Seq: e.Seq, PageViewID: present(&e.PageViewID),
		SearchTerm: present(&e.SearchTerm), Value: e.Value, Currency: present(&e.Currency), Rating: e.Rating, TransactionID: present(&e.TransactionID),
		Engagement: (*engagementRow)(e.Engagement), Consent: (*consentRow)(e.Consent),
		UserAgentFamily: present(&e.UserAgentFamily), Device: present(&e.Device), IsBot: e.IsBot, NetworkPrefix: present(&e.NetworkPrefix),
		Clock: present(&e.Clock), Source: present(&e.Source),
		KafkaTopic: in.At.Topic, KafkaEpoch: in.At.Epoch, KafkaPartition: in.At.Partition, KafkaOffset: in.At.Offset,
	}
	if p := e.Page; p != nil {
		r.Page = &pageRow{URL: present(&p.URL), Referrer: present(&p.Referrer), Title: present(&p.Title)}
	}
	if c := e.Rec; c != nil {
		r.Rec = &recRow{RecID: present(&c.RecID), Placement: present(&c.Placement), Index: c.Index, Token: present(&c.Token)}
	}
	if len(e.Items) > 0 {
		r.Items = slices.Grow(items, len(e.Items))[:len(e.Items)]
		for i := range e.Items {
			r.Items[i].fill(&e.Items[i])
		}
	}
	if len(e.Props) > 0 {
		r.Props = make(map[string]string, len(e.Props))
		for name, value := range e.Props {
			text, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("encode property %q of event %s: %w", name, e.EventID, err)
			}
			r.Props[name] = string(text)
		}
	}
	return nil
}

func (r *itemRow) fill(i *event.Item) {
	*r = itemRow{
		ItemID: i.ItemID, Index: i.Index, Quantity: i.Quantity, Price: i.Price, ItemName: present(&i.ItemName),
		ItemCategory: present(&i.ItemCategory), ItemCategory2: present(&i.ItemCategory2), ItemCategory3: present(&i.ItemCategory3),
		ItemBrand: present(&i.ItemBrand), ItemVariant: present(&i.ItemVariant),
	}
}

// value is the inverse of fill. The event owns its memory.
func (r *eventRow) value() (EventRow, error) {
	e := &event.Event{
		EventID: r.EventID, Site: r.Site, Type: r.Type,
		OccurredAt: microsTime(r.OccurredAt), ReceivedAt: microsTime(r.ReceivedAt), ClientOccurredAt: optionalTime(r.ClientOccurredAt),
		AnonymousID: orEmpty(r.AnonymousID), UserID: orEmpty(r.UserID), SessionID: orEmpty(r.SessionID),
		TabID: orEmpty(r.TabID), Seq: r.Seq, PageViewID: orEmpty(r.PageViewID),
		SearchTerm: orEmpty(r.SearchTerm), Value: r.Value, Currency: orEmpty(r.Currency), Rating: r.Rating, TransactionID: orEmpty(r.TransactionID),
		Engagement: (*event.Engagement)(r.Engagement), Consent: (*event.Consent)(r.Consent),
		UserAgentFamily: orEmpty(r.UserAgentFamily), Device: orEmpty(r.Device), IsBot: r.IsBot, NetworkPrefix: orEmpty(r.NetworkPrefix),
		Clock: orEmpty(r.Clock), Source: orEmpty(r.Source),
	}
	if p := r.Page; p != nil {
		e.Page = &event.Page{URL: orEmpty(p.URL), Referrer: orEmpty(p.Referrer), Title: orEmpty(p.Title)}
	}
	if c := r.Rec; c != nil {
		e.Rec = &event.Rec{RecID: orEmpty(c.RecID), Placement: orEmpty(c.Placement), Index: c.Index, Token: orEmpty(c.Token)}
	}
	if len(r.Items) > 0 {
		e.Items = make([]event.Item, len(r.Items))
		for i := range r.Items {
			e.Items[i] = r.Items[i].value()
		}
	}
	if len(r.Props) > 0 {
		e.Props = make(map[string]any, len(r.Props))
		for name, text := range r.Props {
			var value any
			if err := json.Unmarshal([]byte(text), &value); err != nil {
				return EventRow{}, fmt.Errorf("decode property %q of event %s: %w", name, r.EventID, err)
			}
			e.Props[name] = value
		}
	}
	return EventRow{Event: e, At: Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}}, nil
}

func (r *itemRow) value() event.Item {
	return event.Item{
		ItemID: r.ItemID, Index: r.Index, Quantity: r.Quantity, Price: r.Price, ItemName: orEmpty(r.ItemName),
		ItemCategory: orEmpty(r.ItemCategory), ItemCategory2: orEmpty(r.ItemCategory2), ItemCategory3: orEmpty(r.ItemCategory3),
		ItemBrand: orEmpty(r.ItemBrand), ItemVariant: orEmpty(r.ItemVariant),
	}
}

// present returns the string itself, or nil where it is empty.
func present(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func optionalMicros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func microsTime(us int64) time.Time { return time.UnixMicro(us).UTC() }

func optionalTime(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return microsTime(*us)
}

func (r *eventRow) imported() bool { return r.Source != nil && *r.Source == event.SourceImport }
