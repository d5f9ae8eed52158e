package stream

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/event"
)

// Only finished states count, and a directory that is not there yet holds none.
func TestHeld(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"0", "11", temporaryPrefix + "3", "history"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "7"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if held := Held(dir)[event.TopicEvents]; !slices.Equal(held, []int32{0, 11}) {
		t.Errorf("held %v, want 0 and 11", held)
	}
	if held := Held(filepath.Join(dir, "gone")); len(held) != 0 {
		t.Errorf("a directory that is not there holds %v", held)
	}
}
