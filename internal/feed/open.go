package feed

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// MaxBytes bounds a feed, unpacked: a million entries of two kilobytes.
	MaxBytes = 2 << 30
	// MaxTime bounds a reading from the first byte to the last, with the writes between.
	MaxTime = time.Hour
	// maxRedirects bounds how often a server may send elsewhere.
	maxRedirects = 5
	// answerTimeout bounds the wait for a connection, for the begin of an answer, and for more of it: feeds are read one after the
	// other, and a server that falls silent must not keep those behind it waiting.
	answerTimeout = 30 * time.Second
)

var (
	// ErrUnchanged means that a feed is as it was when the given Version was read.
	ErrUnchanged = errors.New("the feed has not changed")
	// ErrTooLarge means that a feed has more than MaxBytes.
	ErrTooLarge = fmt.Errorf("the feed has more than %d bytes", MaxBytes)
	// ErrSilent means that a server sent nothing more of a feed for too long.
	ErrSilent = fmt.Errorf("the server has sent nothing more for %v", answerTimeout)
	// ErrNotAllowed means that a feed is at a place that this server does not read from.
	ErrNotAllowed = errors.New("feeds are not read from there")
)

// Source opens feeds. The zero value reads public addresses alone.
type Source struct {
	Dir     string // the directory that paths are in; "" allows none
	Private bool   // addresses of private networks and of this machine are read too
}

// Version is by what a server, or a file system, says that a feed has changed.
type Version struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// Check reports whether a place may hold a feed at all: an http or https URL, or a path below Dir.
func (s Source) Check(place string) error {
	if u, ok := isURL(place); ok {
		if u.Host == "" {
			return fmt.Errorf("%q names no host: %w", Name(place), ErrNotAllowed)
		}
		return nil
	}
	switch {
	case strings.Contains(place, "://"):
		return fmt.Errorf("%q is neither http nor https: %w", place, ErrNotAllowed)
	case s.Dir == "":
		return fmt.Errorf("%q is a path, and no directory for feeds is configured (serving.feeds_dir): %w", place, ErrNotAllowed)
	case !filepath.IsLocal(place):
		return fmt.Errorf("%q does not stay below the directory for feeds: %w", place, ErrNotAllowed)
	}
	return nil
}

func isURL(place string) (*url.URL, bool) {
	u, err := url.Parse(place)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// Open opens the feed at a place, unpacked. The zero Version reads it in any case. The caller closes what it gets.
func (s Source) Open(ctx context.Context, place string, known Version) (io.ReadCloser, Version, error) {
	if err := s.Check(place); err != nil {
		return nil, Version{}, err
	}
	open := s.openFile
	if _, ok := isURL(place); ok {
		open = s.openURL
	}
	body, version, err := open(ctx, place, known)
	if err != nil {
		return nil, version, err
	}
	plain, err := unpack(body)
	if err != nil {
		return nil, version, errors.Join(fmt.Errorf("unpack feed %s: %w", Name(place), err), body.Close())
	}
	return plain, version, nil
}

// openFile opens a path below Dir; links do not lead out of it.
func (s Source) openFile(_ context.Context, place string, known Version) (io.ReadCloser, Version, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, known, fmt.Errorf("open the directory for feeds: %w", err)
	}
	defer root.Close()
	file, err := root.OpenFile(place, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer is refused, not waited for
	if err != nil {
		return nil, known, fmt.Errorf("open feed: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open feed %s: it is no file", place)
	}
	if err != nil {
		return nil, known, errors.Join(err, file.Close())
	}
	version := Version{ETag: strconv.FormatInt(info.Size(), 10), LastModified: info.ModTime().UTC().Format(time.RFC3339Nano)}
	if version == known {
		return nil, known, errors.Join(ErrUnchanged, file.Close())
	}
	return file, version, nil
}

func (s Source) openURL(ctx context.Context, place string, known Version) (io.ReadCloser, Version, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, known, fmt.Errorf("read feed: %w", err)
	}
	request.Header.Set("User-Agent", "millrace-feed")
	if known.ETag != "" {
		request.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		request.Header.Set("If-Modified-Since", known.LastModified)
	}
	client := s.client()
	response, err := client.Do(request) //nolint:bodyclose // body closes it with the client
	if err != nil {
		return nil, known, fmt.Errorf("read feed: %w", err)
	}
	body := closeBoth{&heard{response.Body, answerTimeout}, closer(func() error { client.CloseIdleConnections(); return nil })}
	version := Version{ETag: response.Header.Get("ETag"), LastModified: response.Header.Get("Last-Modified")}
	switch {
	case response.StatusCode == http.StatusNotModified:
		return nil, known, errors.Join(ErrUnchanged, body.Close())
	case response.StatusCode != http.StatusOK:
		return nil, known, errors.Join(fmt.Errorf("read feed: the server answers %s", response.Status), body.Close())
	}
	return body, version, nil
}

// client follows few redirects, and connects to allowed addresses only: those are looked at when a name is resolved already, so that
// no name and no redirect leads to another.
func (s Source) client() *http.Client {
	dialer := &net.Dialer{Timeout: answerTimeout, Control: func(_, address string, _ syscall.RawConn) error { return s.checkAddress(address) }}
	return &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: answerTimeout, TLSHandshakeTimeout: answerTimeout},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("the server sends elsewhere more than %d times", maxRedirects)
			}
			return s.Check(request.URL.String())
		},
	}
}

// reserved are the networks that are not private by their name, and yet no place of the public internet (RFC 6890).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("fec0::/10"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
}

func (s Source) checkAddress(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	ip := at.Addr().Unmap().WithZone("")
	public := ip.IsGlobalUnicast() && !ip.IsPrivate()
	for _, network := range reserved {
		public = public && !network.Contains(ip)
	}
	if !public && !s.Private {
		return fmt.Errorf("%s is an address of a private network (serving.feeds_private allows them): %w", ip, ErrNotAllowed)
	}
	return nil
}

// unpack reads gzip where the first bytes say so, whatever the name or the server says, and bounds what comes out.
func unpack(body io.ReadCloser) (io.ReadCloser, error) {
	in := bufio.NewReader(body)
	var plain io.Reader = in
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		plain = unpacked
	}
	return closeBoth{io.NopCloser(&bounded{plain, MaxBytes}), body}, nil
}

// bounded fails where io.LimitReader would end: a part of a feed must not pass for all of it.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}

// heard reads a body of which more comes within a time. Closing the body ends a reading that waits for longer.
type heard struct {
	io.ReadCloser
	within time.Duration
}

func (h *heard) Read(p []byte) (int, error) {
	silent := time.AfterFunc(h.within, func() { _ = h.Close() })
	n, err := h.ReadCloser.Read(p)
	if !silent.Stop() {
		return n, ErrSilent
	}
	return n, err
}

type closer func() error

func (c closer) Close() error { return c() }

// closeBoth reads one and closes two.
type closeBoth struct {
	io.ReadCloser
	also io.Closer
}

func (c closeBoth) Close() error { return errors.Join(c.ReadCloser.Close(), c.also.Close()) }

// Name is a place without what it may hold of a password.
func Name(place string) string {
	if u, ok := isURL(place); ok {
		return u.Redacted()
	}
	return strings.TrimSpace(place)
}
