package lake

import (
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace/millrace/internal/event"
)

// Names of the tables inside the Iceberg namespace.
const (
	Namespace      = "millrace"
	TableEvents    = "events"
	TableExposures = "exposures"
	TableItems     = "items"
)

// tableSpec is what one table is made of.
type tableSpec struct {
	name    string
	topic   string          // the topic whose fences stand in the table
	file    *parquet.Schema // the Parquet schema that new files are written with
	day     string          // the timestamp column whose UTC day partitions the table
	time    string          // the one that From and To of a scan are about
	metrics []string        // the columns whose bounds are kept in the manifests, because scans prune by them
	sorted  []string        // what the rows of a compacted file are sorted by, as far as Iceberg can say it
	people  bool            // its rows name people
}

// dayPartitionField is the Iceberg id of the partition field; ids of partition fields begin at 1000.
const dayPartitionField = 1000

// tables lists every table. Exposures are partitioned by served_at: serving produces them as it serves, so served_at is
// the record's time, as received_at is that of an event, and nothing is ever late. So is updated_at of the catalogue.
func tables() []tableSpec {
	return []tableSpec{
		{
			name: TableEvents, topic: event.TopicEvents, file: parquet.SchemaOf(eventRow{}), day: "received_at", time: "occurred_at",
			sorted: []string{"site", "anonymous_id"}, people: true,
			metrics: []string{"event_id", "site", "type", "occurred_at", "received_at", "user_id", "is_bot", "kafka_epoch", "kafka_partition", "kafka_offset"},
		},
		{
			name: TableExposures, topic: event.TopicExposures, file: parquet.SchemaOf(exposureRow{}), day: "served_at", time: "served_at",
			sorted: []string{"site", "anonymous_id"}, people: true,
			metrics: []string{"rec_id", "site", "placement", "served_at", "user_id", "kafka_epoch", "kafka_partition", "kafka_offset"},
		},
		{
			name: TableItems, topic: event.TopicItems, file: parquet.SchemaOf(catalogueRow{}), day: "updated_at", time: "updated_at",
			sorted:  []string{"site", "item_id"},
			metrics: []string{"item_id", "site", "updated_at", "revision", "kafka_epoch", "kafka_partition", "kafka_offset"},
		},
	}
}

func specByName(name string) (tableSpec, error) {
	for _, s := range tables() {
		if s.name == name {
			return s, nil
		}
	}
	return tableSpec{}, fmt.Errorf("no lake table %q", name)
}

func specByTopic(topic string) (tableSpec, error) {
	for _, s := range tables() {
		if s.topic == topic {
			return s, nil
		}
	}
	return tableSpec{}, fmt.Errorf("no lake table takes topic %q", topic)
}

func (s tableSpec) ident() table.Identifier { return table.Identifier{Namespace, s.name} }

// Housekeeping limits, as table properties that every Iceberg writer honours.
const (
	// keepMetadataVersions is how many older metadata files stay for readers that have just looked up their name.
	keepMetadataVersions = "20"
	// manifestTargetBytes bounds a merged manifest and with it the longest merge that a commit can meet.
	manifestTargetBytes = "524288"
	// manifestMergeCount is how many small manifests pile up before a commit merges them.
	manifestMergeCount = "50"
)

func (s tableSpec) properties() iceberg.Properties {
	props := iceberg.Properties{
		table.MetadataDeleteAfterCommitEnabledKey: "true",
		table.MetadataPreviousVersionsMaxKey:      keepMetadataVersions,
		table.ManifestMergeEnabledKey:             "true",
		table.ManifestTargetSizeBytesKey:          manifestTargetBytes,
		table.ManifestMinMergeCountKey:            manifestMergeCount,
		// Without this every manifest entry would hold two bounds for each of some forty columns.
		table.DefaultWriteMetricsModeKey: "none",
		table.ParquetCompressionKey:      "zstd",
	}
	for _, column := range s.metrics {
		props[table.MetricsModeColumnConfPrefix+"."+column] = "full"
	}
	return props
}

