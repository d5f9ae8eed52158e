package stream

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

// millionSampled is one in how many visitors whose profile is compared in the end.
const millionSampled = 500

// millionSample is what the profiles of some visitors must be: what they were filled with and the events that came after, in
// the order of their partition.
type millionSample map[string]*feature.Profile

// fill notes the profile that a visitor was filled with.
func (s millionSample) fill(t *testing.T, visitor int, encoded []byte) {
	t.Helper()
	if visitor%millionSampled != 0 {
		return
	}
	p, err := feature.DecodeProfile(encoded)
	if err != nil {
		t.Fatal(err)
	}
	s[millionVisitor(visitor)] = p
}

// produced applies an event of the load.
func (s millionSample) produced(e *event.Event) {
	if p := s[e.AnonymousID]; p != nil {
		p.Apply(e)
	}
}

// check compares the sample with the online store of a process that is gone.
func (s millionSample) check(t *testing.T, dir string) {
	t.Helper()
	online, err := onlinestore.OpenEmbedded(onlinestore.EmbeddedConfig{Dir: filepath.Join(dir, "online")})
	if err != nil {
		t.Fatal(err)
	}
	defer online.Close()
	different := 0
	for visitor, want := range s {
		key := onlinestore.ProfileKey(onlinestore.Partial{Site: "default", Kind: onlinestore.KindBrowser, ID: visitor})
		row, _, err := online.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(row.Value, want.Encode(nil)) {
			different++
		}
	}
	t.Logf("%d profiles compared, %d differ", len(s), different)
	if different > 0 || len(s) != millionProfiles/millionSampled {
		t.Error("profiles are not what their events give")
	}
}
