// Package objstoretest is the contract of a bucket as a suite that every adapter runs.
package objstoretest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/millrace/millrace/internal/objstore"
)

// Run checks an adapter. open returns a new, empty bucket.
func Run(t *testing.T, open func(t *testing.T) objstore.Bucket) {
	for name, check := range map[string]func(*testing.T, objstore.Bucket){
		"Replace": replace, "PutIfAbsent": putIfAbsent, "OneWinner": oneWinner, "Ranges": ranges, "Absent": absent,
		"List": list, "Keys": keys, "BrokenBody": brokenBody, "WholeOrNothing": wholeOrNothing, "Cancelled": cancelled,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

func put(t *testing.T, b objstore.Bucket, key, text string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text))); err != nil {
		t.Fatal(err)
	}
}

// get returns a range of an object, or fails.
func get(t *testing.T, b objstore.Bucket, key string, offset, length int64) string {
	t.Helper()
	r, err := b.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func listed(t *testing.T, b objstore.Bucket, prefix string) (keys []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(len(get(t, b, info.Key, 0, -1))); info.Size != got {
			t.Errorf("%s is listed with %d bytes and has %d", info.Key, info.Size, got)
		}
		if age := time.Since(info.Modified); age > time.Hour || age < -time.Hour {
			t.Errorf("%s was put just now and is listed as put at %s", info.Key, info.Modified)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func replace(t *testing.T, b objstore.Bucket) {
	for _, text := range []string{"first", "", "the third is longer"} {
		put(t, b, "a/b", text)
		if got := get(t, b, "a/b", 0, -1); got != text {
			t.Errorf("after a put of %q the object is %q", text, got)
		}
	}
}

func putIfAbsent(t *testing.T, b objstore.Bucket) {
	if err := b.PutIfAbsent(t.Context(), "x", strings.NewReader("one"), 3); err != nil {
		t.Fatal(err)
	}
	if err := b.PutIfAbsent(t.Context(), "x", strings.NewReader("two"), 3); !errors.Is(err, objstore.ErrExists) {
		t.Errorf("a second put-if-absent: %v, want ErrExists", err)
	}
	if got := get(t, b, "x", 0, -1); got != "one" {
		t.Errorf("the object is %q, want the first", got)
	}
	if err := b.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutIfAbsent(t.Context(), "x", strings.NewReader("two"), 3); err != nil {
		t.Errorf("put-if-absent after a delete: %v", err)
	}
}

func oneWinner(t *testing.T, b objstore.Bucket) {
	const writers = 8
	var wins atomic.Int32
	var winner atomic.Value
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			text := fmt.Sprint("writer ", i)
			err := b.PutIfAbsent(t.Context(), "race/won", strings.NewReader(text), int64(len(text)))
			switch {
			case err == nil:
				wins.Add(1)
				winner.Store(text)
			case !errors.Is(err, objstore.ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := get(t, b, "race/won", 0, -1); wins.Load() != 1 || got != winner.Load() {
		t.Errorf("%d winners, the object is %q", wins.Load(), got)
	}
}

func ranges(t *testing.T, b objstore.Bucket) {
	put(t, b, "r", "0123456789")
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, -1, "0123456789"}, {3, 4, "3456"}, {7, -1, "789"}, {8, 100, "89"}, {0, 0, ""}, {10, -1, ""}} {
		if got := get(t, b, "r", c.offset, c.length); got != c.want {
			t.Errorf("%d bytes from %d are %q, want %q", c.length, c.offset, got, c.want)
		}
	}
}

func absent(t *testing.T, b objstore.Bucket) {
	if _, err := b.Get(t.Context(), "no/such", 0, -1); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("get of an absent object: %v, want ErrNotFound", err)
	}
	if err := b.Delete(t.Context(), "no/such"); err != nil {
		t.Errorf("delete of an absent object: %v", err)
	}
	if got := listed(t, b, "no/"); len(got) != 0 {
		t.Errorf("an empty prefix lists %v", got)
	}
}

// list checks the order of keys where the order of file names is another: "a-b" and "a.b" sort before "a/b".
func list(t *testing.T, b objstore.Bucket) {
	all := []string{"a-b/1", "a.b", "a/b", "a/b2", "a/c/1", "a0", "b/1"}
	for i := range all {
		put(t, b, all[(i*3+2)%len(all)], fmt.Sprint(i))
	}
	for prefix, want := range map[string][]string{
		"": all, "a/": {"a/b", "a/b2", "a/c/1"}, "a/b": {"a/b", "a/b2"}, "a": all[:6], "b/1": {"b/1"}, "c": nil, "a/c/1/": nil,
	} {
		if got := listed(t, b, prefix); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("below %q: %v, want %v", prefix, got, want)
		}
	}
	for _, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Error(err)
		}
		break // an early end is no error and no deadlock
	}
}

func keys(t *testing.T, b objstore.Bucket) {
	for _, key := range []string{"", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.tmp", "a b", "a\x00", "ä", "a\\b", strings.Repeat("k", objstore.MaxKeyBytes+1)} {
		_, err := b.Get(t.Context(), key, 0, -1)
		for doing, err := range map[string]error{
			"put": b.Put(t.Context(), key, strings.NewReader(""), 0), "put if absent": b.PutIfAbsent(t.Context(), key, strings.NewReader(""), 0),
			"get": err, "delete": b.Delete(t.Context(), key),
		} {
			if err == nil || errors.Is(err, objstore.ErrNotFound) {
				t.Errorf("%s of key %q: %v, want a refusal", doing, key, err)
			}
		}
	}
}

// brokenBody checks that a body that breaks off, or has not its announced size, leaves what was there.
func brokenBody(t *testing.T, b objstore.Bucket) {
	put(t, b, "kept", "old")
	for name, body := range map[string]io.Reader{
		"short": strings.NewReader("12"), "long": strings.NewReader("1234"), "broken": io.MultiReader(strings.NewReader("1"), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		if err := b.Put(t.Context(), "kept", body, 3); err == nil {
			t.Errorf("a %s body was taken", name)
		}
		if got := get(t, b, "kept", 0, -1); got != "old" {
			t.Errorf("after a %s body the object is %q", name, got)
		}
	}
	if got := listed(t, b, ""); len(got) != 1 {
		t.Errorf("broken bodies left %v", got)
	}
}

// wholeOrNothing reads while others replace: every reading is one of the written texts.
func wholeOrNothing(t *testing.T, b objstore.Bucket) {
	const size = 100_000
	text := func(c string) string { return strings.Repeat(c, size) }
	put(t, b, "swap", text("a"))
	done := make(chan struct{})
	var writers sync.WaitGroup
	for _, c := range []string{"a", "b"} {
		writers.Go(func() {
			for range 20 {
				if err := b.Put(t.Context(), "swap", strings.NewReader(text(c)), size); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() { writers.Wait(); close(done) }()
	for {
		if got := get(t, b, "swap", 0, -1); got != text("a") && got != text("b") {
			t.Fatalf("read a mixture of %d bytes", len(got))
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func cancelled(t *testing.T, b objstore.Bucket) {
	put(t, b, "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ctx, "k", strings.NewReader("w"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := b.Get(ctx, "k", 0, -1); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	for _, err := range b.List(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("list: %v", err)
		}
	}
	if got := get(t, b, "k", 0, -1); got != "v" {
		t.Errorf("the object is %q", got)
	}
}
