// Package redistest starts real Redis servers for tests: alone or as a cluster, on free ports, without any persistence, so
// that a killed server comes back empty.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// program is what is started; a Valkey installed under this name serves as well.
	program = "redis-server"
	// startTimeout is how long a server may take to answer on a busy machine; alone it takes 20 ms.
	startTimeout = 30 * time.Second
	// answerTimeout bounds one command of this package.
	answerTimeout = 10 * time.Second
	// lookAgain is the pause between two looks at a server that starts.
	lookAgain = 10 * time.Millisecond
)

// Server is one Redis process, which the end of the test stops.
type Server struct {
	Addr string

	tb      testing.TB
	args    []string
	process *exec.Cmd // nil while it is down
	log     bytes.Buffer
}

// Start starts a server. Without the program it skips the test, or fails it where CI=true, since there it is installed.
// Options are arguments of the program, such as "--requirepass", "secret".
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	s := newServer(tb, options...)
	s.Start()
	return s
}

func newServer(tb testing.TB, options ...string) *Server {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing := tb.Skipf
		if os.Getenv("CI") == "true" {
			missing = tb.Fatalf
		}
		missing("no Redis: %s is not installed", program)
	}
	s := &Server{tb: tb, Addr: freeAddr(tb)}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	s.args = append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", tb.TempDir()}, options...)
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("output of Redis at %s:\n%s", s.Addr, s.log.String())
		}
	})
	return s
}

// Start starts the server, again at the same address after Kill, and returns when it answers.
func (s *Server) Start() {
	s.tb.Helper()
	// It ends with Kill, after whatever the test still wants from it in clean-ups of its own.
	s.process = exec.CommandContext(context.WithoutCancel(s.tb.Context()), program, s.args...)
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	if err := s.process.Start(); err != nil {
		s.tb.Fatalf("start Redis: %v", err)
	}
	s.wait("it starts", func() (bool, string) {
		// Whatever it answers, also that a password is needed, it is there.
		answer, err := s.ask("PING")
		return err == nil && !strings.HasPrefix(answer, "-LOADING"), fmt.Sprint(answer, err)
	})
}

// wait returns when done says so; at the end of its patience it fails the test with what done saw last.
func (s *Server) wait(what string, done func() (bool, string)) {
	s.tb.Helper()
	timeout := time.After(startTimeout)
	for {
		ok, seen := done()
		if ok {
			return
		}
		select {
		case <-time.After(lookAgain):
		case <-timeout:
			s.tb.Fatalf("Redis at %s: wait until %s: %s", s.Addr, what, seen)
		}
	}
}

// Kill ends the server with SIGKILL. All rows are gone.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill() // it has ended already if this fails
	_ = s.process.Wait()         // always "signal: killed"
	s.process = nil
}

// Pause holds the server with SIGSTOP: connections stay, answers do not come.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(what os.Signal) {
	s.tb.Helper()
	if err := s.process.Process.Signal(what); err != nil {
		s.tb.Fatalf("send %v to Redis: %v", what, err)
	}
}

// Do runs a command of single words and returns the first line of its answer.
func (s *Server) Do(command string) string {
	s.tb.Helper()
	answer, err := s.ask(command)
	if err != nil || strings.HasPrefix(answer, "-") {
		s.tb.Fatalf("Redis %s: %q, %v", command, answer, err)
	}
	return answer
}

// FlushAll removes all rows.
func (s *Server) FlushAll() {
	s.tb.Helper()
	s.Do("FLUSHALL")
}

// ask sends an inline command.
func (s *Server) ask(command string) (string, error) {
	dialer := net.Dialer{Timeout: answerTimeout}
	conn, err := dialer.DialContext(context.WithoutCancel(s.tb.Context()), "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n')
	if size, ok := strings.CutPrefix(line, "$"); ok && err == nil { // a bulk answer follows its size
		n, sizeErr := strconv.Atoi(strings.TrimSpace(size))
		if sizeErr != nil || n < 0 {
			return "", fmt.Errorf("answer %q", line)
		}
		body := make([]byte, n)
		_, err = io.ReadFull(in, body)
		line = string(body)
	}
	return strings.TrimRight(line, "\r\n"), err
}

// freeAddr finds a loopback address that was free a moment ago: Redis takes port 0 for "no port".
func freeAddr(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
