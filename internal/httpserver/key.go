package httpserver

import (
	"net/http"
	"strings"
)

const (
	// HeaderKey carries a key. A server sends it; a page would pay for it with a preflight.
	HeaderKey = "X-Millrace-Key"
	// KeyParameter carries a public key in a URL.
	KeyParameter = "key"
	// ProblemSecretInURL is the type of a refused request whose URL holds a secret key.
	ProblemSecretInURL = "secret-key-in-url"

	secretPrefix = "sk_"
)

// GivenKey is the key of a request, the same at every door: `Authorization: Bearer KEY`, the header HeaderKey, or the
// parameter KeyParameter; empty when there is none. A secret key in the URL is a problem even where a header holds another
// key: access logs, proxies and browser histories keep URLs.
func GivenKey(r *http.Request) (string, *Problem) {
	inURL := r.URL.Query().Get(KeyParameter)
	if strings.HasPrefix(inURL, secretPrefix) {
		return "", &Problem{
			Type: ProblemSecretInURL, Title: "Secret key in a URL", Status: http.StatusUnauthorized,
			Detail: "a secret key must not stand in a URL, where logs and browsers keep it",
			Hint:   "send it as `Authorization: Bearer sk_...`; this one has been seen and should be replaced",
		}
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && bearer != "" {
		return bearer, nil
	}
	if key := r.Header.Get(HeaderKey); key != "" {
		return key, nil
	}
	return inURL, nil
}
