package control

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// KeyKind says where a key belongs.
type KeyKind string

const (
	// KeyWrite (pk_...) may send events and, from its allowed origins, read browser-readable placements. It stands in
	// the source of web pages and is no secret.
	KeyWrite KeyKind = "write"
	// KeyRead (pk_...) may read browser-readable placements from its allowed origins, and send nothing.
	KeyRead KeyKind = "read"
	// KeySecret (sk_...) belongs to a server, and may do on its site what its scopes say.
	KeySecret KeyKind = "secret"
)

// Scope is one thing that a key may do.
type Scope string

// The scopes of secret keys. ScopeAdmin is for what decides about others: keys, placements, rules, jobs, status and the audit log.
const (
	ScopeEvents     Scope = "events"
	ScopeRecommend  Scope = "recommend"
	ScopeItemsRead  Scope = "items:read"
	ScopeItemsWrite Scope = "items:write"
	ScopeUsers      Scope = "users"
	ScopeModels     Scope = "models"
	ScopeAdmin      Scope = "admin"
)

// Scopes lists all scopes. A secret key that is made without any has these, and those of later versions.
func Scopes() []Scope {
	return []Scope{ScopeEvents, ScopeRecommend, ScopeItemsRead, ScopeItemsWrite, ScopeUsers, ScopeModels, ScopeAdmin}
}

// checkScopes refuses what is no scope, and brings scopes into the order of Scopes.
func checkScopes(given []Scope) ([]Scope, error) {
	for _, scope := range given {
		if !slices.Contains(Scopes(), scope) {
			return nil, fmt.Errorf("scope %q is none of %s", clip(string(scope)), ScopeNames(Scopes()))
		}
	}
	var ordered []Scope
	for _, scope := range Scopes() {
		if slices.Contains(given, scope) {
			ordered = append(ordered, scope)
		}
	}
	return ordered, nil
}

// ScopeNames lists scopes with commas.
func ScopeNames(scopes []Scope) string {
	names := make([]string, len(scopes))
	for i, scope := range scopes {
		names[i] = string(scope)
	}
	return strings.Join(names, ", ")
}

// Allows reports whether the key may do what a scope stands for. A public key is asked for its origin, too.
func (k Key) Allows(scope Scope) bool {
	switch k.Kind {
	case KeySecret:
		return len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
	case KeyWrite:
		return scope == ScopeEvents || scope == ScopeRecommend && len(k.Origins) > 0
	case KeyRead:
		return scope == ScopeRecommend
	}
	return false
}

// AllowsEvents reports whether events may be sent with the key from a page of this origin. A key without a list takes
// events from anywhere; so does any key when the caller is not a browser (no Origin header).
func (k Key) AllowsEvents(origin string) bool {
	return k.Allows(ScopeEvents) && (origin == "" || len(k.Origins) == 0 || k.lists(origin))
}

// AllowsReads reports whether a browser page of this origin may read with the key. A public key reads only from the
// origins on its list; a secret key does not belong into a page, but is not bound to one either.
func (k Key) AllowsReads(origin string) bool {
	return k.Allows(ScopeRecommend) && (k.Kind == KeySecret || k.lists(origin))
}

func (k Key) lists(origin string) bool {
	o, err := normalOrigin(origin)
	return err == nil && slices.Contains(k.Origins, o)
}

// Lacks says what other has that k has not, which is why k must not make it or be shown its secret; "" is nothing. A key
// that could make a stronger one would have that one's rights itself.
func (k Key) Lacks(other Key) string {
	if k.Site != other.Site {
		return "another site"
	}
	if other.Kind == KeySecret && len(other.Scopes) == 0 && len(k.Scopes) > 0 {
		return "every scope"
	}
	for _, scope := range Scopes() {
		if other.Allows(scope) && !k.Allows(scope) {
			return "scope " + string(scope)
		}
	}
	switch {
	case k.Rate > 0 && (other.Rate == 0 || other.Rate > k.Rate):
		return fmt.Sprintf("more than %g requests a second", k.Rate)
	case !k.ExpiresAt.IsZero() && (other.ExpiresAt.IsZero() || other.ExpiresAt.After(k.ExpiresAt)):
		return "a later end"
	}
	return ""
}

// normalOrigin brings a web origin to the form that browsers send: scheme and host in lower case, no default port.
func normalOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("origin %q is not of the form https://host or https://host:port", clip(text))
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}
