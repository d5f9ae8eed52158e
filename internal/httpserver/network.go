package httpserver

import (
	"net/http"
	"net/netip"
	"strings"
)

// ClientNetwork is the network that a request comes from, as coarse as the given bits of an IPv4 or IPv6 address; the zero prefix
// where the peer has none. X-Forwarded-For counts only as far as trusted proxies wrote it: each appends the peer that it saw, so the
// last address that is no proxy of ours is the client, and what stands before it is the client's own claim.
func ClientNetwork(r *http.Request, trusted []netip.Prefix, bitsV4, bitsV6 int) netip.Prefix {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	if len(trusted) > 0 {
		addr = forwardedFor(r, trusted, addr)
	}
	bits := bitsV6
	if addr.Is4() {
		bits = bitsV4
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

func forwardedFor(r *http.Request, trusted []netip.Prefix, addr netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
