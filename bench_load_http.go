package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

const (
	// loadPatience is how long after the end of a run an answer may come; later ones count as failed.
	loadPatience = 10 * time.Second
	// loadReadBytes is the buffer in front of a connection: an answer of twelve items fits.
	loadReadBytes = 32 << 10
)

// What is looked for in an answer.
var (
	answerOK     = []byte("HTTP/1.1 20") // 200, or 202 of the collector
	answerLength = []byte("Content-Length: ")
	emptyList    = []byte(`"items":[]`)
	closing      = []byte("Connection: close")
)

// loadConnection is one connection, and what was answered over it.
type loadConnection struct {
	address  string
	patience time.Duration // how long a connection may be needed, and then an answer be waited for
	conn     net.Conn
	reader   *bufio.Reader
	body     []byte

	millis        []float64 // of the answers, from when each was due
	failed, empty int
	trouble       error // the first
}

func (c *loadConnection) open(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, loadReadBytes)
	if err := conn.SetDeadline(time.Now().Add(c.patience)); err != nil { // one for each answer would be a cost of its own
		return fmt.Errorf("set deadline: %w", err)
	}
	return nil
}

func (c *loadConnection) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask sends a request that was due at a time, and notes how it went. After trouble the next one gets a new connection.
func (c *loadConnection) ask(ctx context.Context, request []byte, due time.Time) {
	err := c.exchange(ctx, request)
	if err == nil {
		c.millis = append(c.millis, float64(time.Since(due).Nanoseconds())/1e6)
		return
	}
	c.failed++
	if c.trouble == nil {
		c.trouble = err
	}
	c.close()
}

func (c *loadConnection) exchange(ctx context.Context, request []byte) error {
	if c.conn == nil {
		if err := c.open(ctx); err != nil {
			return err
		}
	}
	if _, err := c.conn.Write(request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	ok, length, last, err := c.head()
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	c.body = slices.Grow(c.body[:0], length)[:length]
	if _, err := io.ReadFull(c.reader, c.body); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if !ok {
		return fmt.Errorf("answered %s", c.body)
	}
	if bytes.Contains(c.body, emptyList) {
		c.empty++
	}
	if last {
		c.close()
	}
	return nil
}

// head reads status line and headers: whether the status is of success, how long the body is, and whether the server closes after it.
func (c *loadConnection) head() (ok bool, length int, last bool, err error) {
	length = -1
	for first := true; ; first = false {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return false, 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			ok = bytes.HasPrefix(line, answerOK)
		case len(line) == 0:
			if length < 0 {
				return false, 0, false, errors.New("the answer does not say how long it is")
			}
			return ok, length, last, nil
		case bytes.HasPrefix(line, answerLength):
			if length, err = strconv.Atoi(string(line[len(answerLength):])); err != nil {
				return false, 0, false, err
			}
		case bytes.Equal(line, closing):
			last = true
		}
	}
}
