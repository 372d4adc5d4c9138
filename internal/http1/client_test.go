// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// dialer counts the connections that a Client opens.
type dialer struct {
	address string
	dialed  atomic.Int32
}

func (d *dialer) dial() (Conn, error) {
	d.dialed.Add(1)
	return socket.Dial(d.address, time.Time{})
}

func newTestClient(t *testing.T, address string) (*Client, *dialer) {
	t.Helper()
	d := &dialer{address: address}
	c := &Client{Dial: d.dial, Host: address}
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c, d
}

// newNetHTTPServer serves with net/http.
func newNetHTTPServer(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server
}

func TestClientWithNetHTTP(t *testing.T) {
	server := newNetHTTPServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("Lambda-Extension-Identifier"))
		switch r.URL.Path {
		case "/chunked":
			w.Header().Set("Trailer", "X-Sum")
			for i := range 3 {
				_, _ = io.WriteString(w, strings.Repeat(strconv.Itoa(i), 10))
				w.(http.Flusher).Flush()
			}
			w.Header().Set("X-Sum", "30")
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = w.Write(body)
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/304":
			w.Header().Set("ETag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write(body)
		}
	})
	c, d := newTestClient(t, server.Listener.Addr().String())
	id := Header{{"Lambda-Extension-Identifier", "id"}}
	for _, tt := range []struct {
		req    Request
		status int
		body   string
	}{
		{Request{Method: "POST", Target: "/echo?a=%20b", Header: id, Body: []byte("abc")}, 202, "abc"},
		{Request{Method: "POST", Target: "/echo", Header: id}, 202, ""},
		{Request{Method: "PUT", Target: "/echo", Header: id, Body: make([]byte, 1<<20)}, 202, string(make([]byte, 1<<20))},
		{Request{Method: "GET", Target: "/chunked", Header: id}, 200, "000000000011111111112222222222"},
		{Request{Method: "HEAD", Target: "/echo", Header: id}, 202, ""},
		{Request{Method: "POST", Target: "/hints", Header: id, Body: []byte("abc")}, 200, "abc"},
		{Request{Method: "DELETE", Target: "/204", Header: id}, 204, ""},
		{Request{Method: "GET", Target: "/304", Header: id}, 304, ""},
		{Request{Method: "OPTIONS", Target: "/echo", Header: id}, 202, ""},
	} {
		t.Run(tt.req.Method+tt.req.Path(), func(t *testing.T) {
			resp, err := c.Do(time.Now().Add(time.Minute), &tt.req)
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.Status)
			require.Equal(t, tt.body, string(resp.Body))
			require.Equal(t, tt.req.Method+" "+tt.req.Target+" "+c.Host+" id", resp.Header.Get("X-Seen"))
		})
	}
	require.Equal(t, int32(1), d.dialed.Load(), "one connection serves all")
}

// net/http asks for a body only when the handler reads it, which the client does not wait for.
func TestClientBodyThatIsNotRead(t *testing.T) {
	server := newNetHTTPServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	c, _ := newTestClient(t, server.Listener.Addr().String())
	for range 3 {
		resp, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/", Body: make([]byte, 64<<10)})
		require.NoError(t, err)
		require.Equal(t, 403, resp.Status)
	}
}

func TestClientWhenServerClosesIdleConnection(t *testing.T) {
	server := newNetHTTPServer(t, func(http.ResponseWriter, *http.Request) {})
	c, d := newTestClient(t, server.Listener.Addr().String())
	for range 3 {
		resp, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/"})
		require.NoError(t, err)
		require.Equal(t, 200, resp.Status)
		server.CloseClientConnections()
		// The request need not be replayable when that is known before it is sent.
		require.Eventually(t, func() bool { return !c.link.idle() }, 10*time.Second, time.Millisecond)
	}
	require.Equal(t, int32(3), d.dialed.Load())
}

func TestClientWhenServerDoesNotKeepConnections(t *testing.T) {
	server := newNetHTTPServer(t, func(http.ResponseWriter, *http.Request) {})
	server.Config.SetKeepAlivesEnabled(false)
	c, d := newTestClient(t, server.Listener.Addr().String())
	for range 3 {
		_, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/"})
		require.NoError(t, err)
	}
	require.Equal(t, int32(3), d.dialed.Load())
}

// script is what a server does with its connections, one function each.
type script []func(net.Conn, *bufio.Reader)

// newScriptedServer plays the script and then accepts nothing more. Each function's connection is closed behind it.
func newScriptedServer(t *testing.T, script script) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer l.Close()
		for _, play := range script {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			play(conn, bufio.NewReader(conn))
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return l.Addr().String()
}

// answer reads a request and writes the response as it stands.
func answer(response string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		if _, _, err := ReadRequest(r, Limits{}); err == nil {
			_, _ = io.WriteString(conn, response)
		}
	}
}

// then plays on the same connection.
func then(plays ...func(net.Conn, *bufio.Reader)) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, r *bufio.Reader) {
		for _, play := range plays {
			play(conn, r)
		}
	}
}

