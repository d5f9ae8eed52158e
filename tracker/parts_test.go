package tracker

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/millrace/millrace/tracker/beacon"
)

func TestScript(t *testing.T) {
	d := newDoor(t)
	plain := d.do(t, http.MethodGet, "/millrace.js", nil)
	if plain.status != http.StatusOK || !bytes.Equal(plain.body, beacon.Script()) || !strings.HasPrefix(plain.header.Get("Content-Type"), "text/javascript") {
		t.Fatalf("status %d, %d bytes, %v", plain.status, len(plain.body), plain.header)
	}
	packed := d.do(t, http.MethodGet, "/millrace.js", nil, "Accept-Encoding", "br, gzip")
	z, err := gzip.NewReader(bytes.NewReader(packed.body))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, beacon.Script()) {
		t.Errorf("the packed script differs: %v", err)
	}
	if plain.header.Get("ETag") == packed.header.Get("ETag") || packed.header.Get("Vary") != "Accept-Encoding" {
		t.Error("a cache could hand the packed script to a client that cannot unpack it")
	}
	if got := d.do(t, http.MethodGet, "/millrace.js", nil, "Accept-Encoding", "gzip;q=0.0"); got.header.Get("Content-Encoding") != "" {
		t.Error("packed for a client that refuses it")
	}
	if got := d.do(t, http.MethodGet, "/millrace.js", nil, "If-None-Match", `"other", W/`+plain.header.Get("ETag")); got.status != http.StatusNotModified || len(got.body) != 0 {
		t.Errorf("unchanged: status %d, %d bytes", got.status, len(got.body))
	}

	hashed := d.do(t, http.MethodGet, plain.header.Get("Content-Location"), nil)
	if hashed.status != http.StatusOK || !bytes.Equal(hashed.body, plain.body) || !strings.Contains(hashed.header.Get("Cache-Control"), "max-age=31536000, immutable") {
		t.Errorf("hashed copy: status %d, %v", hashed.status, hashed.header)
	}
	if old := d.do(t, http.MethodGet, "/millrace.00ff.js", nil); old.status != http.StatusFound || old.header.Get("Location") != "/millrace.js" {
		t.Errorf("an older release: status %d to %q", old.status, old.header.Get("Location"))
	}
	if core := d.do(t, http.MethodGet, "/millrace.core.js", nil); core.status != http.StatusOK || !bytes.Equal(core.body, beacon.Core()) {
		t.Errorf("core: status %d, %d bytes", core.status, len(core.body))
	}
	if head := d.do(t, http.MethodHead, "/millrace.js", nil); head.status != http.StatusOK || len(head.body) != 0 {
		t.Errorf("HEAD: status %d, %d bytes", head.status, len(head.body))
	}
}

func TestRecentIDsAreBounded(t *testing.T) {
	const size = 100
	s := newRecentIDs(size)
	id := func(i int) []string { return []string{fmt.Sprint(i)} }
	for i := range 10 * size {
		if s.add("a", id(i)) != 0 {
			t.Fatalf("%d is new", i)
		}
		if n := len(s.now) + len(s.old); n > size {
			t.Fatalf("%d ids are kept, the limit is %d", n, size)
		}
	}
	// At least the newer half is known, on its own site only.
	for i := 10*size - size/2; i < 10*size; i++ {
		if s.add("b", id(i)) != 0 {
			t.Fatalf("%d is another site's", i)
		}
	}
	s = newRecentIDs(size)
	for i := range size / 2 {
		s.add("a", id(i))
	}
	for i := range size / 2 {
		if s.add("a", id(i)) != 1 {
			t.Fatalf("%d is forgotten", i)
		}
	}
}
