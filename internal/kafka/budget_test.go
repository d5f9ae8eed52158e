package kafka

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
)

// What is counted for an answer is what parsing it then holds: its bytes, what they inflate to, the records.
func TestDemandIsWhatParsingHolds(t *testing.T) {
	decoder, err := newDecoder()
	if err != nil {
		t.Fatal(err)
	}
	records := benchRecords(400)
	for name, raw := range map[string][]byte{"plain": encode(0, records...), "zstd": compressed(t, records...)} {
		p := batchParser{buffers: &buffers{}, topic: "t", stable: math.MaxInt64, zstd: decoder}
		raw = bytes.Join([][]byte{raw, at(bytes.Clone(raw), 400)}, nil)
		if err := p.parse(raw); err != nil {
			t.Fatal(err)
		}
		held := int64(len(raw) + len(p.inflated) + len(p.records)*recordBytes)
		if len(p.records) < 800 || demand(raw) != held {
			t.Errorf("%s: %d bytes are counted for %d records, %d are held", name, demand(raw), len(p.records), held)
		}
	}
	if got := demand([]byte("cut short")); got != int64(len("cut short")) {
		t.Errorf("%d bytes are counted for 9 of a batch that was cut", got)
	}
}

// What is larger than the budget gets all of it, what comes meanwhile waits, and giving back twice gives back once.
func TestBudgetIsKept(t *testing.T) {
	b := NewBudget(100)
	all, err := b.take(t.Context(), 1000)
	if err != nil || all.bytes != 100 {
		t.Fatalf("granted %d of 100: %v", all.bytes, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.take(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("a byte above the budget: %v", err)
	}
	all.giveBack()
	all.giveBack()
	half, err := b.take(t.Context(), 51)
	if err != nil {
		t.Fatal(err)
	}
	if b.free.TryAcquire(50) {
		t.Fatal("101 of 100 bytes are granted")
	}
	half.giveBack()
	if !b.free.TryAcquire(100) {
		t.Fatal("not all was given back")
	}
}
