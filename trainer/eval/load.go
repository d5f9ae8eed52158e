package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/model"
	"github.com/millrace/millrace/lake/historyfile"
)

// logicalStep is the distance of two rows of a file without times, as on import.
const logicalStep = time.Second

// DataLake is the Config.Data that stands for what has landed.
const DataLake = "lake"

// Load reads the data of a configuration.
func Load(ctx context.Context, c Config) (*Log, error) {
	switch {
	case c.Data == "":
		return nil, usagef("no data: give the path of a CSV, JSONL or Parquet file with --data")
	case c.Data == DataLake && c.Source == nil:
		return nil, usagef("no lake is at hand: give the path of a CSV, JSONL or Parquet file")
	case c.Data == DataLake && (c.Items != "" || len(c.Mapping) > 0 || c.MinRating != nil || c.SplitColumn != ""):
		return nil, usagef("the lake has its own catalogue and columns: a catalogue file, a mapping, a least rating and a split column are for files only")
	case c.Data == DataLake:
		return c.Source(ctx)
	}
	l := newLoader(c)
	if err := eachRow(ctx, c.Data, l.add, l.reject); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Data, err)
	}
	log, err := l.finish()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.Data, err)
	}
	if c.Items != "" {
		if err := log.readItems(ctx, c.Items); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// eachRow calls add with every row of a file and reject with those that cannot be read or that add returns an error for,
// unless that is a *UsageError, which ends the reading.
func eachRow(ctx context.Context, path string, add func(history.Row) error, reject func(*history.RowError)) error {
	format, err := history.DetectFormat(path)
	if err != nil {
		return &UsageError{Message: err.Error()}
	}
	r, err := historyfile.Open(path, format)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // reading only: nothing can be lost
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var bad *history.RowError
		if errors.As(err, &bad) {
			reject(bad)
			continue
		}
		if err != nil {
			return err
		}
		if err := add(row); err != nil {
			var usage *UsageError
			if errors.As(err, &usage) {
				return err
			}
			reject(&history.RowError{Line: row.Line, Err: err})
		}
		if row.Index%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// loader collects rows by visit: what the file calls a session, else a visitor.
type loader struct {
	cfg     Config
	columns *columns // nil before the first row
	log     *Log
	visits  map[string]int32
	about   []visit // by number
	users   map[string]int32
	orders  map[string]int32
	events  []loaded
	known   map[int32]Item // what events say of items, the last one that says anything
}

// visit is what is known of the events that share a key.
type visit struct {
	split string
	user  int32
	given bool // it is one session; else the session rule cuts it
}

type loaded struct {
	visit, item, order int32
	weight             float32
	time               int64
	device             string
}

func newLoader(c Config) *loader {
	return &loader{
		cfg: c, log: &Log{Vocabulary: model.NewVocabulary(), Sessions: &model.Sessions{}},
		visits: map[string]int32{}, users: map[string]int32{}, orders: map[string]int32{}, known: map[int32]Item{},
	}
}

func (l *loader) add(row history.Row) error {
	if l.columns == nil {
		var err error
		if l.columns, err = newColumns(l.cfg, row.Columns()); err != nil {
			return err
		}
		l.log.Logical = l.columns.logical()
	}
	id := l.columns.value(row, history.FieldItemID)
	if id == "" {
		return errors.New("the item is empty")
	}
	e := loaded{time: row.Index * logicalStep.Milliseconds(), order: NoOrder, device: l.columns.deviceOf(row)}
	if !l.log.Logical {
		t, err := history.ParseTime(l.columns.value(row, history.FieldOccurredAt), l.cfg.TimeUnit)
		if err != nil {
			return err
		}
		e.time = t.UnixMilli()
	}
	weight, err := l.weigh(row)
	if err != nil {
		return err
	}
	if weight == 0 {
		l.log.LeftOut++
		return nil
	}
	e.weight = weight
	if order := l.columns.value(row, history.FieldTransactionID); order != "" {
		e.order = numbered(l.orders, order)
	}
	if e.visit, err = l.visit(row); err != nil {
		return err
	}
	e.item = l.log.Vocabulary.Add(id)
	if said := l.columns.describe(row); said.Title != "" || said.Brand != "" || len(said.Categories) > 0 {
		l.known[e.item] = said
	}
	l.events = append(l.events, e)
	l.log.Rows++
	return nil
}

// weigh returns what a row counts for, 0 where it is left out.
func (l *loader) weigh(row history.Row) (float32, error) {
	weight := 1.0
	if l.columns.fields[history.FieldType] != "" {
		kind := l.columns.value(row, history.FieldType)
		if l.log.Types == nil {
			l.log.Types = map[string]int{}
		}
		l.log.Types[kind]++
		if given, ok := l.cfg.Weights[kind]; ok {
			weight = given
		} else if slices.Contains(noInterest(), strings.ToLower(kind)) {
			weight = 0
		}
	}
	if l.cfg.MinRating != nil {
		rating, err := strconv.ParseFloat(l.columns.value(row, history.FieldRating), 64)
		if err != nil {
			return 0, fmt.Errorf("rating %.40q is no number", l.columns.value(row, history.FieldRating))
		}
		if rating < *l.cfg.MinRating {
			weight = 0
		}
	}
	return float32(weight), nil
}

// noInterest lists the event types that count nothing unless they are given a weight: what a visitor was only shown, or gave
// back.
func noInterest() []string {
	return []string{"view_item_list", "impression", "exposure", "remove_from_cart", "refund", "cancel"}
}

// visit numbers the visit of a row: by its session where the file has sessions, else by its user, else by its order. A row
// without all of them stands alone.
func (l *loader) visit(row history.Row) (int32, error) {
	v := visit{user: model.NoUser, given: true}
	if l.columns.split != "" {
		if v.split = row.Get(l.columns.split); !slices.Contains(splitNames(), v.split) {
			return 0, fmt.Errorf("split %.40q is none of %s", v.split, strings.Join(splitNames(), ", "))
		}
	}
	user := l.columns.value(row, history.FieldUserID)
	if user != "" {
		v.user = numbered(l.users, user)
	}
	key := "" // a session lies in one part; a number used again in another part is another session
	switch session, order := l.columns.value(row, history.FieldSessionID), l.columns.value(row, history.FieldTransactionID); {
	case session != "":
		key = v.split + "\x00s" + session
	case l.columns.fields[history.FieldSessionID] != "":
		return 0, errors.New("the session is empty")
	case user != "":
		key, v.given = v.split+"\x00u"+user, false
	case order != "":
		key = v.split + "\x00o" + order
	}
	if i, ok := l.visits[key]; ok && key != "" {
		if l.about[i].user == model.NoUser {
			l.about[i].user = v.user
		}
		return i, nil
	}
	i := int32(len(l.about))
	if key != "" {
		l.visits[key] = i
	}
	l.about = append(l.about, v)
	return i, nil
}

// numbered returns the number of a name, the next one where it is new.
func numbered(names map[string]int32, name string) int32 {
	i, ok := names[name]
	if !ok {
		i = int32(len(names))
		names[name] = i
	}
	return i
}

func (l *loader) reject(bad *history.RowError) {
	if l.log.BadRows++; l.log.FirstBad == nil {
		l.log.FirstBad = bad
	}
}

// checkWeights finds weights of types that no row has, which are mistyped.
func (l *loader) checkWeights() error {
	for _, kind := range slices.Sorted(maps.Keys(l.cfg.Weights)) {
		if _, ok := l.log.Types[kind]; !ok {
			return usagef("--weights names the type %q, which no row has; the file's types: %s", kind,
				strings.Join(slices.Sorted(maps.Keys(l.log.Types)), ", "))
		}
	}
	return nil
}
