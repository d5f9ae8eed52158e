package onlinestore_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

// TestRedisOverTLS would fail if the configuration were dropped on the way, or if any certificate were good enough.
func TestRedisOverTLS(t *testing.T) {
	addr, authority := redistest.StartTLS(t)
	pem, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	open := func(roots *x509.CertPool) *onlinestore.Redis {
		s, err := onlinestore.OpenRedis(onlinestore.RedisConfig{Addresses: []string{addr}, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(trusted)
	defer s.Close()
	if err := s.Put(t.Context(), []onlinestore.Row{{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	wary := open(x509.NewCertPool())
	defer wary.Close()
	if _, _, err := wary.Get(t.Context(), "k"); err == nil {
		t.Fatal("a certificate of nobody that is trusted was taken")
	}
}
