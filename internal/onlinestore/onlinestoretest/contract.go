// Package onlinestoretest is the contract of the online store as a test suite; every adapter runs it.
package onlinestoretest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
)

// Run checks an adapter. open returns an empty store that the caller closes; reopen closes it and opens the same data
// again, as a restart does.
func Run(t *testing.T, open func(t *testing.T) onlinestore.Store, reopen func(t *testing.T, s onlinestore.Store) onlinestore.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s onlinestore.Store)
	}{
		{"PutKeepsTheNewer", putKeepsTheNewer},
		{"PutSameKeyTwiceInOneCall", putSameKeyTwice},
		{"PutCopies", putCopies},
		{"ScanEndsAtThePrefix", scanEndsAtThePrefix},
		{"ScanStopsAtAnError", scanStopsAtAnError},
		{"ScanWhileWriting", scanWhileWriting},
		{"ReplaceComparesAll", replaceComparesAll},
		{"ReplaceRemoves", replaceRemoves},
		{"ReplaceOfAZombie", replaceOfAZombie},
		{"ReplaceLeavesNoGap", replaceLeavesNoGap},
		{"ConcurrentPutsNeverGoBack", concurrentPuts},
		{"CancelledContext", cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			defer closeStore(t, s)
			c.test(t, s)
		})
	}
	t.Run("ReopenKeepsRowsAndMarker", func(t *testing.T) { reopenKeeps(t, open(t), reopen) })
	t.Run("MarkersDiffer", func(t *testing.T) {
		a, b := open(t), open(t)
		defer closeStore(t, a)
		defer closeStore(t, b)
		if marker(t, a) == marker(t, b) {
			t.Fatal("two stores have one marker: the loss of one would go unseen")
		}
	})
	t.Run("Closed", func(t *testing.T) {
		s := open(t)
		closeStore(t, s)
		if _, _, err := s.Get(t.Context(), "p/x"); !errors.Is(err, onlinestore.ErrClosed) {
			t.Fatalf("Get after Close: %v, want ErrClosed", err)
		}
		if err := s.Put(t.Context(), []onlinestore.Row{{Key: "p/x"}}); !errors.Is(err, onlinestore.ErrClosed) {
			t.Fatalf("Put after Close: %v, want ErrClosed", err)
		}
	})
}

func putKeepsTheNewer(t *testing.T, s onlinestore.Store) {
	for _, step := range []struct {
		epoch, offset int64
		version       int32
		value, want   string
	}{
		{1, 10, 7, "a", "a"},
		{1, 9, 7, "older offset", "a"},
		{1, 9, 9, "older offset, newer version", "a"},
		{1, 10, 7, "same position again", "same position again"},
		{1, 10, 6, "same position, older version", "same position again"},
		{1, 10, 8, "same position, newer version", "same position, newer version"},
		{1, 10, 7, "the version before, again", "same position, newer version"},
		{0, 99, 8, "older epoch", "same position, newer version"},
		{1, 11, 7, "newer, of the version before", "newer, of the version before"},
		{2, 0, 7, "newer epoch", "newer epoch"},
		{1, 100, 8, "older epoch, greater offset", "newer epoch"},
	} {
		put(t, s, onlinestore.Row{Key: "p/k", Version: step.version, Epoch: step.epoch, Offset: step.offset, Value: []byte(step.value)})
		row := get(t, s, "p/k")
		if string(row.Value) != step.want {
			t.Fatalf("after put of (%d,%d,%d) %q: value %q, want %q", step.epoch, step.offset, step.version, step.value, row.Value, step.want)
		}
		if row.Key != "p/k" || step.value == step.want && row.Version != step.version {
			t.Fatalf("row %+v lost its key or version", row)
		}
	}
	if row := get(t, s, "p/k"); row.Epoch != 2 || row.Offset != 0 {
		t.Fatalf("position (%d,%d), want (2,0)", row.Epoch, row.Offset)
	}
}

func putSameKeyTwice(t *testing.T, s onlinestore.Store) {
	put(t, s,
		onlinestore.Row{Key: "p/k", Offset: 5, Value: []byte("newer")},
		onlinestore.Row{Key: "p/k", Offset: 4, Value: []byte("older")})
	if v := get(t, s, "p/k").Value; string(v) != "newer" {
		t.Fatalf("value %q, want the newer row of the call", v)
	}
}

func putCopies(t *testing.T, s onlinestore.Store) {
	value := []byte("abc")
	put(t, s, onlinestore.Row{Key: "p/k", Value: value})
	value[0] = 'X'
	got := get(t, s, "p/k").Value
	if string(got) != "abc" {
		t.Fatalf("value %q follows the caller's buffer", got)
	}
	got[0] = 'Y'
	if v := get(t, s, "p/k").Value; string(v) != "abc" {
		t.Fatalf("value %q follows what an earlier Get returned", v)
	}
}

