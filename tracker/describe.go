package tracker

import (
	"net/http"
	"net/netip"
	"strings"
)

// Networks are kept this coarse: enough to see a botnet or a region, too little to find a household.
const (
	prefixBitsV4 = 24
	prefixBitsV6 = 48
)

// networkPrefix returns the truncated network of the client; the full address is never stored.
func networkPrefix(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	addr := peer.Addr().Unmap().WithZone("")
	// Each proxy appends the peer it saw, so the last address that is no proxy of ours is the client; what stands before
	// it is the client's own claim.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	bits := prefixBitsV6
	if addr.Is4() {
		bits = prefixBitsV4
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
