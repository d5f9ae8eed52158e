//go:build linux

package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk fills a real file system: calls are told while it is full, what was acknowledged stays, and it goes on when there is
// room, without opening the spool again.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); errors.Is(err, os.ErrPermission) && os.Getenv("CI") != "true" {
		t.Skip("mounting a small file system needs root; TestDiskErrors injects the same errors")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 700<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: filepath.Join(disk, "spool"), SegmentBytes: 64 << 10})
	var acknowledged []string
	append1 := func(i int) error {
		entry := fmt.Sprintf("%d %s", i, string(make([]byte, 1000)))
		_, err := s.Append([][]byte{[]byte(entry)})
		if err == nil {
			acknowledged = append(acknowledged, entry)
		}
		return err
	}
	refused := 0
	for i := range 1_000 {
		if err := append1(i); errors.Is(err, syscall.ENOSPC) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 || len(acknowledged) < 100 {
		t.Fatalf("%d refused, %d acknowledged", refused, len(acknowledged))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := append1(2_000 + i); err != nil {
			t.Fatalf("with room again: %v", err)
		}
	}
	requireEntries(t, drain(t, s), acknowledged)
}
