package kafka

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// Values of the Java client's own test (UtilsTest.testMurmur2).
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := Murmur2([]byte(key)); got != want {
			t.Errorf("Murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestPartitionForAgainstLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 3, 16, 100} {
		partitions := make([]int, n)
		for i := range partitions {
			partitions[i] = i
		}
		for i := range 500 {
			key := fmt.Appendf(nil, "default:a:%d", rng.Uint64()>>(i%64))[:rng.IntN(10+1)+1]
			want := kafkago.Murmur2Balancer{}.Balance(kafkago.Message{Key: key}, partitions...)
			if got := PartitionFor(key, int32(n)); int(got) != want {
				t.Fatalf("key %q of %d partitions: %d, want %d", key, n, got, want)
			}
		}
	}
}

func TestHash(t *testing.T) {
	base := Record{Topic: "t", Partition: 1, Offset: 5, Time: time.UnixMilli(1_700_000_000_000), Key: []byte("k"), Value: []byte("v")}
	// Stored beside positions, so it must never change.
	if got := Hash(base); got != 0x5b023c0264e39de5 {
		t.Errorf("Hash = %#x", got)
	}
	same := base
	same.Topic, same.Partition, same.Headers = "mirror", 2, []Header{{Key: "h"}}
	same.Time = same.Time.UTC().Add(time.Microsecond)
	if Hash(same) != Hash(base) {
		t.Error("topic, headers, time zone and microseconds must not count")
	}
	for name, change := range map[string]func(r *Record){
		"offset":    func(r *Record) { r.Offset++ },
		"time":      func(r *Record) { r.Time = r.Time.Add(time.Millisecond) },
		"key":       func(r *Record) { r.Key = []byte("K") },
		"value":     func(r *Record) { r.Value = []byte("V") },
		"null":      func(r *Record) { r.Value = nil },
		"empty":     func(r *Record) { r.Value = []byte{} },
		"key/value": func(r *Record) { r.Key, r.Value = []byte("kv"), []byte{} },
	} {
		changed := base
		change(&changed)
		if Hash(changed) == Hash(base) {
			t.Errorf("a changed %s has the same hash", name)
		}
	}
	null, empty := base, base
	null.Value, empty.Value = nil, []byte{}
	if Hash(null) == Hash(empty) {
		t.Error("null and empty values have the same hash")
	}
}

func BenchmarkHash(b *testing.B) {
	r := Record{Offset: 5, Time: time.UnixMilli(1), Key: []byte("default:a:1234567890"), Value: make([]byte, 250)}
	b.ReportAllocs()
	for b.Loop() {
		Hash(r)
	}
}
