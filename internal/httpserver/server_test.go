package httpserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBusyPortNamesAddressAndFlag(t *testing.T) {
	holder, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	addr := holder.Addr().String()
	for flag, want := range map[string]string{
		"":               "listen on " + addr + ": address already in use: another program holds it; choose another with --listen",
		"--admin-listen": "listen on " + addr + ": address already in use: another program holds it; choose another with --admin-listen",
	} {
		_, err := New(Config{Name: "api", Listen: addr, Flag: flag}, http.NotFoundHandler())
		if err == nil || err.Error() != want {
			t.Errorf("flag %q: got %v, want %s", flag, err, want)
		}
	}
}

func TestUnusableAddressSaysWhatTheFlagTakes(t *testing.T) {
	_, err := New(Config{Name: "api", Listen: "127.0.0.1"}, http.NotFoundHandler())
	if err == nil || !strings.Contains(err.Error(), "--listen takes HOST:PORT") {
		t.Fatalf("got %v", err)
	}
}

// get asks a running server over its own connection, so that no idle one is left behind.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(body)
}

func TestRunDrainsRunningRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server, err := New(Config{Name: "api", Listen: "127.0.0.1:0"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		if r.Context().Err() != nil {
			t.Error("the context of an accepted request ended with the server's")
		}
		_, _ = io.WriteString(w, "whole")
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	answered := make(chan string, 1)
	go func() {
		_, body := get(t, "http://"+server.Addr())
		answered <- body
	}()
	<-entered
	stop()
	// The listener closes first; only then may the slow request end, or the test would prove nothing.
	for {
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(release)
	if body := <-answered; body != "whole" {
		t.Errorf("drained request got %q", body)
	}
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestRunReportsRequestsCutOff(t *testing.T) {
	entered := make(chan struct{})
	server, err := New(Config{Name: "api", Listen: "127.0.0.1:0", DrainTimeout: time.Millisecond},
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done() // ends when the connection is closed under it
		}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	stop()
	if err := <-ran; err == nil || !strings.Contains(err.Error(), "drain api: requests were cut off") {
		t.Fatalf("Run: %v", err)
	}
}

func TestCloseFreesThePortOfAServerThatNeverRan(t *testing.T) {
	server, err := New(Config{Name: "api", Listen: "127.0.0.1:0"}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again, err := New(Config{Name: "api", Listen: server.Addr()}, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
