package httpserver

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestClientNetwork(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.77:1234", "", "203.0.113.0/24"},
		{"[2001:db8:1:2::77]:1234", "", "2001:db8:1::/48"},
		{"[::ffff:203.0.113.77]:1", "", "203.0.113.0/24"},
		{"[fe80::1%eth0]:1", "", "fe80::/48"},
		{"203.0.113.77:1", "198.51.100.1", "203.0.113.0/24"},        // an untrusted peer's claim
		{"10.1.1.1:1", "198.51.100.1", "198.51.100.0/24"},           // our proxy's word
		{"10.1.1.1:1", "1.1.1.1, 198.51.100.1", "198.51.100.0/24"},  // what the client itself claimed comes before it
		{"10.1.1.1:1", "198.51.100.1, 10.2.2.2", "198.51.100.0/24"}, // two proxies of ours
		{"10.1.1.1:1", "nonsense", "10.1.1.0/24"},
		{"@", "", ""},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := ClientNetwork(r, proxies, 24, 48); got.IsValid() != (c.want != "") || c.want != "" && got.String() != c.want {
			t.Errorf("ClientNetwork(%s, %q) = %s, want %q", c.peer, c.forwarded, got, c.want)
		}
	}
}
