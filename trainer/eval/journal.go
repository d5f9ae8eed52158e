package eval

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Journal remembers the trials of searches in a file, so that a search which was stopped goes on where it was: it draws the same
// settings again, and those that were measured cost nothing. A nil Journal remembers nothing. It is safe for concurrent use.
type Journal struct {
	mu    sync.Mutex // guards all below
	known map[string]float64
	file  *os.File
}

// journalLine is one trial in the file.
type journalLine struct {
	Scope   string  `json:"scope"`
	Setting string  `json:"setting"`
	Rung    int     `json:"rung"`
	Value   float64 `json:"value"`
}

func (l *journalLine) key() string { return fmt.Sprintf("%s\x00%s\x00%d", l.Scope, l.Setting, l.Rung) }

// OpenJournal opens a journal, or begins one. What a process that died has half written is passed over.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open tuning journal: %w", err)
	}
	j := &Journal{known: map[string]float64{}, file: file}
	lines := bufio.NewReader(file)
	for err == nil {
		var text []byte
		text, err = lines.ReadBytes('\n')
		var l journalLine
		if json.Unmarshal(text, &l) == nil {
			j.known[l.key()] = l.Value
		}
	}
	if errors.Is(err, io.EOF) {
		_, err = file.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read tuning journal %s: %w", path, err), file.Close())
	}
	// A line that was cut off must not swallow the next one.
	if _, err := file.WriteString("\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("write tuning journal: %w", err), file.Close())
	}
	return j, nil
}

// Close closes the file.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	return j.file.Close()
}

// Remove closes the journal and removes its file: what it remembers was put to use.
func (j *Journal) Remove() error {
	if j == nil {
		return nil
	}
	err := j.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if removed := os.Remove(j.file.Name()); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// remember returns the value of a trial that the journal knows, or measures it and writes it down.
func (j *Journal) remember(scope, setting string, rung int, measure func() (float64, error)) (float64, error) {
	if j == nil {
		return measure()
	}
	line := journalLine{Scope: scope, Setting: setting, Rung: rung}
	j.mu.Lock()
	value, ok := j.known[line.key()]
	j.mu.Unlock()
	if ok {
		return value, nil
	}
	value, err := measure()
	if err != nil {
		return 0, err
	}
	line.Value = value
	text, err := json.Marshal(line)
	if err != nil {
		return 0, fmt.Errorf("write tuning journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.known[line.key()] = value
	if _, err := j.file.Write(append(text, '\n')); err != nil {
		return 0, fmt.Errorf("write tuning journal: %w", err)
	}
	return value, nil
}

// digestOf tells the data of one search from that of another: all that a model may learn from, and all that it is asked.
func digestOf(train *Part, valid *Test) string {
	h := xxhash.New()
	add := func(v any) { _ = binary.Write(h, binary.LittleEndian, v) } // a hash takes everything
	s := train.Sessions
	add(s.Items)
	add(s.Times)
	add(s.Weights)
	add(s.Users)
	add(int64(train.NumItems))
	for _, offset := range s.Offsets {
		add(int64(offset))
	}
	add(train.Orders)
	for _, segment := range s.Segments {
		_, _ = h.WriteString(segment + "\x00")
	}
	_ = json.NewEncoder(h).Encode(train.Items)
	for g := range valid.Groups() {
		for c := range valid.Group(g) {
			add(c.Wanted)
		}
		add(int64(g))
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
