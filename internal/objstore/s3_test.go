package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/objstore/objstoretest"
	"github.com/millrace/millrace/internal/objstore/s3test"
)

func open(t *testing.T, cfg objstore.S3Config) *objstore.S3 {
	t.Helper()
	b, err := objstore.OpenS3(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestS3(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run(prefix, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Bucket { return open(t, s3test.Start(t).Config(prefix)) })
		})
	}
}

// A caller sees nothing of faults that pass: the whole contract holds while a quarter of the requests meets one.
func TestS3WithFaults(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
				store := s3test.Start(t)
				store.Faults.Set(seed, s3test.Rates{Refused: 0.06, Lost: 0.06, Cut: 0.06, Slow: 0.1})
				return open(t, store.Config("p"))
			})
		})
	}
}

// Of many writers of one object exactly one is told that it won, though answers get lost and puts are done late.
func TestS3OneWinnerWithFaults(t *testing.T) {
	store := s3test.Start(t)
	b := open(t, store.Config(""))
	store.Faults.Set(7, s3test.Rates{Refused: 0.1, Lost: 0.2, Late: 0.2, Slow: 0.1})
	for round := range 6 {
		key := fmt.Sprint("race/", round)
		var mu sync.Mutex
		var winners []string
		var writers sync.WaitGroup
		for i := range 4 {
			writers.Go(func() {
				text := fmt.Sprint("writer ", i)
				switch err := b.PutIfAbsent(t.Context(), key, strings.NewReader(text), int64(len(text))); {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					winners = append(winners, text)
				case !errors.Is(err, objstore.ErrExists):
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if got := read(t, b, key); len(winners) != 1 || got != winners[0] {
			t.Fatalf("round %d: winners %v, the object is %q", round, winners, got)
		}
	}
	if count := store.Faults.Count(); count["Lost"] == 0 || count["Late"] == 0 {
		t.Fatalf("the faults were %v", count)
	}
}

func read(t *testing.T, b objstore.Bucket, key string) string {
	t.Helper()
	r, err := b.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A large body that breaks off, again and again, comes whole.
func TestS3GoesOnReading(t *testing.T) {
	store := s3test.Start(t)
	b := open(t, store.Config(""))
	want := make([]byte, 3<<20)
	for i := range want {
		want[i] = byte(i * 7 >> (i & 3))
	}
	if err := b.Put(t.Context(), "large", bytes.NewReader(want), int64(len(want))); err != nil {
		t.Fatal(err)
	}
	store.Faults.Set(1, s3test.Rates{Cut: 0.6, Lost: 0.1})
	if got := read(t, b, "large"); got != string(want) {
		t.Fatal("other bytes came than were put")
	}
	if store.Faults.Count()["Cut"] == 0 {
		t.Fatal("nothing was cut")
	}
}

// An object that is replaced while a broken reading of it goes on is an error, never a mixture.
func TestS3MixesNoObjects(t *testing.T) {
	store := s3test.Start(t)
	b := open(t, store.Config(""))
	const size = 1 << 20
	put := func(c string) {
		t.Helper()
		if err := b.Put(t.Context(), "k", strings.NewReader(strings.Repeat(c, size)), size); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	store.Faults.Set(2, s3test.Rates{Cut: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := b.Get(ctx, "k", 0, -1)
	for err != nil { // the cut may have come before the head of the object
		r, err = b.Get(ctx, "k", 0, -1)
	}
	defer r.Close()
	store.Faults.Set(0, s3test.Rates{})
	put("b")
	if text, err := io.ReadAll(r); err == nil {
		t.Fatalf("read %d bytes without an error, %d of the new object", len(text), strings.Count(string(text), "b"))
	}
}

// A body that cannot be read twice is sent again whole all the same.
func TestS3SendsAgain(t *testing.T) {
	store := s3test.Start(t)
	b := open(t, store.Config(""))
	store.Faults.Set(3, s3test.Rates{Refused: 0.6})
	for _, size := range []int{10, 17 << 20} {
		want := strings.Repeat("x", size)
		if err := b.Put(t.Context(), "k", iotest.HalfReader(strings.NewReader(want)), int64(size)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, b, "k"); got != want {
			t.Fatalf("%d bytes came, want %d", len(got), size)
		}
	}
}

// A store that does not answer holds nobody longer than the limit allows.
func TestS3Hanging(t *testing.T) {
	store := s3test.Start(t)
	cfg := store.Config("")
	cfg.AnswerLimit = 50 * time.Millisecond
	b := open(t, cfg)
	store.Faults.Hang(true)
	if err := b.Put(t.Context(), "k", strings.NewReader("v"), 1); err == nil || errors.Is(err, context.Canceled) {
		t.Fatalf("put: %v, want the error of an answer that does not come", err)
	}
	store.Faults.Hang(false)
	if err := b.Put(t.Context(), "k", strings.NewReader("v"), 1); err != nil {
		t.Fatalf("put, when it answers again: %v", err)
	}
}

// What does not work is refused at the start, with what to do.
func TestS3Refused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*testing.T, *s3test.Store, *objstore.S3Config)
		is     error
		says   []string
	}{
		"no conditional puts": {func(_ *testing.T, s *s3test.Store, _ *objstore.S3Config) { s.Faults.Ignore("If-None-Match") },
			objstore.ErrNoConditionalPut, []string{"one would overwrite", "AWS S3", "directory"}},
		"not implemented": {func(t *testing.T, _ *s3test.Store, cfg *objstore.S3Config) {
			cfg.Endpoint = answering(t, http.StatusNotImplemented, "NotImplemented")
		}, objstore.ErrNoConditionalPut, []string{"directory that all roles share"}},
		"no bucket":      {func(_ *testing.T, _ *s3test.Store, cfg *objstore.S3Config) { cfg.Bucket = "other" }, nil, []string{`no bucket "other"`, "create it"}},
		"no store":       {func(_ *testing.T, _ *s3test.Store, cfg *objstore.S3Config) { cfg.Endpoint = "http://127.0.0.1:1" }, nil, []string{"s3.endpoint", "127.0.0.1:1"}},
		"wrong endpoint": {func(_ *testing.T, _ *s3test.Store, cfg *objstore.S3Config) { cfg.Endpoint = "localhost:9000" }, nil, []string{"http://HOST:PORT"}},
		"TLS to none": {func(_ *testing.T, s *s3test.Store, cfg *objstore.S3Config) {
			cfg.Endpoint = strings.Replace(s.URL, "http", "https", 1)
		}, nil, []string{"http:// or https://?"}},
		"keys": {func(t *testing.T, _ *s3test.Store, cfg *objstore.S3Config) {
			cfg.Endpoint = answering(t, http.StatusForbidden, "SignatureDoesNotMatch")
		}, nil, []string{"s3.secret_key"}},
		"access": {func(t *testing.T, _ *s3test.Store, cfg *objstore.S3Config) {
			cfg.Endpoint = answering(t, http.StatusForbidden, "AccessDenied")
		}, nil, []string{"get, put and delete"}},
		"region": {func(t *testing.T, _ *s3test.Store, cfg *objstore.S3Config) {
			cfg.Endpoint = answering(t, http.StatusBadRequest, "AuthorizationHeaderMalformed")
		}, nil, []string{"s3.region", "us-east-1"}},
		"a hidden prefix": {func(_ *testing.T, _ *s3test.Store, cfg *objstore.S3Config) { cfg.Prefix = "a/.b" }, nil, []string{"segments"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := s3test.Start(t)
			cfg := store.Config("")
			c.change(t, store, &cfg)
			_, err := objstore.OpenS3(t.Context(), cfg)
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("opened with %v", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// The probe leaves nothing behind.
func TestS3ProbeIsGone(t *testing.T) {
	for info, err := range open(t, s3test.Start(t).Config("")).List(t.Context(), "") {
		t.Errorf("left %s, %v", info.Key, err)
	}
}

// answering is a store that answers everything with one error.
func answering(t *testing.T, status int, code string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>so it is</Message></Error>`, code)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
