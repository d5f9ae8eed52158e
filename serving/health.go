package serving

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// health is how a neighbour has answered, as those see it who ask it all the time. The zero value has not asked.
type health struct {
	asked  atomic.Bool
	outage atomic.Pointer[outage] // nil while it answers
}

// outage is a time in which a neighbour does not answer.
type outage struct {
	since time.Time
	err   error // the last
}

// saw takes the outcome of a question. Who asks alone says so: a question that was taken back says nothing.
func (h *health) saw(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	h.asked.Store(true)
	if err == nil {
		h.outage.Store(nil)
		return
	}
	since := time.Now()
	if before := h.outage.Load(); before != nil {
		since = before.since
	}
	h.outage.Store(&outage{since, err})
}

// neighbourStatus is one of them as operators see it.
type neighbourStatus struct {
	Name  string    `json:"name" enum:"control store,online store,Kafka,model registry" doc:"What it is."`
	State string    `json:"state" enum:"answers,away,unasked" doc:"Whether it answered when it was asked last."`
	Since time.Time `json:"since,omitzero" doc:"Since when it does not."`
	Means string    `json:"means,omitempty" doc:"What the node does meanwhile."`

	err error // for the operator of the node alone: it may name other sites
}

// LastError is what it said last; empty while it answers.
func (n *neighbourStatus) LastError() string {
	if n.err == nil {
		return ""
	}
	return n.err.Error()
}

// neighbours are what this node lives on.
func (s *Serving) neighbours() []neighbourStatus {
	return []neighbourStatus{
		s.controlSeen.status("control store", "keys, placements and signing secrets stay in force as they were last read, for a day at most; nothing can be set up"),
		s.base.health.status("online store", "catalogue and trends stay as they were, and lists come from the request and the ladder"),
		s.catalogue.kafka.status("Kafka", "the catalogue stays as it was, writes are refused, and records of lists wait in a bounded queue"),
		s.models.health.status("model registry", "models in force stay so; no other comes into force"),
	}
}

func (h *health) status(name, means string) neighbourStatus {
	s := neighbourStatus{Name: name, State: "answers"}
	switch away := h.outage.Load(); {
	case away != nil:
		s.State, s.Since, s.Means, s.err = "away", away.since.UTC(), means, away.err
	case !h.asked.Load():
		s.State = "unasked"
	}
	return s
}

// answersOf is nil for errors that are an answer.
func answersOf(err error, answers ...error) error {
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return nil
		}
	}
	return err
}
