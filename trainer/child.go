package trainer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/objstore"
	"github.com/millrace/millrace/internal/registry"
	"github.com/millrace/millrace/lake"
)

// Training runs as a child process of the same binary: what it allocates goes back to the system when it ends, a crash
// takes nothing else down, and its peak memory is its own. The two speak over the standard streams:
//
//	stdin   one line, the ChildRequest; then it stays open, and its end tells the child that its parent is gone
//	stderr  a line of JSON per Progress; any other line is what went wrong, in words
//	stdout  the Result

const (
	// ChildCommand is the hidden subcommand that calls Child.
	ChildCommand = "train-child"

	// DefaultMemoryBytes is what a training process may hold.
	DefaultMemoryBytes = 4 << 30

	// goShare is the part of it that the Go runtime is told to keep to (GOMEMLIMIT), which is soft: the collector works harder near
	// it. The rest is for what the runtime does not count.
	goShare = 0.85

	// rssPoll is how often the parent looks at what the child holds.
	rssPoll = 200 * time.Millisecond

	// tailBytes is how much of the child's words is kept for the error message.
	tailBytes = 4 << 10

	// killWait is how long a killed child's streams may stay open, in case it has children of its own.
	killWait = 5 * time.Second

	// maxLineBytes bounds a line of the child's standard error.
	maxLineBytes = 1 << 20
)

// ChildRequest is what a training process is asked to do.
type ChildRequest struct {
	Config      Config           `json:"config"`
	Lake        objstore.Place   `json:"lake"`
	LakeCatalog string           `json:"lake_catalog,omitempty"` // as lake.Config.Catalog; it may hold a password
	LakeREST    lake.RESTCatalog `json:"lake_rest"`
	Registry    objstore.Place   `json:"registry"`
	Erased      *Erased          `json:"erased,omitempty"`
	Limits      Limits           `json:"limits"` // a MemoryBytes of 0 means DefaultMemoryBytes
	Fence       int64            `json:"fence,omitempty"`
}

// Erased is the ledger of erased people as a training process gets it: rows that are still in the lake are left out. It holds the
// key, so it goes through a pipe and nowhere else.
type Erased struct {
	Key      string          `json:"key"`
	Sequence int64           `json:"sequence"`
	Entries  []erasure.Entry `json:"entries"`
}

// newErased is a ledger on its way; nil where nobody was erased.
func newErased(l *erasure.Ledger) *Erased {
	if l == nil {
		return nil
	}
	return &Erased{Key: l.Key().String(), Sequence: l.Sequence(), Entries: l.Entries()}
}

// ledger is the inverse of newErased, as the lake asks for it.
func (e *Erased) ledger(context.Context) (*erasure.Ledger, error) {
	if e == nil {
		return nil, nil //nolint:nilnil // a nil ledger is the empty one
	}
	key, err := erasure.ParseKey(e.Key)
	if err != nil {
		return nil, err
	}
	return erasure.NewLedger(key, e.Sequence, e.Entries), nil
}

// Child is the whole of the training process: it reads a ChildRequest from stdin, trains, writes Progress lines to
// stderr and the Result to stdout. It stops when stdin ends, because then its parent is gone.
func Child(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	input := bufio.NewReader(stdin)
	line, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read training request: %w", err)
	}
	var req ChildRequest
	if err := json.Unmarshal(line, &req); err != nil {
		return fmt.Errorf("read training request: %w", err)
	}
	if req.Lake.Empty() || req.Registry.Empty() {
		return errors.New("read training request: it names no lake or no registry")
	}
	// This goroutine ends with the process: a read of standard input cannot be interrupted.
	go func() {
		_, _ = io.Copy(io.Discard, input)
		cancel(errors.New("the process that started this training is gone"))
	}()
	result, err := trainOver(ctx, req, func(p Progress) {
		if line, err := json.Marshal(p); err == nil {
			_, _ = fmt.Fprintf(stderr, "%s\n", line) // progress is not worth failing for
		}
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return err
	}
	result.PeakRSSBytes = ownPeakRSS()
	if err := json.NewEncoder(stdout).Encode(result); err != nil {
		return fmt.Errorf("write training result: %w", err)
	}
	return nil
}

