package kafka_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/kafka"
	"github.com/millrace/millrace/internal/kafka/kafkatest"
)

// A committed and an aborted transaction leave control records, which are stepped over, also where nothing else is left.
func testControlRecords(t *testing.T, brokers []string) {
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, "control", 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	for i, commit := range []bool{true, false} {
		writer := transactional(t, brokers, fmt.Sprintf("control-%d", i))
		begin(t, writer)
		write(t, writer, "control", "x")
		end(t, writer, commit)
	}
	produce(t, p, "control", 0, 1)
	awaitEnd(t, c, "control", 5)
	// A broker writes the markers when it gets round to it, so where they are among the five offsets is its choice.
	values := 0
	for at := int64(0); at < 5; {
		res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: "control", Offset: at, MaxBytes: 1, MaxWait: time.Millisecond})
		if err != nil || res.Next <= at {
			t.Fatalf("at %d: %+v, %v; the reader must get on", at, res, err)
		}
		values += len(res.Records)
		at = res.Next
	}
	if values != 2 {
		t.Errorf("%d records, want the committed one and the plain one", values)
	}
}

// Three producers write at random in transactions that end at random: what is read is what another client reads.
func testReadCommitted(t *testing.T, brokers []string) {
	const topic = "committed"
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, topic, 1)
	rng := rand.New(rand.NewPCG(3, 3))
	plain := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	for i := range 3 {
		writer := transactional(t, brokers, fmt.Sprintf("committed-%d", i))
		other := transactional(t, brokers, fmt.Sprintf("committed-other-%d", i))
		for n := range 4 {
			begin(t, writer)
			begin(t, other)
			for j := range 1 + rng.IntN(4) {
				write(t, writer, topic, fmt.Sprintf("%d/%d/%d", i, n, j))
				write(t, other, topic, fmt.Sprintf("other %d/%d/%d", i, n, j))
			}
			produce(t, plain, topic, 0, 1)
			end(t, other, rng.IntN(2) == 0)
			write(t, writer, topic, "late")
			end(t, writer, rng.IntN(2) == 0)
		}
	}
	// A last transaction tells when all markers before it are written.
	last := transactional(t, brokers, "committed-last")
	begin(t, last)
	write(t, last, topic, "last")
	end(t, last, true)
	var own []string
	at := int64(0)
	for len(own) == 0 || own[len(own)-1] != "last" {
		res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: topic, Offset: at, MaxBytes: 200, MaxWait: 10 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.Records {
			own = append(own, string(r.Value))
		}
		at = res.Next
	}
	if theirs := committed(t, brokers, topic, at); !slices.Equal(own, theirs) {
		t.Errorf("read %v\nwant %v", own, theirs)
	}
}

// Nobody reads past the first record of an open transaction, and the end of the log is there.
func testOpenTransaction(t *testing.T, brokers []string) {
	const topic = "open"
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, topic, 1)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{})
	produce(t, p, topic, 0, 2)
	writer := transactional(t, brokers, "open")
	begin(t, writer)
	write(t, writer, topic, "in doubt")
	produce(t, p, topic, 0, 1)

	res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: topic})
	if err != nil || len(res.Records) != 2 || res.Next != 2 || res.End != 2 {
		t.Fatalf("with an open transaction: %+v, %v", res, err)
	}
	res, err = c.Fetch(t.Context(), kafka.FetchRequest{Topic: topic, Offset: 2, MaxWait: 10 * time.Millisecond})
	if err != nil || len(res.Records) != 0 || res.Next != 2 {
		t.Fatalf("at the open transaction: %+v, %v", res, err)
	}
	if ranges, err := c.Offsets(t.Context(), topic); err != nil || ranges[0].End != 2 {
		t.Fatalf("offsets %v, %v; want them to end at the open transaction", ranges, err)
	}
	end(t, writer, true)
	if got := fetchAllTo(t, c, topic, 5); len(got) != 4 || string(got[2].Value) != "in doubt" {
		t.Fatalf("after the commit: %v", got)
	}
}

// fetchAllTo reads partition 0 up to an offset, however long it takes to appear.
func fetchAllTo(t *testing.T, c *kafka.Client, topic string, end int64) (all []kafka.Record) {
	t.Helper()
	for at := int64(0); at < end; {
		res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: topic, Offset: at})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, res.Records...)
		at = res.Next
	}
	return all
}

// awaitEnd reads partition 0 until its end is where it should be.
func awaitEnd(t *testing.T, c *kafka.Client, topic string, end int64) {
	t.Helper()
	fetchAllTo(t, c, topic, end)
}

// Readers that give their memory back, many at once, read what one reads that does not; plain and compressed.
func testRelease(t *testing.T, brokers []string) {
	const topic, partitions = "release", 4
	c := kafkatest.Dial(t, brokers)
	kafkatest.Topic(t, c, topic, partitions)
	p := kafkatest.Producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 8 << 10})
	if err := p.Produce(t.Context(), benchRecords(4000, topic)); err != nil {
		t.Fatal(err)
	}
	want := make([][]uint64, partitions)
	for partition := range want {
		for _, r := range fetchAll(t, c, topic, int32(partition), 0) {
			want[partition] = append(want[partition], hashOf(r))
		}
	}
	var readers errgroup.Group
	for partition := range want {
		readers.Go(func() error {
			for round := range 3 {
				got, err := readReleased(t, c, topic, int32(partition), int64(len(want[partition])))
				if err != nil {
					return err
				}
				if !slices.Equal(got, want[partition]) {
					return fmt.Errorf("partition %d: other records in round %d", partition, round)
				}
			}
			return nil
		})
	}
	if err := readers.Wait(); err != nil {
		t.Error(err)
	}
}

func readReleased(t *testing.T, c *kafka.Client, topic string, partition int32, end int64) (hashes []uint64, err error) {
	for at := int64(0); at < end; {
		res, err := c.Fetch(t.Context(), kafka.FetchRequest{Topic: topic, Partition: partition, Offset: at, MaxBytes: 30_000})
		if err != nil {
			return nil, err
		}
		for _, r := range res.Records {
			hashes = append(hashes, hashOf(r))
		}
		at = res.Next
		res.Release()
	}
	return hashes, nil
}

// hashOf tells records apart by everything in them.
func hashOf(r kafka.Record) uint64 {
	for _, h := range r.Headers {
		r.Value = slices.Concat(r.Value, []byte(h.Key), h.Value)
	}
	return kafka.Hash(r)
}
