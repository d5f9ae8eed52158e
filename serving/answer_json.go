package serving

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/jsontext"
)

// itemView is an item as an answer shows it: fields are read when they are written, into no map between.
type itemView struct {
	names []string
	row   *Row
	said  *said // what events say, of an item without a row; may be nil
}

// MarshalJSON writes an answer as encoding/json would, with the fields of its items read from the catalogue's rows.
func (a *Answer) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil) }

// AppendJSON implements httpserver.JSONAppender.
func (a *Answer) AppendJSON(b []byte) (_ []byte, err error) {
	b = append(b, `{"rec_id":`...)
	b = jsontext.AppendString(b, a.RecID)
	b = append(b, `,"placement":`...)
	b = jsontext.AppendString(b, a.Placement)
	b = append(b, `,"variant":`...)
	b = jsontext.AppendString(b, a.Variant)
	b = append(b, `,"model_version":`...)
	b = jsontext.AppendString(b, a.ModelVersion)
	b = append(b, `,"served_by":`...)
	b = jsontext.AppendString(b, a.ServedBy)
	b = append(b, `,"degraded":`...)
	b = jsontext.AppendString(b, a.Degraded)
	b = append(b, `,"stale":`...)
	b = strconv.AppendBool(b, a.Stale)
	b = append(b, `,"items":[`...)
	for i := range a.Items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = a.Items[i].appendJSON(b); err != nil {
			return nil, err
		}
	}
	b = append(b, `],"token":`...)
	b = jsontext.AppendString(b, a.Token)
	if a.Explain != nil {
		explained, err := json.Marshal(a.Explain)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"explain":`...), explained...)
	}
	return append(b, '}'), nil
}

func (it *AnswerItem) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"item_id":`...)
	b = jsontext.AppendString(b, it.ItemID)
	b = append(b, `,"position":`...)
	b = strconv.AppendInt(b, int64(it.Position), 10)
	b = append(b, `,"score":`...)
	b = jsontext.AppendFloat64(b, it.Score)
	b = append(b, `,"reasons":`...)
	b = appendStrings(b, it.Reasons)
	b = append(b, `,"fields":`...)
	if it.Fields != nil { // an answer that was read, not made
		fields, err := json.Marshal(it.Fields)
		return append(append(b, fields...), '}'), err
	}
	b, err := it.view.appendJSON(b)
	return append(b, '}'), err
}

// appendJSON appends the fields that the item has. The names are known to differ.
func (v *itemView) appendJSON(b []byte) (_ []byte, err error) {
	b = append(b, '{')
	first := len(b)
	for _, name := range v.names {
		start := len(b)
		if start > first {
			b = append(b, ',')
		}
		b = append(jsontext.AppendString(b, name), ':')
		value := len(b)
		if b, err = v.appendField(b, name); err != nil {
			return nil, err
		}
		if len(b) == value { // the item does not have it
			b = b[:start]
		}
	}
	return append(b, '}'), nil
}

// appendField appends one field, or nothing where the item does not have it.
func (v *itemView) appendField(b []byte, name string) ([]byte, error) {
	if v.row == nil {
		value, has := v.said.field(name)
		return appendValue(b, value, has)
	}
	switch name { // those of product tiles, without a detour over values of any type
	case "title":
		return appendText(b, v.row.Title()), nil
	case "brand":
		return appendText(b, v.row.Brand), nil
	case "categories":
		if len(v.row.Categories()) == 0 {
			return b, nil
		}
		return appendStrings(b, v.row.Categories()), nil
	case "price":
		if v.row.Price == nil {
			return b, nil
		}
		return jsontext.AppendFloat64(b, *v.row.Price), nil
	case "currency":
		return appendText(b, v.row.Currency()), nil
	case "url":
		return appendText(b, v.row.URL()), nil
	case "image_url":
		return appendText(b, v.row.ImageURL()), nil
	}
	value, has := v.row.field(name)
	return appendValue(b, value, has)
}

func appendText(b []byte, text string) []byte {
	if text == "" {
		return b
	}
	return jsontext.AppendString(b, text)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, text := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontext.AppendString(b, text)
	}
	return append(b, ']')
}

func appendValue(b []byte, value any, has bool) ([]byte, error) {
	if !has {
		return b, nil
	}
	encoded, err := json.Marshal(value)
	return append(b, encoded...), err
}

// fieldNames are the fields that the answer shows, each once.
func (q *query) fieldNames() []string {
	switch {
	case q.request.Fields != nil:
		return slices.Compact(slices.Sorted(slices.Values(q.request.Fields)))
	case q.settings.Fields != nil:
		return slices.Compact(slices.Sorted(slices.Values(q.settings.Fields)))
	}
	return DefaultFields
}
