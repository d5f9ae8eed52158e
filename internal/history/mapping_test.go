package history

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestParseMapping(t *testing.T) {
	m, err := ParseMapping("anonymous_id=session_id, session_id=session_id,item_id=item id,props.country=country")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.String(), "anonymous_id=session_id,item_id=item id,props.country=country,session_id=session_id"; got != want {
		t.Errorf("mapping %q, want %q", got, want)
	}
	again, err := ParseMapping(m.String())
	if err != nil || !maps.Equal(again, m) {
		t.Errorf("%v, %v: the text of a mapping does not read back", again, err)
	}
	for text, want := range map[string]string{
		"item_id":               "not of the form field=column",
		"item_id=":              "not of the form field=column",
		"item_id=a,item_id=b":   `"item_id" is given twice`,
		"itemid=a":              `there is no event field "itemid"; the fields are event_id, type`,
		"props.=a":              "there is no event field",
		"item_id=a,,user_id=b":  "not of the form field=column",
		"received_at=timestamp": "there is no event field",
	} {
		if _, err := ParseMapping(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestMissingColumnSaysWhatToDo(t *testing.T) {
	m := Mapping{FieldItemID: "item", FieldOccurredAt: "timestamp"}
	err := m.Check([]string{"session_id", "item_id", "timestamp"})
	var missing *MissingColumnError
	if !errors.As(err, &missing) || missing.Column != "item" || missing.Field != FieldItemID {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{`no column "item"`, "session_id, item_id, timestamp", "--map item_id=COLUMN"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("message %q lacks %q", err, part)
		}
	}
	if err := m.Check([]string{"item", "timestamp"}); err != nil {
		t.Error(err)
	}
}

func TestDetectFillsInWhatIsNotMapped(t *testing.T) {
	given := Mapping{FieldItemID: "sku"}
	got := given.Detect([]string{"user_id", "item_id", "sku", "timestamp_ms", "event_type", "unknown"})
	want := Mapping{FieldItemID: "sku", FieldUserID: "user_id", FieldOccurredAt: "timestamp_ms", FieldType: "event_type"}
	if !maps.Equal(got, want) {
		t.Errorf("detected %v, want %v", got, want)
	}
	if len(given) != 1 {
		t.Errorf("the given mapping was changed: %v", given)
	}
	if got := Mapping(nil).Detect([]string{"occurred_at", "timestamp"}); got[FieldOccurredAt] != "occurred_at" {
		t.Errorf("detected %v, want the field's own name first", got)
	}
}

func TestParseTypes(t *testing.T) {
	types, err := ParseTypes("pv=view_item,COMMENT CREATED=comment")
	if err != nil || types["pv"] != "view_item" || types["COMMENT CREATED"] != "comment" {
		t.Errorf("%v, %v", types, err)
	}
	if _, err := ParseTypes("pv"); err == nil {
		t.Error("half a pair: no error")
	}
}

func TestParseTime(t *testing.T) {
	for _, c := range []struct {
		text string
		unit Unit
		want string
	}{
		{"1590884413", UnitAuto, "2020-05-31T00:20:13Z"},
		{"1590884413000", UnitAuto, "2020-05-31T00:20:13Z"},
		{"99999999999", UnitAuto, "5138-11-16T09:46:39Z"}, // the last second
		{"100000000000", UnitAuto, "1973-03-03T09:46:40Z"},
		{"874724710.25", UnitAuto, "1997-09-20T03:05:10.25Z"},
		{"1.590884413e9", UnitAuto, "2020-05-31T00:20:13Z"},
		{"1590884413000000", UnitMicros, "2020-05-31T00:20:13Z"},
		{"5000", UnitMillis, "1970-01-01T00:00:05Z"},
		{"0", UnitSeconds, "1970-01-01T00:00:00Z"},
		{"2020-05-31T02:20:13.123456+02:00", UnitAuto, "2020-05-31T00:20:13.123Z"},
		{"2020-05-31T00:20:13Z", UnitMicros, "2020-05-31T00:20:13Z"}, // RFC 3339 has its own unit
	} {
		got, err := ParseTime(c.text, c.unit)
		if err != nil || got.Format(time.RFC3339Nano) != c.want {
			t.Errorf("%s %s: %v, %v, want %s", c.text, c.unit, got, err, c.want)
		}
	}
	for _, c := range []struct {
		text string
		unit Unit
	}{
		{"", UnitAuto}, {"yesterday", UnitAuto}, {"-5", UnitAuto}, {"NaN", UnitAuto}, {"Inf", UnitAuto}, {"1e300", UnitAuto},
		{"1590884413000", UnitSeconds}, {"2020-05-31", UnitAuto}, {"9223372036854775807", UnitMicros}, {"1900-01-01T00:00:00Z", UnitAuto},
	} {
		if got, err := ParseTime(c.text, c.unit); err == nil {
			t.Errorf("%q in %q read as %v, want an error", c.text, c.unit, got)
		}
	}
}

func TestParseUnit(t *testing.T) {
	for _, name := range []string{"", "s", "ms", "us"} {
		if u, err := ParseUnit(name); err != nil || string(u) != name {
			t.Errorf("%q: %q, %v", name, u, err)
		}
	}
	if _, err := ParseUnit("ns"); err == nil {
		t.Error("ns: no error")
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"1590884413", "2020-05-31T00:20:13Z", "1e5", "-1", "0x1p10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, unit := range []Unit{UnitAuto, UnitSeconds, UnitMillis, UnitMicros} {
			if got, err := ParseTime(text, unit); err == nil {
				if _, err := got.MarshalJSON(); err != nil || got.Location() != time.UTC {
					t.Errorf("%q in %q gave %v, which JSON cannot carry: %v", text, unit, got, err)
				}
			}
		}
	})
}
