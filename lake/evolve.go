package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// errOtherColumns means that a table's columns are not those of an older or a newer version of Millrace: somebody else has
// changed them.
var errOtherColumns = errors.New("the table's columns are not those of any version of Millrace")

// errNewerColumns means that a newer version of Millrace has added columns, which this one would leave out of what it writes anew.
var errNewerColumns = errors.New("the table has columns that this version does not know and would lose: leave this to the version that added them")

// evolve gives a table that an older version has made the columns that it lacks, in one commit on its newest version; the
// files stay as they are, and lack them still. Of openers that race one does it, and the others find it done. What a table of
// a newer version has more stays.
func (l *Lake) evolve(ctx context.Context, spec tableSpec) error {
	own, err := icebergSchema(spec.file)
	if err != nil {
		return err
	}
	var lastErr error
	for range maxCommitTries {
		t, err := l.current(ctx, spec)
		if err != nil {
			return errors.Join(lastErr, err)
		}
		next, added, err := evolvedSchema(t.Schema(), own)
		if err != nil || len(added) == 0 { // after an error as well: the table itself says whether a commit went through
			return err
		}
		if lastErr != nil && !errors.Is(lastErr, table.ErrCommitFailed) {
			return fmt.Errorf("add columns %v: %w", added, lastErr)
		}
		if lastErr = l.commitSchema(ctx, spec, t, next, added); lastErr == nil {
			return nil
		}
	}
	return fmt.Errorf("add columns: gave up after %d tries: %w", maxCommitTries, lastErr)
}

// commitSchema makes a schema the table's current one. The builder is used directly because the library's way of adding a
// column numbers it itself.
func (l *Lake) commitSchema(ctx context.Context, spec tableSpec, t *table.Table, next *iceberg.Schema, added []string) error {
	props := iceberg.Properties{}
	for _, column := range spec.metrics {
		if slices.Contains(added, column) {
			props[table.MetricsModeColumnConfPrefix+"."+column] = "full"
		}
	}
	if t.Properties()[table.DefaultNameMappingKey] != "" { // the library keeps one of every table; it tells columns of files without ids
		mapping, err := json.Marshal(next.NameMapping())
		if err != nil {
			return fmt.Errorf("encode name mapping: %w", err)
		}
		props[table.DefaultNameMappingKey] = string(mapping)
	}
	updates := []table.Update{table.NewAddSchemaUpdate(next), table.NewSetCurrentSchemaUpdate(-1)}
	if len(props) > 0 {
		updates = append(updates, table.NewSetPropertiesUpdate(props))
	}
	meta := t.Metadata()
	reqs := []table.Requirement{table.AssertCurrentSchemaID(meta.CurrentSchema().ID), table.AssertLastAssignedFieldID(meta.LastColumnID())}
	meta, at, err := l.catalog.version(meta, t.MetadataLocation()).CommitTable(ctx, spec.ident(), reqs, updates)
	if err != nil {
		return err
	}
	after := pin(l.catalog, l.files, spec.ident(), meta, at)
	l.drop(spec, t, after)
	l.remember(spec, after)
	return nil
}

// evolvedSchema is a table's schema with what it lacks of this version's own, and the paths of that.
func evolvedSchema(have, own *iceberg.Schema) (next *iceberg.Schema, added []string, err error) {
	taken, err := iceberg.IndexByID(have)
	if err != nil {
		return nil, nil, fmt.Errorf("index schema: %w", err)
	}
	m := merger{taken: taken}
	fields, err := m.fields(have.Fields(), own.Fields(), "")
	if err != nil {
		return nil, nil, err
	}
	return iceberg.NewSchemaWithIdentifiers(0, have.IdentifierFieldIDs, fields...), m.added, nil // the commit numbers it
}

// merger lays this version's columns over those of a table.
type merger struct {
	taken map[int]iceberg.NestedField // every field of the table
	added []string                    // paths
}