// untilClosed waits for the client.
func untilClosed(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }

const okResponse = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestClientRetry(t *testing.T) {
	ok, silent := answer(okResponse), answer("")
	for _, tt := range []struct {
		name       string
		script     script
		replayable bool
		// want is the error of the second request, nil if it succeeds.
		want   error
		dialed int32
	}{
		{
			name:       "replayable on a used connection",
			script:     script{then(ok, silent), ok},
			replayable: true,
			dialed:     2,
		},
		{
			name:   "not replayable",
			script: script{then(ok, silent), ok},
			want:   io.ErrUnexpectedEOF,
			dialed: 1,
		},
		{
			name:       "only once",
			script:     script{then(ok, silent), silent, ok},
			replayable: true,
			want:       io.ErrUnexpectedEOF,
			dialed:     2,
		},
		{
			name:       "not on a new connection",
			script:     script{answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), silent, ok},
			replayable: true,
			want:       io.ErrUnexpectedEOF,
			dialed:     2,
		},
		{
			name:       "not after a byte of the response",
			script:     script{then(ok, answer("H")), ok},
			replayable: true,
			want:       io.ErrUnexpectedEOF,
			dialed:     1,
		},
		{
			name:       "not after an interim response",
			script:     script{then(ok, answer("HTTP/1.1 100 Continue\r\n\r\n")), ok},
			replayable: true,
			want:       io.ErrUnexpectedEOF,
			dialed:     1,
		},
		{
			name:       "not after half a body",
			script:     script{then(ok, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")), ok},
			replayable: true,
			want:       io.ErrUnexpectedEOF,
			dialed:     1,
		},
		{
			name:       "not after a malformed response",
			script:     script{then(ok, answer("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok")), ok},
			replayable: true,
			want:       ErrMalformed,
			dialed:     1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, d := newTestClient(t, newScriptedServer(t, tt.script))
			_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
			require.NoError(t, err)
			resp, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/", Replayable: tt.replayable})
			if tt.want == nil {
				require.NoError(t, err)
				require.Equal(t, "ok", string(resp.Body))
			} else {
				require.ErrorIs(t, err, tt.want)
				require.Nil(t, resp)
			}
			require.Equal(t, tt.dialed, d.dialed.Load())
		})
	}
}

// A connection on which the write fails at once has carried nothing: trying again is safe for every request.
func TestClientRetriesWhatWasNotSent(t *testing.T) {
	ok := answer(okResponse)
	c, d := newTestClient(t, newScriptedServer(t, script{then(ok, untilClosed), ok}))
	_, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/"})
	require.NoError(t, err)
	c.link.conn = unwritableConn{c.link.conn}
	resp, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/"})
	require.NoError(t, err)
	require.Equal(t, "ok", string(resp.Body))
	require.Equal(t, int32(2), d.dialed.Load())
}

// unwritableConn is as broken as a connection that was reset without anybody having noticed.
type unwritableConn struct{ Conn }

func (c unwritableConn) Write([]byte) (int, error) {
	_ = c.SetReadDeadline(time.Unix(1, 0))
	return 0, errors.New("broken pipe")
}

func TestClientAfterResponsesThatEndTheConnection(t *testing.T) {
	for name, response := range map[string]string{
		"until the end":     "HTTP/1.1 200 OK\r\n\r\nok",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"more than was due": okResponse + okResponse,
	} {
		t.Run(name, func(t *testing.T) {
			c, d := newTestClient(t, newScriptedServer(t, script{answer(response), answer(response)}))
			for range 2 {
				resp, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
				require.NoError(t, err)
				require.Equal(t, "ok", string(resp.Body))
			}
			require.Equal(t, int32(2), d.dialed.Load())
		})
	}
}

// Bytes that nobody asked for would be taken for the next response.
func TestClientUnaskedResponse(t *testing.T) {
	write := make(chan struct{})
	c, d := newTestClient(t, newScriptedServer(t, script{
		then(answer(okResponse), func(conn net.Conn, _ *bufio.Reader) {
			<-write
			_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		}, untilClosed),
		answer(okResponse),
	}))
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	close(write)
	require.Eventually(t, func() bool { return !c.link.idle() }, 10*time.Second, time.Millisecond)
	resp, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	require.Equal(t, 200, resp.Status)
	require.Equal(t, int32(2), d.dialed.Load())
}

// A server that refuses a large body answers without reading it, and closing resets the connection.
func TestClientRefusedBody(t *testing.T) {
	c, _ := newTestClient(t, newScriptedServer(t, script{func(conn net.Conn, r *bufio.Reader) {
		left := 1 << 20
		if _, err := readHead(r, &left); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
		}
	}}))
	resp, err := c.Do(time.Time{}, &Request{Method: "PUT", Target: "/", Body: make([]byte, 32<<20)})
	require.NoError(t, err)
	require.Equal(t, 413, resp.Status)
	require.Equal(t, "no", string(resp.Body))
}

