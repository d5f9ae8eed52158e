package event

import (
	"net/url"
	"strings"
)

// sensitive reports whether a query parameter of this name must not be stored: credentials and direct identifiers that
// sites put into addresses by mistake or for a login.
func sensitive(name string) bool {
	switch strings.ToLower(name) {
	case "access_token", "api_key", "apikey", "auth", "authorization", "code", "email", "id_token", "jwt", "mail",
		"otp", "pass", "passwd", "password", "phone", "pwd", "refresh_token", "reset_token", "secret", "session",
		"sessionid", "sid", "sig", "signature", "ssn", "token":
		return true
	}
	return false
}

// cleanURL removes sensitive parameters from query and fragment, and a user name or password before the host. The rest
// stays as the browser sent it.
func cleanURL(raw string) string {
	if !strings.ContainsAny(raw, "?#@") {
		return raw
	}
	rest, fragment, hasFragment := strings.Cut(raw, "#")
	base, query, hasQuery := strings.Cut(rest, "?")
	out := withoutUser(base)
	if query = cleanQuery(query); hasQuery && query != "" {
		out += "?" + query
	}
	if hasFragment {
		// Fragments carry queries too: #access_token=..., #/login?token=...
		route, params, routed := strings.Cut(fragment, "?")
		if !routed {
			route, params = "", fragment
		}
		if params = cleanQuery(params); routed && params != "" {
			route += "?"
		}
		if route += params; route != "" {
			out += "#" + route
		}
	}
	return out
}

func withoutUser(base string) string {
	scheme, rest, ok := strings.Cut(base, "://")
	if !ok {
		return base
	}
	host, path, hasPath := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if hasPath {
		host += "/"
	}
	return scheme + "://" + host + path
}

func cleanQuery(query string) string {
	if query == "" {
		return ""
	}
	kept := make([]string, 0, strings.Count(query, "&")+1)
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if !sensitive(name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}