// fields merges the fields of one struct; those that are added come last.
func (m *merger) fields(have, own []iceberg.NestedField, prefix string) ([]iceberg.NestedField, error) {
	out := slices.Clone(have)
	for _, f := range own {
		path := prefix + f.Name
		i := slices.IndexFunc(have, func(h iceberg.NestedField) bool { return h.ID == f.ID })
		if i < 0 {
			if err := m.canAdd(have, f, path); err != nil {
				return nil, err
			}
			out, m.added = append(out, f), append(m.added, path)
			continue
		}
		if have[i].Name != f.Name || have[i].Required != f.Required {
			return nil, fmt.Errorf("%w: field %d is %s, and was made as %s", errOtherColumns, f.ID, describeField(prefix, have[i]), describeField(prefix, f))
		}
		typ, err := m.typ(have[i].Type, f.Type, path)
		if err != nil {
			return nil, err
		}
		out[i].Type = typ
	}
	for _, h := range have {
		known := slices.ContainsFunc(own, func(f iceberg.NestedField) bool { return f.ID == h.ID })
		if !known && h.Required {
			return nil, fmt.Errorf("%w: it wants a %s in every row (field %d), which no version may ask of an older one", errOtherColumns, prefix+h.Name, h.ID)
		}
	}
	return out, nil
}

// canAdd refuses a column that would be another one for somebody.
func (m *merger) canAdd(have []iceberg.NestedField, f iceberg.NestedField, path string) error {
	if f.Required {
		return fmt.Errorf("%w: column %s (field %d) is missing, which every row has", errOtherColumns, path, f.ID)
	}
	ids := []int{f.ID}
	inside, err := iceberg.IndexByID(iceberg.NewSchema(0, f))
	if err != nil {
		return fmt.Errorf("index column %s: %w", path, err)
	}
	for id := range inside {
		ids = append(ids, id)
	}
	for _, id := range ids {
		if other, ok := m.taken[id]; ok {
			return fmt.Errorf("%w: field %d, which column %s needs, is the column %s", errOtherColumns, id, path, other.Name)
		}
	}
	if i := slices.IndexFunc(have, func(h iceberg.NestedField) bool { return h.Name == f.Name }); i >= 0 {
		return fmt.Errorf("%w: %s is field %d there and field %d here", errOtherColumns, path, have[i].ID, f.ID)
	}
	return nil
}

// typ merges what lies inside a column.
func (m *merger) typ(have, own iceberg.Type, path string) (iceberg.Type, error) {
	differ := fmt.Errorf("%w: %s is a %s, and was made as a %s", errOtherColumns, path, have, own)
	switch own := own.(type) {
	case *iceberg.StructType:
		group, ok := have.(*iceberg.StructType)
		if !ok {
			return nil, differ
		}
		fields, err := m.fields(group.FieldList, own.FieldList, path+".")
		return &iceberg.StructType{FieldList: fields}, err
	case *iceberg.ListType:
		list, ok := have.(*iceberg.ListType)
		if !ok || list.ElementID != own.ElementID || list.ElementRequired != own.ElementRequired {
			return nil, differ
		}
		element, err := m.typ(list.Element, own.Element, path+".element")
		return &iceberg.ListType{ElementID: list.ElementID, Element: element, ElementRequired: list.ElementRequired}, err
	case *iceberg.MapType:
		pairs, ok := have.(*iceberg.MapType)
		if !ok || pairs.KeyID != own.KeyID || pairs.ValueID != own.ValueID || pairs.ValueRequired != own.ValueRequired || !pairs.KeyType.Equals(own.KeyType) {
			return nil, differ
		}
		value, err := m.typ(pairs.ValueType, own.ValueType, path+".value")
		return &iceberg.MapType{KeyID: pairs.KeyID, KeyType: pairs.KeyType, ValueID: pairs.ValueID, ValueType: value, ValueRequired: pairs.ValueRequired}, err
	}
	if !have.Equals(own) {
		return nil, differ
	}
	return have, nil
}

// describeField names a field for an error: "rec.token, optional".
func describeField(prefix string, f iceberg.NestedField) string {
	if f.Required {
		return prefix + f.Name + ", required"
	}
	return prefix + f.Name + ", optional"
}

// knowsColumns refuses a table of which this version does not know all columns; it may land there, but write nothing anew.
func (s tableSpec) knowsColumns(have *iceberg.Schema) error {
	own, err := icebergSchema(s.file)
	if err != nil {
		return err
	}
	known, err := iceberg.IndexByID(own)
	if err != nil {
		return fmt.Errorf("index schema: %w", err)
	}
	columns, err := iceberg.IndexByID(have)
	if err != nil {
		return fmt.Errorf("index schema: %w", err)
	}
	for id, column := range columns {
		if _, ok := known[id]; !ok {
			return fmt.Errorf("%w: %s (field %d)", errNewerColumns, column.Name, id)
		}
	}
	return nil
}
