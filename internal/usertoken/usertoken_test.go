package usertoken

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// TestVerify: a token opens for its site, its user and its time, under any secret in force, and for nothing else.
func TestVerify(t *testing.T) {
	const secret, other = "ss_a", "ss_b"
	claims := Claims{Site: "shop", User: "ada.l@x/é", Expires: noon.Add(time.Hour)}
	token := Sign(secret, claims)
	swap := func(i int, with string) string {
		p := strings.Split(token, ".")
		p[i] = with
		return strings.Join(p, ".")
	}
	with := func(change func(*Claims)) string {
		c := claims
		change(&c)
		return Sign(secret, c)
	}
	for _, c := range []struct {
		name, token string
		secrets     []string
		want        error
	}{
		{"as signed", token, []string{secret}, nil},
		{"by the former of two secrets", token, []string{other, secret}, nil},
		{"by the newer of two secrets", token, []string{secret, other}, nil},
		{"no secret", token, nil, ErrInvalid},
		{"an empty secret does not sign", Sign("", claims), nil, ErrInvalid},
		{"another secret", token, []string{other}, ErrInvalid},
		{"another user", swap(3, "Ym9i"), []string{secret}, ErrInvalid},
		{"a later end", swap(2, "1999999999"), []string{secret}, ErrInvalid},
		{"another version", swap(0, "ut2"), []string{secret}, ErrInvalid},
		{"another site, signed", with(func(c *Claims) { c.Site = "b" }), []string{secret}, ErrInvalid},
		{"no user, signed", with(func(c *Claims) { c.User = "" }), []string{secret}, ErrInvalid},
		{"a long user, signed", with(func(c *Claims) { c.User = strings.Repeat("x", 129) }), []string{secret}, ErrInvalid},
		{"padding after the signature", token + "=", []string{secret}, ErrInvalid},
		{"a sixth part", token + ".x", []string{secret}, ErrInvalid},
		{"half a signature", token[:len(token)-20], []string{secret}, ErrInvalid},
		{"no signature", token[:strings.LastIndexByte(token, '.')+1], []string{secret}, ErrInvalid},
		{"nothing", "", []string{secret}, ErrInvalid},
		{"endless", strings.Repeat("x", 1000) + "." + token, []string{secret}, ErrInvalid},
		{"expired within the skew", with(func(c *Claims) { c.Expires = noon.Add(-ClockSkew) }), []string{secret}, nil},
		{"expired", with(func(c *Claims) { c.Expires = noon.Add(-ClockSkew - time.Second) }), []string{secret}, ErrExpired},
		{"of a day", with(func(c *Claims) { c.Expires = noon.Add(MaxLife + ClockSkew) }), []string{secret}, nil},
		{"for ever", with(func(c *Claims) { c.Expires = noon.Add(MaxLife + 2*ClockSkew) }), []string{secret}, ErrTooLong},
	} {
		got, err := Verify(c.secrets, "shop", c.token, noon)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if want := claims.User; err == nil && (got.User != want || got.Site != "shop") || err != nil && got != (Claims{}) {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// FuzzVerify: whatever is sent, there is no panic, and nothing opens that was not signed.
func FuzzVerify(f *testing.F) {
	f.Add(Sign("ss_a", Claims{Site: "shop", User: "ada", Expires: noon.Add(time.Hour)}))
	f.Add("ut1.shop.1.x.y")
	f.Add("....")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := Verify([]string{"another"}, "shop", token, noon); err == nil {
			t.Errorf("%q opened as %+v", token, c)
		}
	})
}

// BenchmarkVerify is what a page with a token adds to its request.
func BenchmarkVerify(b *testing.B) {
	token := Sign("ss_a", Claims{Site: "shop", User: "ada", Expires: noon.Add(time.Hour)})
	for b.Loop() {
		if _, err := Verify([]string{"ss_b", "ss_a"}, "shop", token, noon); err != nil {
			b.Fatal(err)
		}
	}
}