// metadata builds the first version of the table. Ids are those of the row structs: the builder is used directly because
// the usual way of creating a table numbers the fields anew.
func (s tableSpec) metadata(location string) (table.Metadata, error) {
	schema, err := icebergSchema(s.file)
	if err != nil {
		return nil, fmt.Errorf("derive schema of %s: %w", s.name, err)
	}
	day, ok := schema.FindFieldByName(s.day)
	if !ok {
		return nil, fmt.Errorf("derive schema of %s: no column %s", s.name, s.day)
	}
	spec := iceberg.NewPartitionSpec(iceberg.PartitionField{
		SourceIDs: []int{day.ID}, FieldID: dayPartitionField, Name: s.day + "_day", Transform: iceberg.DayTransform{},
	})
	b, err := table.NewMetadataBuilder(table.DefaultFormatVersion)
	if err != nil {
		return nil, err
	}
	unsorted := table.UnsortedSortOrder
	for _, step := range []func() error{
		func() error { return b.SetUUID(uuid.New()) },
		func() error { return b.AddSchema(schema) },
		func() error { return b.SetCurrentSchemaID(-1) },
		func() error { return b.AddSortOrder(&unsorted) },
		func() error { return b.SetDefaultSortOrderID(-1) },
		func() error { return b.AddPartitionSpec(&spec, true) },
		func() error { return b.SetDefaultSpecID(-1) },
		func() error { return b.SetLoc(location) },
		func() error { return b.SetProperties(s.properties()) },
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("build metadata of %s: %w", s.name, err)
		}
	}
	return b.Build()
}

// icebergSchema translates the Parquet schema of a row struct; names, ids and nullability stay the same.
func icebergSchema(file *parquet.Schema) (*iceberg.Schema, error) {
	fields, err := icebergFields(file)
	if err != nil {
		return nil, err
	}
	return iceberg.NewSchema(0, fields...), nil
}

func icebergFields(node parquet.Node) ([]iceberg.NestedField, error) {
	var out []iceberg.NestedField
	for _, f := range node.Fields() {
		if f.ID() == 0 {
			return nil, fmt.Errorf("column %s has no field id", f.Name())
		}
		typ, err := icebergType(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		out = append(out, iceberg.NestedField{ID: f.ID(), Name: f.Name(), Type: typ, Required: !f.Optional()})
	}
	return out, nil
}

func icebergType(node parquet.Node) (iceberg.Type, error) {
	if node.Leaf() {
		return icebergPrimitive(node.Type())
	}
	switch logicalType(node.Type()).(type) {
	case *format.ListType:
		element, err := onlyChildren(node, 1)
		if err != nil {
			return nil, err
		}
		typ, err := icebergType(element[0])
		if err != nil {
			return nil, err
		}
		return &iceberg.ListType{ElementID: element[0].ID(), Element: typ, ElementRequired: !element[0].Optional()}, nil
	case *format.MapType:
		pair, err := onlyChildren(node, 2)
		if err != nil {
			return nil, err
		}
		key, err := icebergType(pair[0])
		if err != nil {
			return nil, err
		}
		value, err := icebergType(pair[1])
		if err != nil {
			return nil, err
		}
		return &iceberg.MapType{KeyID: pair[0].ID(), KeyType: key, ValueID: pair[1].ID(), ValueType: value, ValueRequired: !pair[1].Optional()}, nil
	default:
		fields, err := icebergFields(node)
		if err != nil {
			return nil, err
		}
		return &iceberg.StructType{FieldList: fields}, nil
	}
}

// onlyChildren unwraps the repeated group inside a list or map and returns its n fields, each with an id.
func onlyChildren(node parquet.Node, n int) ([]parquet.Field, error) {
	repeated := node.Fields()
	if len(repeated) != 1 || len(repeated[0].Fields()) != n {
		return nil, fmt.Errorf("unexpected shape of a list or map: %s", node)
	}
	for _, f := range repeated[0].Fields() {
		if f.ID() == 0 {
			return nil, fmt.Errorf("%s has no field id", f.Name())
		}
	}
	return repeated[0].Fields(), nil
}

// logicalType returns the Parquet annotation of a type, nil where it has none.
func logicalType(t parquet.Type) format.LogicalTypeValue {
	if annotation := t.LogicalType(); annotation != nil {
		return annotation.Value
	}
	return nil
}

func icebergPrimitive(t parquet.Type) (iceberg.Type, error) {
	switch t.Kind() {
	case parquet.Boolean:
		return iceberg.PrimitiveTypes.Bool, nil
	case parquet.Int32:
		return iceberg.PrimitiveTypes.Int32, nil
	case parquet.Int64:
		if _, ok := logicalType(t).(*format.TimestampType); ok {
			return iceberg.PrimitiveTypes.TimestampTz, nil
		}
		return iceberg.PrimitiveTypes.Int64, nil
	case parquet.Double:
		return iceberg.PrimitiveTypes.Float64, nil
	case parquet.ByteArray:
		return iceberg.PrimitiveTypes.String, nil
	default:
		return nil, fmt.Errorf("no Iceberg type for Parquet type %s", t)
	}
}
