package jsontext

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
)

func same(t *testing.T, what string, got []byte, value any) {
	t.Helper()
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != want.String() {
		t.Errorf("%s: %s, want %s", what, got, want.String())
	}
}

func FuzzAppend(f *testing.F) {
	for i, number := range []float64{0, math.Copysign(0, -1), 1, -7, 1e21, 9e20, 1 << 53, 1e-6, 9.99e-7, 1e-9, 5e-324, 0.1, 1.5e300} {
		f.Add("a<b>&\u2029", math.Float64bits(number), int64(i)*777_777_777_777)
	}
	for _, number := range []float32{1e21, 9e20, 1 << 24, 1e-6, 9.99e-7, 1e-9, 1e-45} {
		f.Add("", uint64(math.Float32bits(number))<<32, int64(0))
	}
	f.Fuzz(func(t *testing.T, text string, bits uint64, ms int64) {
		same(t, "text", AppendString(nil, text), text)
		if number := math.Float64frombits(bits); !math.IsNaN(number) && !math.IsInf(number, 0) {
			same(t, "number", AppendFloat64(nil, number), number)
		}
		if number := math.Float32frombits(uint32(bits >> 32)); number == number && !math.IsInf(float64(number), 0) {
			same(t, "short number", AppendFloat32(nil, number), number)
		}
		for _, at := range []time.Time{time.UnixMilli(ms).UTC(), time.UnixMilli(ms).In(time.FixedZone("", -5400))} {
			if year := at.Year(); year >= 0 && year <= 9999 {
				same(t, "time", AppendTime(nil, at), at)
			}
		}
	})
}
