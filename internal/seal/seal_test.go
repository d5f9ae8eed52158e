package seal

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// TestSeal: what was sealed opens with the same key at the same place, and in no other case.
func TestSeal(t *testing.T) {
	key := NewKey()
	sealed := key.Seal("a", "hush")
	if got, err := key.Open("a", sealed); err != nil || got != "hush" {
		t.Fatalf("opened %q (%v)", got, err)
	}
	if strings.Contains(sealed, "hush") || strings.Contains(sealed, base64.RawStdEncoding.EncodeToString([]byte("hush"))) {
		t.Error("the secret stands in the sealed text")
	}
	if again := key.Seal("a", "hush"); again == sealed {
		t.Error("the same secret gives the same text, which tells that two are equal")
	}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(sealed, version))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	for name, open := range map[string]func() (string, error){
		"another place":  func() (string, error) { return key.Open("b", sealed) },
		"another key":    func() (string, error) { return NewKey().Open("a", sealed) },
		"a changed text": func() (string, error) { return key.Open("a", version+base64.RawStdEncoding.EncodeToString(b)) },
		"no version":     func() (string, error) { return key.Open("a", strings.TrimPrefix(sealed, version)) },
		"nothing":        func() (string, error) { return key.Open("a", "") },
		"a short text":   func() (string, error) { return key.Open("a", version+"AAAA") },
	} {
		if got, err := open(); !errors.Is(err, ErrUnreadable) || got != "" {
			t.Errorf("%s opened as %q (%v)", name, got, err)
		}
	}
}

func TestParseKey(t *testing.T) {
	key := NewKey()
	if again, err := ParseKey(" " + key.String() + "\n"); err != nil || again != key {
		t.Errorf("the key reads back as %v (%v)", again, err)
	}
	for _, bad := range []string{"", "00", key.String() + "00", "x" + key.String()[1:]} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q was taken for a key", bad)
		}
	}
}
