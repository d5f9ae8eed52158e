// Package s3test is an S3-compatible store in memory, for tests, and what can go wrong between it and its clients.
package s3test

import (
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/millrace/millrace/internal/objstore"
)

// Bucket is the name of the one bucket that a store has.
const Bucket = "shop"

// Store is a running store.
type Store struct {
	URL    string
	Faults *Faults
}

// Start runs a store until the test ends. Nothing goes wrong in it before Faults says so.
func Start(t testing.TB) *Store {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	faults := &Faults{next: gofakes3.New(backend, gofakes3.WithoutVersioning()).Server()}
	server := httptest.NewServer(faults)
	t.Cleanup(func() {
		server.CloseClientConnections() // of clients that the test has left
		server.Close()
		faults.late.Wait()
	})
	return &Store{URL: server.URL, Faults: faults}
}

// Config reaches the store.
func (s *Store) Config(prefix string) objstore.S3Config {
	return objstore.S3Config{Bucket: Bucket, Prefix: prefix, Endpoint: s.URL, AccessKey: "reader", SecretKey: "of books", PathStyle: true}
}