func TestClientDeadline(t *testing.T) {
	c, d := newTestClient(t, newScriptedServer(t, script{
		then(answer(okResponse), untilClosed),
		answer(okResponse),
	}))
	_, err := c.Do(time.Now().Add(time.Minute), &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	start := time.Now()
	_, err = c.Do(start.Add(20*time.Millisecond), &Request{Method: "GET", Target: "/", Replayable: true})
	require.ErrorIs(t, err, ErrDeadline)
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	require.Equal(t, int32(1), d.dialed.Load(), "no time is left to try again")

	// A late response must not become the next one.
	_, err = c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	require.Equal(t, int32(2), d.dialed.Load())
}

// The deadline of one request is not that of the next.
func TestClientDeadlineEndsWithRequest(t *testing.T) {
	proceed := make(chan struct{})
	c, d := newTestClient(t, newScriptedServer(t, script{
		then(answer(okResponse), func(net.Conn, *bufio.Reader) { <-proceed }, answer(okResponse)),
	}))
	deadline := time.Now().Add(100 * time.Millisecond)
	_, err := c.Do(deadline, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	time.AfterFunc(time.Until(deadline.Add(20*time.Millisecond)), func() { close(proceed) })
	_, err = c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	require.Equal(t, int32(1), d.dialed.Load())
}

func TestClientClose(t *testing.T) {
	requested := make(chan struct{})
	address := newScriptedServer(t, script{then(answer(""), func(net.Conn, *bufio.Reader) { close(requested) }, untilClosed)})
	c, d := newTestClient(t, address)
	go func() {
		<-requested
		_ = c.Close()
	}()
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/", Replayable: true})
	require.ErrorIs(t, err, ErrClosed)
	_, err = c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.ErrorIs(t, err, ErrClosed)
	require.Equal(t, int32(1), d.dialed.Load())
}

func TestClientCloseWhileIdle(t *testing.T) {
	closed := make(chan struct{})
	c, _ := newTestClient(t, newScriptedServer(t, script{
		then(answer(okResponse), untilClosed, func(net.Conn, *bufio.Reader) { close(closed) }),
	}))
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	<-closed
}

func TestClientCloseWithoutUse(t *testing.T) {
	c := &Client{}
	require.NoError(t, c.Close())
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.ErrorIs(t, err, ErrClosed)
}

// closeTold tells when it is closed.
type closeTold struct {
	Conn
	closed chan struct{}
}

func (c closeTold) Close() error {
	close(c.closed)
	return nil
}

func TestClientDialThatHangs(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(*Client) time.Time
		want error
	}{
		{"deadline", func(*Client) time.Time { return time.Now().Add(10 * time.Millisecond) }, ErrDeadline},
		{"close", func(c *Client) time.Time {
			time.AfterFunc(10*time.Millisecond, func() { _ = c.Close() })
			return time.Time{}
		}, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dialed, late := make(chan struct{}), closeTold{closed: make(chan struct{})}
			c := &Client{Dial: func() (Conn, error) {
				<-dialed
				return late, nil
			}}
			_, err := c.Do(tt.stop(c), &Request{Method: "GET", Target: "/"})
			require.ErrorIs(t, err, tt.want)
			close(dialed)
			<-late.closed
		})
	}
}

func TestClientCloseWhileDialing(t *testing.T) {
	conn := closeTold{closed: make(chan struct{})}
	c := &Client{}
	c.Dial = func() (Conn, error) {
		_ = c.Close()
		return conn, nil
	}
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.ErrorIs(t, err, ErrClosed)
	<-conn.closed
}

func TestClientErrors(t *testing.T) {
	refused := errors.New("refused")
	c := &Client{Dial: func() (Conn, error) { return nil, refused }}
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.ErrorIs(t, err, refused)
	require.EqualError(t, err, "connecting: refused")

	c, d := newTestClient(t, newScriptedServer(t, script{then(answer(okResponse), answer(okResponse))}))
	unwritable := &Request{Method: "GET", Target: "/", Header: Header{{"A", "\n"}}}
	for range 2 {
		_, err = c.Do(time.Time{}, unwritable)
		require.ErrorIs(t, err, ErrUnwritable)
		_, err = c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
		require.NoError(t, err)
	}
	require.Equal(t, int32(1), d.dialed.Load(), "a request that cannot be written costs no connection")
}

func TestClientConcurrentUse(t *testing.T) {
	proceed, requested := make(chan struct{}), make(chan struct{})
	c, _ := newTestClient(t, newScriptedServer(t, script{then(answer(""), func(conn net.Conn, _ *bufio.Reader) {
		close(requested)
		<-proceed
		_, _ = io.WriteString(conn, okResponse)
	})}))
	result := make(chan error)
	go func() {
		_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
		result <- err
	}()
	<-requested
	_, err := c.Do(time.Time{}, &Request{Method: "GET", Target: "/"})
	require.ErrorIs(t, err, errConcurrent)
	close(proceed)
	require.NoError(t, <-result)
}
