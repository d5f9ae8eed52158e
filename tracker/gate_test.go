package tracker

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/kafka"
)

type fixedIntake struct {
	value control.Intake
	err   error
}

func (f *fixedIntake) Intake(context.Context) (control.Intake, error) { return f.value, f.err }

type producerFunc func([]kafka.Record) error

func (f producerFunc) Produce(_ context.Context, r []kafka.Record) error { return f(r) }

// TestGate spreads events over the partitions that the control store knows, whatever the producer knows, and lets nothing
// through while it is closed or nobody can say whether it is.
func TestGate(t *testing.T) {
	var got []int32
	producer := producerFunc(func(records []kafka.Record) error {
		for _, r := range records {
			got = append(got, r.Partition)
		}
		return nil
	})
	keys := []string{"default:a:b1", "default:a:b2", "default:u:u1", "default:e:e1"}
	records := func() []kafka.Record {
		var all []kafka.Record
		for _, key := range keys {
			all = append(all, kafka.Record{Topic: event.TopicEvents, Partition: -1, Key: []byte(key)})
		}
		return append(all, kafka.Record{Topic: "another", Partition: -1})
	}
	in := &fixedIntake{}
	gate := Gate{Producer: producer, Intake: in}
	for _, n := range []int32{0, 3, 7} {
		got, in.value = nil, control.Intake{Partitions: n}
		if err := gate.Produce(t.Context(), records()); err != nil {
			t.Fatal(err)
		}
		want := []int32{-1, -1, -1, -1, -1}
		for i, key := range keys {
			if n > 0 {
				want[i] = kafka.PartitionFor([]byte(key), n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with %d partitions records went to %v, want %v", n, got, want)
		}
	}
	got, in.value = nil, control.Intake{Closed: true, Partitions: 3}
	if err := gate.Produce(t.Context(), records()); !errors.Is(err, ErrIntakeClosed) || got != nil {
		t.Errorf("a closed gate: %v, and %v was written", err, got)
	}
	in.err = errors.New("no database")
	if err := gate.Produce(t.Context(), records()); !errors.Is(err, in.err) || got != nil {
		t.Errorf("nobody can say whether the gate is closed: %v, and %v was written", err, got)
	}
}

// TestPatientWaitsForTheGate writes once the gate opens and the producer knows the new partitions.
func TestPatientWaitsForTheGate(t *testing.T) {
	in := &fixedIntake{value: control.Intake{Closed: true}}
	tries := 0
	patient := Patient{Gate{Intake: in, Producer: producerFunc(func([]kafka.Record) error { tries++; return nil })}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := patient.Produce(ctx, nil); !errors.Is(err, context.Canceled) || tries != 0 {
		t.Fatalf("a patient writer at a closed gate: %v after %d tries", err, tries)
	}
	in.value = control.Intake{}
	if err := patient.Produce(t.Context(), nil); err != nil || tries != 1 {
		t.Fatalf("a patient writer at an open gate: %v after %d tries", err, tries)
	}
}
