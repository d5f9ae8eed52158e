package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
)

// builder turns the rows of one file into events.
type builder struct {
	site    string
	kind    string // the type of rows that name none
	types   map[string]string
	unit    history.Unit
	mapping history.Mapping
	props   []string // mapped props: field names with the prefix
	api     bool     // rows are events in the API's own form
	rows    int64    // of the file: the logical clock counts back from the last one
}

// newBuilder settles which column holds which field, and refuses a file that cannot make events, naming what is missing.
func newBuilder(cfg Config, format history.Format, s survey) (*builder, error) {
	b := &builder{site: cfg.Site, kind: cfg.Type, types: cfg.Types, unit: cfg.TimeUnit, rows: s.rows}
	if err := cfg.Map.Check(s.columns); err != nil {
		return nil, err
	}
	b.mapping = cfg.Map.Detect(s.columns)
	delete(b.mapping, history.FieldEventID) // a column of that name still counts in the row's identity
	if _, named := cfg.Map[history.FieldType]; cfg.Type != "" && !named && len(cfg.Types) == 0 {
		delete(b.mapping, history.FieldType) // --type was asked for: a column that merely looks like one does not overrule it
	}
	for field := range b.mapping {
		if strings.HasPrefix(field, history.PropPrefix) {
			b.props = append(b.props, field)
		}
	}
	slices.Sort(b.props)
	if b.api = len(cfg.Map) == 0 && s.apiForm(format); b.api {
		return b, nil
	}
	return b, b.check(s.columns)
}

func (b *builder) check(columns []string) error {
	has := "it has: " + strings.Join(columns, ", ")
	if b.mapping[history.FieldAnonymousID] == "" && b.mapping[history.FieldUserID] == "" {
		return fmt.Errorf("no column says who the visitor is; %s. Name one with --map user_id=COLUMN or --map anonymous_id=COLUMN "+
			"(a file of sessions without visitors: the session's column for both anonymous_id and session_id)", has)
	}
	if b.kind == "" && b.mapping[history.FieldType] == "" {
		return fmt.Errorf("no column says what happened; %s. Name one with --map type=COLUMN, or give every row one type with --type view_item", has)
	}
	return nil
}

// logical reports whether the rows have no times of their own.
func (b *builder) logical() bool { return b.mapping[history.FieldOccurredAt] == "" }

// unused returns the columns that no field takes.
func (b *builder) unused(columns []string) []string {
	if b.api {
		return nil
	}
	var out []string
	for _, c := range columns {
		used := false
		for _, taken := range b.mapping {
			used = used || taken == c
		}
		if !used {
			out = append(out, c)
		}
	}
	return out
}

// build makes the event of a row. started is when the import of this file first began: the time of receipt, and where
// the logical clock ends. The error is the reason to reject the row.
func (b *builder) build(row history.Row, id string, started time.Time) (*event.Event, error) {
	e := new(event.Event)
	if b.api {
		decoded, err := decodeUntimed(row.Raw)
		if err != nil {
			return nil, err
		}
		e = decoded
	} else if err := b.fill(e, row); err != nil {
		return nil, err
	}
	e.EventID = id
	kind, err := b.typeOf(row)
	if err != nil {
		return nil, err
	}
	e.Type = kind
	if b.logical() {
		e.Clock = event.ClockLogical
		e.OccurredAt = started.Add(-time.Duration(b.rows-1-row.Index) * time.Second)
	} else if e.OccurredAt, err = history.ParseTime(b.mapping.Value(row, history.FieldOccurredAt), b.unit); err != nil {
		return nil, err
	}
	if problem := e.Admit(event.AdmitInput{Site: b.site, ReceivedAt: started, Import: true}); problem != nil {
		return nil, problem
	}
	return e, nil
}

// decodeUntimed reads an event in the API's form but for its time: files may count it in seconds, which the API refuses.
func decodeUntimed(raw []byte) (*event.Event, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	delete(object, history.FieldOccurredAt)
	untimed, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	e, problem := event.Decode(untimed)
	if problem != nil {
		return nil, problem
	}
	return e, nil
}

func (b *builder) typeOf(row history.Row) (string, error) {
	said := b.mapping.Value(row, history.FieldType)
	if said == "" {
		return b.kind, nil
	}
	if kind, ok := b.types[said]; ok {
		return kind, nil
	}
	if !event.CheckType(said) {
		return "", fmt.Errorf("%.60q is not an event type: translate it with --types %.60q", said, said+"=view_item")
	}
	return said, nil
}

// fill reads the mapped columns.
func (b *builder) fill(e *event.Event, row history.Row) error {
	get := func(field string) string { return b.mapping.Value(row, field) }
	e.AnonymousID, e.UserID, e.SessionID = get(history.FieldAnonymousID), get(history.FieldUserID), get(history.FieldSessionID)
	e.TransactionID = get(history.FieldTransactionID)
	e.SearchTerm, e.Currency = cut(get(history.FieldSearchTerm), event.MaxNameBytes), cut(get(history.FieldCurrency), event.MaxNameBytes)
	var err error
	number := func(field string) *float64 {
		n, e := parseNumber(field, get(field))
		err = errors.Join(err, e)
		return n
	}
	e.Value, e.Rating = number(history.FieldValue), number(history.FieldRating)
	page := event.Page{
		URL:      cut(get(history.FieldURL), event.MaxURLBytes),
		Referrer: cut(get(history.FieldReferrer), event.MaxURLBytes),
		Title:    cut(get(history.FieldTitle), event.MaxNameBytes),
	}
	if page != (event.Page{}) {
		e.Page = &page
	}
	if id := get(history.FieldItemID); id != "" {
		e.Items = []event.Item{{
			ItemID:        id,
			Quantity:      number(history.FieldQuantity),
			Price:         number(history.FieldPrice),
			ItemName:      cut(get(history.FieldItemName), event.MaxNameBytes),
			ItemCategory:  cut(get(history.FieldCategory), event.MaxNameBytes),
			ItemCategory2: cut(get(history.FieldCategory2), event.MaxNameBytes),
			ItemCategory3: cut(get(history.FieldCategory3), event.MaxNameBytes),
			ItemBrand:     cut(get(history.FieldItemBrand), event.MaxNameBytes),
		}}
	}
	for _, field := range b.props {
		if v := get(field); v != "" {
			if e.Props == nil {
				e.Props = make(map[string]any, len(b.props))
			}
			e.Props[strings.TrimPrefix(field, history.PropPrefix)] = cut(v, event.MaxNameBytes)
		}
	}
	return err
}

// parseNumber reads a number; an empty text is no number and no error.
func parseNumber(field, text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, fmt.Errorf("%s %.40q is not a number", field, text)
	}
	return &n, nil
}

// cut shortens descriptive text to at most max bytes, at the end of a character: as at the collector, a long title does
// not cost a purchase.
func cut(text string, max int) string {
	if len(text) <= max {
		return text
	}
	return strings.ToValidUTF8(text[:max], "")
}
