package main

import (
	"fmt"
	"net/netip"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/ratelimit"
	"github.com/millrace/millrace/internal/seal"
)

// AccessConfig is who may ask how much.
type AccessConfig struct {
	// SealKey seals the secrets that user tokens are signed with, in the control store: 64 hexadecimal digits, the same for all
	// processes. Without one `up` makes its own, in seal.key of the data directory.
	SealKey string `koanf:"seal_key"`
	// TrustedProxies are networks, like 10.0.0.0/8, with commas: whose X-Forwarded-For is believed. Nobody's by default.
	TrustedProxies []string `koanf:"trusted_proxies"`
	// KeyRate is how many requests a second a key may make that has no rate of its own, NetworkRate how many come from one
	// network without a secret key. Each listener counts for itself.
	KeyRate     float64 `koanf:"key_rate"`
	NetworkRate float64 `koanf:"network_rate"`
}

func (c AccessConfig) check(check func(ok bool, format string, args ...any)) {
	if c.SealKey != "" {
		_, err := seal.ParseKey(c.SealKey)
		check(err == nil, "access.seal_key: use 64 hexadecimal digits, as `openssl rand -hex 32` prints them")
	}
	_, err := c.proxies()
	check(err == nil, "access.trusted_proxies: %v", err)
	for key, rate := range map[string]float64{"access.key_rate": c.KeyRate, "access.network_rate": c.NetworkRate} {
		check(rate >= 1 && rate <= control.MaxKeyRate, "%s %g: use 1 to %d requests a second", key, rate, control.MaxKeyRate)
	}
}

// proxies are the networks of TrustedProxies.
func (c AccessConfig) proxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range splitList(c.TrustedProxies) {
		network, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network: use 10.0.0.0/8, fd00::/8 or an address", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// limits are those of one listener.
func (c AccessConfig) limits() (*ratelimit.Guard, error) {
	proxies, err := c.proxies()
	if err != nil {
		return nil, err
	}
	return ratelimit.NewGuard(ratelimit.Config{KeyRate: c.KeyRate, NetworkRate: c.NetworkRate, TrustedProxies: proxies}), nil
}
