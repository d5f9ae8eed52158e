package lake

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// figures describe a whole table, as readers/figures.py does for what another engine reads.
type figures struct {
	Rows int               `json:"rows"`
	Sums map[string]string `json:"sums"` // of flat numeric columns; floats rounded once, as IEEE bits
	Hash string            `json:"hash"` // the sum of the rows' hashes, which no order changes
}

// exactBits is enough for every sum of doubles: 2^1024 down to 2^-1074, and some for carries.
const exactBits = 2200

// figuresOf are the figures that every engine has to come to, from rows that Scan has read.
func figuresOf[R any](rows []R) figures {
	ints, floats := make(map[string]*big.Int), make(map[string]*big.Float)
	total := uint64(0)
	var text bytes.Buffer
	for i := range rows {
		text.Reset()
		for _, f := range spelledFields(reflect.ValueOf(&rows[i]).Elem()) {
			text.WriteString(f.name + "=")
			f.spell(&text)
			addTo(ints, floats, f)
		}
		sum := sha256.Sum256(text.Bytes())
		total += binary.BigEndian.Uint64(sum[:8])
	}
	out := figures{Rows: len(rows), Sums: make(map[string]string), Hash: fmt.Sprintf("%016x", total)}
	for name, sum := range ints {
		out.Sums[name] = sum.String()
	}
	for name, sum := range floats {
		rounded, _ := sum.Float64()
		out.Sums[name] = fmt.Sprintf("%016x", math.Float64bits(rounded))
	}
	return out
}

// addTo adds a field to the sum of its column, if that is a number and not a time.
func addTo(ints map[string]*big.Int, floats map[string]*big.Float, f spelledField) {
	kind := f.value.Type()
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	value := reflect.Zero(kind)
	if f.value.Kind() != reflect.Pointer {
		value = f.value
	} else if !f.value.IsNil() {
		value = f.value.Elem()
	}
	switch {
	case f.timestamp:
	case kind.Kind() == reflect.Int32 || kind.Kind() == reflect.Int64:
		if ints[f.name] == nil {
			ints[f.name] = new(big.Int)
		}
		ints[f.name].Add(ints[f.name], big.NewInt(value.Int()))
	case kind.Kind() == reflect.Float64:
		if floats[f.name] == nil {
			floats[f.name] = new(big.Float).SetPrec(exactBits)
		}
		floats[f.name].Add(floats[f.name], big.NewFloat(value.Float()))
	}
}

// spelledField is a field of a row with what its tag says about the column.
type spelledField struct {
	name                string
	value               reflect.Value
	optional, timestamp bool
}

// spelledFields are the fields of a row struct by name.
func spelledFields(row reflect.Value) []spelledField {
	var out []spelledField
	for i := range row.NumField() {
		name, options, _ := strings.Cut(row.Type().Field(i).Tag.Get("parquet"), ",")
		out = append(out, spelledField{
			name: name, value: row.Field(i), optional: strings.Contains(options, "optional"), timestamp: strings.Contains(options, "timestamp"),
		})
	}
	slices.SortFunc(out, func(a, b spelledField) int { return cmp.Compare(a.name, b.name) })
	return out
}

// spell writes the one spelling of a value.
func (f spelledField) spell(to *bytes.Buffer) {
	v := f.value
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			to.WriteByte('n')
			return
		}
		spelledField{value: v.Elem(), timestamp: f.timestamp}.spell(to)
	case reflect.Struct:
		to.WriteByte('(')
		for _, child := range spelledFields(v) {
			to.WriteString(child.name + "=")
			child.spell(to)
		}
		to.WriteByte(')')
	case reflect.Slice:
		if v.Len() == 0 && f.optional {
			to.WriteByte('n')
			return
		}
		to.WriteByte('[')
		for i := range v.Len() {
			spelledField{value: v.Index(i)}.spell(to)
		}
		to.WriteByte(']')
	case reflect.Map:
		var pairs []string
		for _, key := range v.MapKeys() {
			var pair bytes.Buffer
			spelledField{value: key}.spell(&pair)
			spelledField{value: v.MapIndex(key)}.spell(&pair)
			pairs = append(pairs, pair.String())
		}
		slices.Sort(pairs)
		to.WriteString("{" + strings.Join(pairs, "") + "}")
	case reflect.String:
		fmt.Fprintf(to, "s%d:%s", v.Len(), v.String())
	case reflect.Bool:
		to.WriteByte("ft"[btoi(v.Bool())])
	case reflect.Float64:
		fmt.Fprintf(to, "d%016x", math.Float64bits(v.Float()))
	case reflect.Int32, reflect.Int64:
		kind := byte('i')
		if f.timestamp {
			kind = 'u'
		}
		fmt.Fprintf(to, "%c%d", kind, v.Int())
	default:
		panic("no spelling for a " + v.Type().String())
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// lakeFigures reads all tables as Millrace does.
func lakeFigures(t *testing.T, l *Lake) map[string]figures {
	t.Helper()
	var events []eventRow
	err := l.ScanEvents(t.Context(), ScanRequest{}, func(r EventRow) error {
		events = append(events, eventRow{})
		return events[len(events)-1].fill(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	var exposures []exposureRow
	err = l.ScanExposures(t.Context(), ScanRequest{}, func(r ExposureRow) error {
		exposures = append(exposures, exposureRow{})
		return exposures[len(exposures)-1].fill(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	var items []catalogueRow
	err = l.ScanItems(t.Context(), ScanRequest{}, func(r ItemRow) error {
		items = append(items, catalogueRow{})
		return items[len(items)-1].fill(r)
	})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]figures{TableEvents: figuresOf(events), TableExposures: figuresOf(exposures), TableItems: figuresOf(items)}
}
