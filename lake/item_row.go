package lake

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/internal/event"
)

// catalogueRow is one row of the items table, version 1; the rules of eventRow hold.
type catalogueRow struct {
	ItemID         string            `parquet:"item_id,id(1)"`
	Site           string            `parquet:"site,dict,id(2)"`
	ItemGroupID    *string           `parquet:"item_group_id,optional,id(3)"`
	Title          *string           `parquet:"title,optional,id(4)"`
	Categories     []string          `parquet:"categories,optional,list,id(5)" parquet-element:",id(101)"`
	Brand          *string           `parquet:"brand,optional,dict,id(6)"`
	Price          *float64          `parquet:"price,optional,id(7)"`
	Currency       *string           `parquet:"currency,optional,dict,id(8)"`
	Available      bool              `parquet:"available,id(9)"`
	URL            *string           `parquet:"url,optional,id(10)"`
	ImageURL       *string           `parquet:"image_url,optional,id(11)"`
	PublishedAt    *int64            `parquet:"published_at,optional,timestamp(microsecond),id(12)"`
	ExpiresAt      *int64            `parquet:"expires_at,optional,timestamp(microsecond),id(13)"`
	Labels         []string          `parquet:"labels,optional,list,id(14)" parquet-element:",id(102)"`
	Fields         map[string]string `parquet:"fields,id(15)" parquet-key:",id(103)" parquet-value:",id(104)"`
	Revision       int64             `parquet:"revision,id(16)"`
	BaseRevision   int64             `parquet:"base_revision,id(17)"`
	Deleted        bool              `parquet:"deleted,id(18)"`
	UpdatedAt      int64             `parquet:"updated_at,timestamp(microsecond),id(19)"`
	KafkaTopic     string            `parquet:"kafka_topic,dict,id(20)"`
	KafkaEpoch     int64             `parquet:"kafka_epoch,id(21)"`
	KafkaPartition int32             `parquet:"kafka_partition,id(22)"`
	KafkaOffset    int64             `parquet:"kafka_offset,id(23)"`
}

// fill makes the row say what the catalogue says. It points into the item and never changes it.
func (r *catalogueRow) fill(in ItemRow) error {
	it := in.Item
	*r = catalogueRow{
		ItemID: it.ItemID, Site: it.Site, ItemGroupID: present(&it.ItemGroupID), Title: present(&it.Title), Categories: it.Categories,
		Brand: present(&it.Brand), Price: it.Price, Currency: present(&it.Currency), Available: it.Available, URL: present(&it.URL),
		ImageURL: present(&it.ImageURL), PublishedAt: optionalMicros(it.PublishedAt), ExpiresAt: optionalMicros(it.ExpiresAt), Labels: it.Labels,
		Revision: it.Revision, BaseRevision: it.BaseRevision, Deleted: it.Deleted, UpdatedAt: it.UpdatedAt.UnixMicro(),
		KafkaTopic: in.At.Topic, KafkaEpoch: in.At.Epoch, KafkaPartition: in.At.Partition, KafkaOffset: in.At.Offset,
	}
	if len(it.Fields) > 0 {
		r.Fields = make(map[string]string, len(it.Fields))
		for name, value := range it.Fields {
			text, err := json.Marshal(value)
			if err != nil {
				return fmt.Errorf("encode field %q of item %s: %w", name, it.ItemID, err)
			}
			r.Fields[name] = string(text)
		}
	}
	return nil
}

// value is the inverse of fill. The item owns its memory.
func (r *catalogueRow) value() (ItemRow, error) {
	it := &event.CatalogueRow{
		Site: r.Site, CatalogueItem: event.CatalogueItem{
			ItemID: r.ItemID, ItemGroupID: orEmpty(r.ItemGroupID), Title: orEmpty(r.Title), Categories: r.Categories, Brand: orEmpty(r.Brand),
			Price: r.Price, Currency: orEmpty(r.Currency), Available: r.Available, URL: orEmpty(r.URL), ImageURL: orEmpty(r.ImageURL),
			PublishedAt: optionalTime(r.PublishedAt), ExpiresAt: optionalTime(r.ExpiresAt), Labels: r.Labels,
		},
		Revision: r.Revision, BaseRevision: r.BaseRevision, Deleted: r.Deleted, UpdatedAt: microsTime(r.UpdatedAt),
	}
	if len(r.Fields) > 0 {
		it.Fields = make(map[string]any, len(r.Fields))
		for name, text := range r.Fields {
			decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
			decoder.UseNumber() // a number stays as the shop wrote it
			var value any
			if err := decoder.Decode(&value); err != nil {
				return ItemRow{}, fmt.Errorf("decode field %q of item %s: %w", name, r.ItemID, err)
			}
			it.Fields[name] = value
		}
	}
	return ItemRow{Item: it, At: Position{Topic: r.KafkaTopic, Epoch: r.KafkaEpoch, Partition: r.KafkaPartition, Offset: r.KafkaOffset}}, nil
}
