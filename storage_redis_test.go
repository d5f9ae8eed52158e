package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/onlinestore/redistest"
)

// TestOnlineOverTLS goes from the configuration to a Redis behind TLS. Each mistake names the key that mends it.
func TestOnlineOverTLS(t *testing.T) {
	addr, authority := redistest.StartTLS(t)
	noCertificate := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(noCertificate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, env ...string) (onlinestore.Store, error) {
		cfg, err := loadConfig("", append(env, "MILLRACE_ONLINE__ADDRESSES="+addr), nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &storage{cfg: cfg}
		err = s.openOnline(t.Context())
		t.Cleanup(func() {
			if s.online != nil {
				_ = s.online.Close()
			}
		})
		return s.online, err
	}
	online, err := open(t, "MILLRACE_ONLINE__TLS=true", "MILLRACE_ONLINE__TLS_CA="+authority)
	if err == nil {
		err = online.Put(t.Context(), []onlinestore.Row{{Key: "k"}})
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"plain to an encrypted port":  {nil, "online.tls"},
		"an authority nobody knows":   {[]string{"MILLRACE_ONLINE__TLS=true"}, "online.tls_ca"},
		"a file without certificates": {[]string{"MILLRACE_ONLINE__TLS=true", "MILLRACE_ONLINE__TLS_CA=" + noCertificate}, "online.tls_ca"},
		"a file that is not there":    {[]string{"MILLRACE_ONLINE__TLS=true", "MILLRACE_ONLINE__TLS_CA=" + noCertificate + "x"}, "online.tls_ca"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := open(t, c.env...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("open: %v, want an error that names %s", err, c.want)
			}
		})
	}
}
