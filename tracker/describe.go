package tracker

import (
	"net/http"

	"github.com/millrace/millrace/internal/httpserver"
)

// Networks are kept this coarse: enough to see a botnet or a region, too little to find a household.
const (
	prefixBitsV4 = 24
	prefixBitsV6 = 48
)

// network is the truncated network of the client; the full address is never stored.
func (t *Tracker) network(r *http.Request) string {
	network := httpserver.ClientNetwork(r, t.cfg.TrustedProxies, prefixBitsV4, prefixBitsV6)
	if !network.IsValid() {
		return ""
	}
	return network.String()
}