func scanEndsAtThePrefix(t *testing.T, s onlinestore.Store) {
	for _, key := range []string{"i/s:b:0", "i/s:a:1", "i/s:a:0", "i/s:a0:0", "i/t:a:0", "j", "i/s:a\xff:0"} {
		put(t, s, onlinestore.Row{Key: key, Offset: 3, Value: []byte(key)})
	}
	for prefix, want := range map[string][]string{
		"i/s:a:": {"i/s:a:0", "i/s:a:1"},
		"i/s:":   {"i/s:a0:0", "i/s:a:0", "i/s:a:1", "i/s:a\xff:0", "i/s:b:0"},
		"x":      nil,
		"":       {"i/s:a0:0", "i/s:a:0", "i/s:a:1", "i/s:a\xff:0", "i/s:b:0", "i/t:a:0", "j"},
	} {
		var got []string
		err := s.Scan(t.Context(), prefix, func(r onlinestore.Row) error {
			if string(r.Value) != r.Key || r.Offset != 3 {
				return fmt.Errorf("row %+v is not what was put", r)
			}
			got = append(got, r.Key)
			return nil
		})
		if err != nil {
			t.Fatalf("scan %q: %v", prefix, err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("scan %q: %q, want %q", prefix, got, want)
		}
	}
}

func scanStopsAtAnError(t *testing.T, s onlinestore.Store) {
	put(t, s, onlinestore.Row{Key: "a1"}, onlinestore.Row{Key: "a2"})
	stop := errors.New("enough")
	calls := 0
	err := s.Scan(t.Context(), "a", func(onlinestore.Row) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Fatalf("scan: %v after %d calls, want the callback's error after 1", err, calls)
	}
}

// scanWhileWriting would fail for an adapter that counts its way through pages: rows are put and removed before and behind
// the place of the scan, which must meet each row that was there all the time, once and in order.
func scanWhileWriting(t *testing.T, s onlinestore.Store) {
	const stay = 1500
	key := func(n int, kind string) string { return fmt.Sprintf("i/s:item:%06d%s", n, kind) }
	var rows []onlinestore.Row
	for n := range stay {
		rows = append(rows, onlinestore.Row{Key: key(n, "stays")}, onlinestore.Row{Key: key(n, "goes")})
	}
	put(t, s, rows...)
	n := 0
	err := s.Scan(t.Context(), "i/s:item:", func(r onlinestore.Row) error {
		switch want := key(n, "stays"); {
		case r.Key == want:
			n++
		case n < stay && r.Key > want:
			return fmt.Errorf("%s came before %s", r.Key, want)
		}
		if n%100 == 0 {
			return errors.Join(s.Replace(t.Context(), gone(key(n/2, "goes"), key(n+1, "goes"), key(n+300, "goes"))),
				s.Put(t.Context(), []onlinestore.Row{{Key: key(n/2, "came")}, {Key: key(n+300, "came")}}))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != stay {
		t.Fatalf("the scan met %d of %d rows that were there all the time", n, stay)
	}
}

func concurrentPuts(t *testing.T, s onlinestore.Store) {
	const writers, offsets = 8, 50
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range offsets {
				// Every writer goes through all offsets, each in another order (7 is coprime to 50).
				offset := int64((i*7 + w) % offsets)
				if err := s.Put(t.Context(), []onlinestore.Row{{Key: "k", Offset: offset}}); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Fatal(err)
	}
	if row := get(t, s, "k"); row.Offset != offsets-1 {
		t.Fatalf("offset %d after concurrent puts, want the newest, %d", row.Offset, offsets-1)
	}
}

func cancelled(t *testing.T, s onlinestore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, []onlinestore.Row{{Key: "k"}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("put with a cancelled context: %v", err)
	}
	if _, _, err := s.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Fatalf("get with a cancelled context: %v", err)
	}
}

func reopenKeeps(t *testing.T, s onlinestore.Store, reopen func(*testing.T, onlinestore.Store) onlinestore.Store) {
	put(t, s, onlinestore.Row{Key: "p/k", Version: 2, Epoch: 1, Offset: 9, Value: []byte("v")})
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := marker(t, s)
	s = reopen(t, s)
	defer closeStore(t, s)
	if row := get(t, s, "p/k"); row.Version != 2 || row.Epoch != 1 || row.Offset != 9 || string(row.Value) != "v" {
		t.Fatalf("row after reopen: %+v", row)
	}
	if after := marker(t, s); after != before || after == "" {
		t.Fatalf("marker %q became %q: everything would be published again", before, after)
	}
}

func put(t *testing.T, s onlinestore.Store, rows ...onlinestore.Row) {
	t.Helper()
	if err := s.Put(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s onlinestore.Store, key string) onlinestore.Row {
	t.Helper()
	row, ok, err := s.Get(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("get %q: found %v, error %v", key, ok, err)
	}
	return row
}

func marker(t *testing.T, s onlinestore.Store) string {
	t.Helper()
	m, err := s.Marker(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func closeStore(t *testing.T, s onlinestore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
