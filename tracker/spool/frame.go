package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// The layout of a segment is described in FORMAT.md; golden bytes stand in testdata.
const (
	segmentMagic      = "MLRSPOOL"
	formatVersion     = 1
	segmentHeaderSize = 16
	frameHeaderSize   = 28

	// frameMagic begins every frame. Its first byte occurs in no UTF-8 text, so no event can look like a frame.
	frameMagic = "\xffMRF"
	// maxFrameBytes bounds the payload of a frame, and so what a damaged length can make a reader allocate. A group commit takes
	// less (maxGroupBytes), unless a single call brings more.
	maxFrameBytes = 8 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged says that no whole frame, or no whole segment header, begins at a place.
var errDamaged = errors.New("damaged")

// frame is one group commit.
type frame struct {
	number  uint64
	written time.Time
	payload []byte
}

// segmentHeader is the first bytes of a segment.
func segmentHeader() []byte {
	b := binary.LittleEndian.AppendUint32([]byte(segmentMagic), formatVersion)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkSegmentHeader refuses what another version has written, and reports errDamaged for what nobody has.
func checkSegmentHeader(b []byte) error {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic ||
		crc32.Checksum(b[:12], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return errDamaged
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != formatVersion {
		return fmt.Errorf("format version %d, this program reads %d: start the version that wrote it, let it drain, and upgrade then", version, formatVersion)
	}
	return nil
}

// appendFrame encodes entries as one frame.
func appendFrame(b []byte, number uint64, written time.Time, entries [][]byte) []byte {
	start := len(b)
	b = append(b, frameMagic...)
	b = append(b, make([]byte, frameHeaderSize-len(frameMagic))...)
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(len(e)))
		b = append(b, e...)
	}
	header, payload := b[start:start+frameHeaderSize], b[start+frameHeaderSize:]
	binary.LittleEndian.PutUint32(header[4:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(header[8:], number)
	binary.LittleEndian.PutUint64(header[16:], uint64(written.UnixMilli()))
	binary.LittleEndian.PutUint32(header[24:], frameSum(header, payload))
	return b
}

// frameSum is the checksum over length, number, time and payload.
func frameSum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[4:24], castagnoli), castagnoli, payload)
}

// entrySize is what an entry takes in a payload.
func entrySize(entry []byte) int {
	return len(binary.AppendUvarint(nil, uint64(len(entry)))) + len(entry)
}

// splitEntries takes a payload apart; the entries are parts of it.
func splitEntries(payload []byte) ([][]byte, error) {
	var entries [][]byte
	for len(payload) > 0 {
		n, size := binary.Uvarint(payload)
		if size <= 0 || n > uint64(len(payload)-size) {
			return nil, errDamaged
		}
		entries = append(entries, payload[size:size+int(n):size+int(n)])
		payload = payload[size+int(n):]
	}
	return entries, nil
}

// segmentFile reads the first size bytes of a segment.
type segmentFile struct {
	io.ReaderAt
	size int64
}

// frameAt reads the frame at an offset and says where the next begins. errDamaged means that no whole frame is there; any
// other error is the disk's.
func (f segmentFile) frameAt(offset int64) (frame, int64, error) {
	var header [frameHeaderSize]byte
	if f.size-offset < frameHeaderSize {
		return frame{}, 0, errDamaged
	}
	if _, err := f.ReadAt(header[:], offset); err != nil {
		return frame{}, 0, fmt.Errorf("read frame: %w", err)
	}
	length := int64(binary.LittleEndian.Uint32(header[4:]))
	if string(header[:4]) != frameMagic || length > maxFrameBytes || length > f.size-offset-frameHeaderSize {
		return frame{}, 0, errDamaged
	}
	payload := make([]byte, length)
	if _, err := f.ReadAt(payload, offset+frameHeaderSize); err != nil {
		return frame{}, 0, fmt.Errorf("read frame: %w", err)
	}
	if frameSum(header[:], payload) != binary.LittleEndian.Uint32(header[24:]) {
		return frame{}, 0, errDamaged
	}
	return frame{
		number:  binary.LittleEndian.Uint64(header[8:]),
		written: time.UnixMilli(int64(binary.LittleEndian.Uint64(header[16:]))),
		payload: payload,
	}, offset + frameHeaderSize + length, nil
}

// findFrame looks for the first whole frame at or behind an offset: what lies before it was damaged, and what follows the last
// one was never acknowledged.
func (f segmentFile) findFrame(offset int64) (fr frame, at, next int64, err error) {
	const window = 64 << 10
	buf := make([]byte, window)
	for offset < f.size {
		n := min(window, f.size-offset)
		if _, err := f.ReadAt(buf[:n], offset); err != nil {
			return frame{}, 0, 0, fmt.Errorf("search frame: %w", err)
		}
		for i := range n {
			if buf[i] != frameMagic[0] {
				continue
			}
			fr, next, err := f.frameAt(offset + i)
			if !errors.Is(err, errDamaged) {
				return fr, offset + i, next, err
			}
		}
		offset += n
	}
	return frame{}, 0, 0, errDamaged
}