func trainOver(ctx context.Context, req ChildRequest, report func(Progress)) (result Result, err error) {
	models, err := registry.Open(ctx, req.Registry)
	if err != nil {
		return Result{}, err
	}
	l, err := lake.Open(ctx, lake.Config{Dir: req.Lake.Dir, S3: req.Lake.S3, Catalog: req.LakeCatalog, REST: req.LakeREST, Erased: req.Erased.ledger})
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	return Run(ctx, req.Config, Deps{
		Source: LakeSource{Lake: l}, Registry: models, Progress: report, Limits: req.Limits, Fence: req.Fence,
	})
}

// Process says how to start a training process.
type Process struct {
	Exe  string   // path of the program
	Args []string // arguments that make it call Child; ChildCommand by default
	// Progress is called at each step of the child; nil for none.
	Progress func(Progress)
}

// Spawn runs one training in a child process and returns its result, with the child's own peak memory. When the context
// ends, or the child holds more than its limit, it is killed.
func Spawn(ctx context.Context, p Process, req ChildRequest) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if len(p.Args) == 0 {
		p.Args = []string{ChildCommand}
	}
	if req.Limits.MemoryBytes == 0 {
		req.Limits.MemoryBytes = DefaultMemoryBytes
	}
	if p.Progress == nil {
		p.Progress = func(Progress) {}
	}
	text, err := json.Marshal(req)
	if err != nil {
		return Result{}, fmt.Errorf("encode training request: %w", err)
	}
	cmd := exec.CommandContext(ctx, p.Exe, p.Args...)
	cmd.Env = append(cmd.Environ(), "GOMEMLIMIT="+strconv.FormatInt(int64(goShare*float64(req.Limits.MemoryBytes)), 10))
	cmd.WaitDelay = killWait
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, fmt.Errorf("start training process: %w", err)
	}
	errReader, errWriter := io.Pipe()
	cmd.Stderr = errWriter
	if err := cmd.Start(); err != nil {
		return Result{}, fmt.Errorf("start training process: %w", err)
	}
	words := &tail{}
	var group errgroup.Group
	group.Go(func() error { return relay(errReader, p.Progress, words) })
	group.Go(func() error { return guardMemory(ctx, cancel, cmd.Process.Pid, req.Limits.MemoryBytes) })
	_, writeErr := stdin.Write(append(text, '\n')) // a child that died before reading shows in Wait
	waitErr := cmd.Wait()
	stopped := ctx.Err()
	cancel(nil)
	closeErr := errors.Join(errWriter.Close(), group.Wait())
	if stopped != nil {
		return Result{}, fmt.Errorf("training process stopped: %w", context.Cause(ctx))
	}
	if err := errors.Join(waitErr, writeErr); err != nil {
		return Result{}, childError(err, words.String())
	}
	var result Result
	if err := errors.Join(closeErr, json.Unmarshal(stdout.Bytes(), &result)); err != nil {
		return Result{}, fmt.Errorf("read training result: %w", err)
	}
	if result.PeakRSSBytes == 0 {
		result.PeakRSSBytes = peakRSS(cmd.ProcessState.SysUsage())
	}
	return result, nil
}

// guardMemory ends the child's context when it holds more than its limit, and returns when the context has ended.
func guardMemory(ctx context.Context, cancel context.CancelCauseFunc, pid int, limit int64) error {
	tick := time.NewTicker(rssPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if held := rss(pid); held > limit {
			cancel(fmt.Errorf("%w: it held %s of memory, and trainer.memory_bytes allows %s; allow more, or shorten trainer.window",
				ErrLimit, mebibytes(held), mebibytes(limit)))
		}
	}
}

// childError says what the child said before it ended, or how it ended.
func childError(err error, words string) error {
	if words == "" {
		return fmt.Errorf("training process: %w", err)
	}
	return fmt.Errorf("training process: %w: %s", err, words)
}

// relay reads the child's standard error to its end: progress goes to report, the rest is kept.
func relay(r io.Reader, report func(Progress), words *tail) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var p Progress
		if line := lines.Bytes(); len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &p) == nil && p.Stage != "" {
			report(p)
			continue
		}
		words.add(lines.Text())
	}
	if err := lines.Err(); err != nil {
		_, _ = io.Copy(io.Discard, r) // or the child would wait for ever to be read
		return fmt.Errorf("read training process: %w", err)
	}
	return nil
}

// tail keeps the end of what was said.
type tail struct{ text string }

func (t *tail) add(line string) {
	t.text = strings.TrimSpace(t.text + "\n" + line)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = strings.ToValidUTF8(t.text[over:], "")
	}
}

func (t *tail) String() string { return t.text }
