package history

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Unit is what a number in a time column counts since 1970.
type Unit string

// The units.
const (
	UnitAuto    Unit = ""   // seconds below secondsBelow, else milliseconds
	UnitSeconds Unit = "s"  // seconds
	UnitMillis  Unit = "ms" // milliseconds
	UnitMicros  Unit = "us" // microseconds
)

// secondsBelow is the number below which a time without a unit is in seconds: as seconds it lies in the year 5138, as
// milliseconds in 1973.
const secondsBelow = 1e11

// ParseUnit reads the name of a unit; "" is UnitAuto.
func ParseUnit(name string) (Unit, error) {
	switch u := Unit(name); u {
	case UnitAuto, UnitSeconds, UnitMillis, UnitMicros:
		return u, nil
	default:
		return "", fmt.Errorf("time unit %q is not known: use s, ms or us", name)
	}
}

// ParseTime reads RFC 3339 or a number of the given unit since 1970, in UTC with millisecond precision.
func ParseTime(text string, unit Unit) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("time is empty")
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return inRange(t, text)
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return fromNumber(float64(n), n, unit, text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return time.Time{}, fmt.Errorf("time %.40q is neither RFC 3339 (2020-05-31T00:00:00Z) nor a number since 1970", text)
	}
	return fromNumber(f, int64(math.Trunc(f)), unit, text)
}

// fromNumber turns a number into a time. whole is exact where the number is an integer; f adds a fraction of a second.
func fromNumber(f float64, whole int64, unit Unit, text string) (time.Time, error) {
	if unit == UnitAuto {
		unit = UnitMillis
		if math.Abs(f) < secondsBelow {
			unit = UnitSeconds
		}
	}
	const maxNumber = 1e17 // keeps the arithmetic below in range; in microseconds this is the year 5138
	if math.Abs(f) > maxNumber {
		return time.Time{}, fmt.Errorf("time %.40q is out of range", text)
	}
	switch unit {
	case UnitSeconds:
		if math.Abs(f) > secondsBelow*10 {
			return time.Time{}, fmt.Errorf("time %.40q is out of range for seconds: is it in another unit?", text)
		}
		return inRange(time.Unix(whole, int64((f-math.Trunc(f))*1e9)), text)
	case UnitMicros:
		return inRange(time.UnixMicro(whole), text)
	default:
		return inRange(time.UnixMilli(whole), text)
	}
}

// inRange refuses times that JSON and Parquet cannot carry.
func inRange(t time.Time, text string) (time.Time, error) {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("time %.40q lies in the year %d, must be 1970 to 9999: is the unit right?", text, t.Year())
	}
	return t, nil
}
