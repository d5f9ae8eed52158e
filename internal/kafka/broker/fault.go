package broker

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fault is an answer that the broker gives instead of working, to test what clients make of it.
type Fault struct {
	API        string  // as Kafka names it: Produce, Fetch, JoinGroup, ...
	Topic      string  // "" is any
	Partitions []int32 // nil is any
	Code       int16   // Kafka's error code
	Count      int     // requests to fail; -1 until removed
	Every      int     // fails each so many-th matching request; 0 is each
}

// Inject makes matching requests fail. The work is still done for REQUEST_TIMED_OUT (7) and
// NOT_ENOUGH_REPLICAS_AFTER_APPEND (20), which is how a lost answer looks. remove ends it and answers how often it hit.
func (b *Broker) Inject(f Fault) (remove func() int, err error) {
	key, err := keyOf(f.API)
	if err != nil {
		return nil, err
	}
	code := kerr.TypedErrorForCode(f.Code)
	if code == nil {
		return nil, fmt.Errorf("inject fault: unknown error code %d", f.Code)
	}
	var last kmsg.Request // only the goroutine that serves everything asks, once for each partition of a request
	asked := 0
	handle := b.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{key}, Topic: f.Topic, Partitions: f.Partitions, Err: code, Count: f.Count,
		When: func(req kmsg.Request) bool {
			if req != last {
				last = req
				asked++
			}
			return f.Every == 0 || asked%f.Every == 0
		},
	})
	return func() int {
		handle.Remove()
		return handle.Hits()
	}, nil
}

// Hold lets the next request of an API wait until release is called, while others are answered. held is closed when it has
// come.
func (b *Broker) Hold(api string) (held <-chan struct{}, release func(), err error) {
	key, err := keyOf(api)
	if err != nil {
		return nil, nil, err
	}
	came, free := make(chan struct{}), make(chan struct{})
	var taken atomic.Bool // another of the API may come while the first waits
	b.cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
		if taken.CompareAndSwap(false, true) {
			close(came)
			b.cluster.SleepControl(func() { <-free })
			b.cluster.DropControl()
		}
		return nil, nil, false
	})
	return came, sync.OnceFunc(func() { close(free) }), nil
}

func keyOf(api string) (kmsg.Key, error) {
	for k := kmsg.Key(0); k <= kmsg.MaxKey; k++ {
		if k.Name() == api {
			return k, nil
		}
	}
	return 0, fmt.Errorf("inject fault: unknown API %q", api)
}
