package eval

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/agent"
	"github.com/millrace/millrace/internal/history"
)

// Columns that no event field is made of.
const (
	columnSplit     = "split"
	columnDevice    = "device"
	columnUserAgent = "user_agent"
)

// columns say which column of a file holds what; "" is none.
type columns struct {
	fields history.Mapping
	split  string
	device string
	agent  string
	agents map[string]string // device of each user agent so far: there are few, and reading one takes microseconds
}

// newColumns settles the columns by those of the first row.
func newColumns(c Config, present []string) (*columns, error) {
	if err := c.Mapping.Check(present); err != nil {
		return nil, &UsageError{Message: err.Error()}
	}
	k := &columns{fields: c.Mapping.Detect(present), agents: map[string]string{}}
	has := strings.Join(present, ", ")
	if k.fields[history.FieldItemID] == "" {
		return nil, usagef("no column for item_id; the file has: %s. Name one of them with --map item_id=COLUMN", has)
	}
	if k.fields[history.FieldSessionID] == "" && k.fields[history.FieldUserID] == "" {
		return nil, usagef("no column for session_id or user_id, so that nothing says which events belong together; the file has: %s. "+
			"Name one of them with --map session_id=COLUMN or --map user_id=COLUMN", has)
	}
	if c.MinRating != nil && k.fields[history.FieldRating] == "" {
		return nil, usagef("no column for rating; the file has: %s. Name one of them with --map rating=COLUMN, or leave --min-rating out", has)
	}
	if len(c.Weights) > 0 && k.fields[history.FieldType] == "" {
		return nil, usagef("no column for type; the file has: %s. Name one of them with --map type=COLUMN, or leave --weights out", has)
	}
	switch {
	case c.SplitColumn != "" && !slices.Contains(present, c.SplitColumn):
		return nil, usagef("no split column %q; the file has: %s. Name one of them with --split-column", c.SplitColumn, has)
	case c.SplitColumn != "":
		k.split = c.SplitColumn
	case (c.Protocol == "" || c.Protocol == ProtocolNextItem) && c.Holdout == 0 && slices.Contains(present, columnSplit):
		k.split = columnSplit
	}
	for _, order := range []string{"order_id", "invoice_id"} {
		if k.fields[history.FieldTransactionID] == "" && slices.Contains(present, order) {
			k.fields[history.FieldTransactionID] = order
		}
	}
	for name, column := range map[string]*string{columnDevice: &k.device, columnUserAgent: &k.agent} {
		if mapped := c.Mapping[history.PropPrefix+name]; mapped != "" {
			*column = mapped
		} else if slices.Contains(present, name) {
			*column = name
		}
	}
	return k, nil
}

// logical reports whether the file has no times.
func (k *columns) logical() bool { return k.fields[history.FieldOccurredAt] == "" }

func (k *columns) value(row history.Row, field string) string { return k.fields.Value(row, field) }

// deviceOf returns the kind of device of a row, "" where it does not say.
func (k *columns) deviceOf(row history.Row) string {
	if k.device != "" {
		return strings.ToLower(row.Get(k.device))
	}
	if k.agent == "" {
		return ""
	}
	header := row.Get(k.agent)
	device, known := k.agents[header]
	if !known {
		device = agent.Parse(header).Device
		k.agents[header] = device
	}
	return device
}

// describe returns what a row says of its item.
func (k *columns) describe(row history.Row) Item {
	item := Item{Title: k.value(row, history.FieldItemName), Brand: k.value(row, history.FieldItemBrand)}
	for _, field := range []string{history.FieldCategory, history.FieldCategory2, history.FieldCategory3} {
		if category := k.value(row, field); category != "" {
			item.Categories = append(item.Categories, category)
		}
	}
	return item
}
