package httpserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGivenKey(t *testing.T) {
	for _, c := range []struct {
		name, url, bearer, header, want string
		refused                         bool
	}{
		{name: "none", url: "/x"},
		{name: "public in the URL", url: "/x?key=pk_1", want: "pk_1"},
		{name: "header", url: "/x?key=pk_1", header: "sk_2", want: "sk_2"},
		{name: "bearer", url: "/x?key=pk_1", header: "sk_2", bearer: "Bearer sk_3", want: "sk_3"},
		{name: "another scheme", url: "/x", bearer: "Basic c2tfMw==", header: "sk_2", want: "sk_2"},
		{name: "secret in the URL", url: "/x?key=sk_1", refused: true},
		{name: "secret in the URL, escaped", url: "/x?key=%73k_1", refused: true},
		{name: "secret in the URL beside a header", url: "/x?key=sk_1", header: "sk_1", refused: true},
	} {
		r := httptest.NewRequest(http.MethodGet, c.url, nil)
		r.Header.Set("Authorization", c.bearer)
		r.Header.Set(HeaderKey, c.header)
		key, p := GivenKey(r)
		if key != c.want || (p != nil) != c.refused {
			t.Errorf("%s: %q, %v", c.name, key, p)
		}
		if p != nil && (p.Status != http.StatusUnauthorized || p.Type != ProblemSecretInURL) {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}
