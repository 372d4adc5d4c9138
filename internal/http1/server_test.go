// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// netListener accepts with package net.
type netListener struct{ net.Listener }

func (l netListener) Accept() (Conn, error) { return l.Listener.Accept() }

// testServer is a Server on a TCP port.
type testServer struct {
	*Server
	address string

	mu       sync.Mutex
	reported []string
}

func newTestServer(t *testing.T, s *Server, handle func(*Request) *Response) *testServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ts := &testServer{Server: s, address: l.Addr().String()}
	s.Report = func(err error) {
		ts.mu.Lock()
		defer ts.mu.Unlock()
		ts.reported = append(ts.reported, err.Error())
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(netListener{l}, handle) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrClosed)
	})
	return ts
}

func (ts *testServer) reports() []string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.reported
}

// waitIdle waits until n connections are idle, which they become a moment after the response.
func (ts *testServer) waitIdle(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		ts.Server.mu.Lock()
		defer ts.Server.mu.Unlock()
		idle := 0
		for c := range ts.conns {
			if c.done == nil {
				idle++
			}
		}
		return idle == n
	}, 10*time.Second, time.Millisecond)
}

// dial opens a plain connection.
func (ts *testServer) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", ts.address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// send writes to a plain connection.
func send(t *testing.T, conn net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(conn, s)
	require.NoError(t, err)
}

// receive reads a response and says whether another one may follow.
func receive(t *testing.T, r *bufio.Reader) (*Response, bool) {
	t.Helper()
	resp, keepAlive, err := ReadResponse(r, "GET", Limits{})
	require.NoError(t, err)
	return resp, keepAlive
}

// requireEnd waits for the server to close the connection.
func requireEnd(t *testing.T, r *bufio.Reader) {
	t.Helper()
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Empty(t, rest)
}

func newNetHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{ExpectContinueTimeout: time.Hour}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// echo answers with what it got.
func echo(req *Request) *Response {
	return &Response{
		Status: 202,
		Header: Header{{"X-Seen", req.Method + " " + req.Target + " " + req.Header.Get("Lambda-Extension-Name")}},
		Body:   req.Body,
	}
}

func TestServerWithNetHTTP(t *testing.T) {
	ts := newTestServer(t, &Server{}, echo)
	client := newNetHTTPClient(t)
	large := strings.Repeat("0123456789abcdef", 64<<10)
	for _, tt := range []struct {
		name, method, target, body string
		chunked, expect            bool
		want                       string
	}{
		{name: "get", method: "GET", target: "/2020-01-01/extension/event/next?a=%20b"},
		{name: "fixed length", method: "POST", target: "/", body: "abc", want: "abc"},
		{name: "large", method: "PUT", target: "/", body: large, want: large},
		{name: "chunked", method: "POST", target: "/", body: "abc", chunked: true, want: "abc"},
		{name: "chunked, large", method: "POST", target: "/", body: large, chunked: true, want: large},
		{name: "chunked, empty", method: "POST", target: "/", chunked: true},
		// The client would wait for an hour.
		{name: "expect", method: "POST", target: "/", body: "abc", expect: true, want: "abc"},
		{name: "expect, chunked", method: "POST", target: "/", body: large, chunked: true, expect: true, want: large},
		{name: "head", method: "HEAD", target: "/"},
		{name: "no body", method: "DELETE", target: "/"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var body io.Reader = strings.NewReader(tt.body)
			if tt.chunked {
				body = io.MultiReader(body)
			}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+ts.address+tt.target, body)
			require.NoError(t, err)
			req.Header.Set("Lambda-Extension-Name", "name")
			if tt.expect {
				req.Header.Set("Expect", "100-continue")
			}
			resp, err := client.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusAccepted, resp.StatusCode)
			require.Equal(t, tt.method+" "+tt.target+" name", resp.Header.Get("X-Seen"))
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tt.want, string(got))
		})
	}
	require.Empty(t, ts.reports())
}

func TestServerManyRequestsOnOneConnection(t *testing.T) {
	ts := newTestServer(t, &Server{MaxConns: 1}, echo)
	client := newNetHTTPClient(t)
	for i := range 1000 {
		want := strconv.Itoa(i)
		resp, err := client.Post("http://"+ts.address, "text/plain", strings.NewReader(want))
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, string(got))
	}
	ts.waitIdle(t, 1)
	ts.Server.mu.Lock()
	defer ts.Server.mu.Unlock()
	require.Equal(t, uint64(1+1000), ts.turn, "idle once after it was accepted and once after each request")
}

// With fewer connections than clients, idle ones are closed under the clients' hands, but nobody gets what is another's.
func TestServerWithManyClients(t *testing.T) {
	ts := newTestServer(t, &Server{MaxConns: 4}, echo)
	var clients sync.WaitGroup
	var answered atomic.Int32
	for i := range 16 {
		clients.Go(func() {
			c := &Client{Dial: func() (Conn, error) { return net.Dial("tcp", ts.address) }, Host: ts.address}
			defer c.Close()
			for j := range 20 {
				want := strconv.Itoa(100*i + j)
				resp, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/", Body: []byte(want), Replayable: true})
				switch {
				case errors.Is(err, ErrMalformed):
					t.Error(err)
				case err == nil && string(resp.Body) != want:
					t.Errorf("%q instead of %q", resp.Body, want)
				case err == nil:
					answered.Add(1)
				}
			}
		})
	}
	clients.Wait()
	require.Positive(t, answered.Load())
	require.Empty(t, ts.reports())
}

// poll answers when told to, unless the peer goes away.
type poll struct {
	begun   chan *Request
	proceed chan struct{}
	gone    chan struct{}
}

func newPoll() *poll {
	return &poll{begun: make(chan *Request, 10), proceed: make(chan struct{}), gone: make(chan struct{}, 10)}
}

func (p *poll) handle(req *Request) *Response {
	if req.Path() != "/poll" {
		return echo(req)
	}
	p.begun <- req
	select {
	case <-p.proceed:
		return &Response{Status: 200, Body: []byte("event")}
	case <-req.Done:
		p.gone <- struct{}{}
		return nil
	}
}

func TestServerCancelledPoll(t *testing.T) {
	p := newPoll()
	ts := newTestServer(t, &Server{}, p.handle)
	client := newNetHTTPClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ts.address+"/poll", http.NoBody)
	require.NoError(t, err)
	go func() {
		<-p.begun
		cancel()
	}()
	_, err = client.Do(req) //nolint:bodyclose // there is no response
	require.ErrorIs(t, err, context.Canceled)
	<-p.gone

	// The next one is served.
	go func() { p.proceed <- struct{}{} }()
	resp, err := client.Get("http://" + ts.address + "/poll")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "event", string(body))
}

const pollRequest = "GET /poll HTTP/1.1\r\nHost: h\r\n\r\n"

func TestServerPollEndsWithPeer(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *net.TCPConn){
		"closed": func(t *testing.T, conn *net.TCPConn) { require.NoError(t, conn.Close()) },
		"reset": func(t *testing.T, conn *net.TCPConn) {
			require.NoError(t, conn.SetLinger(0))
			require.NoError(t, conn.Close())
		},
		"half closed":           func(t *testing.T, conn *net.TCPConn) { require.NoError(t, conn.CloseWrite()) },
		"garbage":               func(t *testing.T, conn *net.TCPConn) { send(t, conn, "\x16\x03\x01") },
		"garbage after a word":  func(t *testing.T, conn *net.TCPConn) { send(t, conn, "GET{") },
		"space":                 func(t *testing.T, conn *net.TCPConn) { send(t, conn, " ") },
		"two empty lines":       func(t *testing.T, conn *net.TCPConn) { send(t, conn, "\r\n\r\n") },
		"a request, then close": func(t *testing.T, conn *net.TCPConn) { send(t, conn, pollRequest); require.NoError(t, conn.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoll()
			ts := newTestServer(t, &Server{}, p.handle)
			conn, _ := ts.dial(t)
			send(t, conn, pollRequest)
			<-p.begun
			leave(t, conn.(*net.TCPConn))
			<-p.gone
		})
	}
}

// A peer that has closed its side, or sent garbage, can still get the response, but nothing after it.
func TestServerAnswersPeerThatWillSendNoMore(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *net.TCPConn){
		"half closed": func(t *testing.T, conn *net.TCPConn) { require.NoError(t, conn.CloseWrite()) },
		"garbage":     func(t *testing.T, conn *net.TCPConn) { send(t, conn, "{}") },
	} {
		t.Run(name, func(t *testing.T) {
			begun := make(chan struct{})
			ts := newTestServer(t, &Server{}, func(req *Request) *Response {
				close(begun)
				<-req.Done
				return &Response{Status: 200}
			})
			conn, r := ts.dial(t)
			send(t, conn, pollRequest)
			<-begun
			leave(t, conn.(*net.TCPConn))
			resp, keepAlive := receive(t, r)
			require.Equal(t, 200, resp.Status)
			require.False(t, keepAlive)
		})
	}
}

func TestServerKeepsPipelinedRequests(t *testing.T) {
	post := "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
	for name, ahead := range map[string]string{
		"whole":                  post,
		"after an empty line":    "\r\n" + post,
		"larger than the buffer": "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("abc", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPoll()
			ts := newTestServer(t, &Server{}, p.handle)
			conn, r := ts.dial(t)
			send(t, conn, pollRequest)
			req := <-p.begun
			for _, part := range []string{ahead[:1], ahead[1:20], ahead[20:]} {
				send(t, conn, part)
			}
			p.proceed <- struct{}{}
			resp, keepAlive := receive(t, r)
			require.Equal(t, "event", string(resp.Body))
			require.True(t, keepAlive)
			<-req.Done
			resp, keepAlive = receive(t, r)
			require.Equal(t, "POST /a", resp.Header.Get("X-Seen"))
			require.Contains(t, []int{3, 9000}, len(resp.Body))
			require.True(t, keepAlive)
			require.Empty(t, p.gone)
		})
	}
}

func TestServerPipelineInOneWrite(t *testing.T) {
	ts := newTestServer(t, &Server{}, echo)
	conn, r := ts.dial(t)
	send(t, conn, strings.Repeat("GET / HTTP/1.1\r\nHost: h\r\n\r\n", 100))
	for range 100 {
		resp, keepAlive := receive(t, r)
		require.Equal(t, 202, resp.Status)
		require.True(t, keepAlive)
	}
}

func TestServerClose(t *testing.T) {
	p := newPoll()
	ts := newTestServer(t, &Server{}, p.handle)
	polling, pollingReader := ts.dial(t)
	send(t, polling, pollRequest)
	idle, idleReader := ts.dial(t)
	send(t, idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	receive(t, idleReader)
	// This one's watch has ended: the buffer is full.
	flooding, floodingReader := ts.dial(t)
	send(t, flooding, pollRequest+"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\n"+strings.Repeat("a", 9000))
	for range 2 {
		<-p.begun
	}

	require.NoError(t, ts.Close())
	require.Len(t, p.gone, 2, "Close waits for the handlers")
	for _, r := range []*bufio.Reader{pollingReader, idleReader, floodingReader} {
		_, err := r.ReadByte()
		require.Error(t, err)
	}
	_, err := net.Dial("tcp", ts.address)
	require.Error(t, err)

	require.NoError(t, ts.Close())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, ts.Serve(netListener{l}, p.handle), ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestServerCloseWithoutUse(t *testing.T) {
	require.NoError(t, (&Server{}).Close())
}

func TestServerPanics(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle func(*Request) *Response
		report string
	}{
		{
			name:   "string",
			handle: func(*Request) *Response { panic("oh") },
			report: "handling GET /a: panic: oh",
		},
		{
			name:   "error",
			handle: func(*Request) *Response { panic(errors.New("dear")) },
			report: "handling GET /a: panic: dear",
		},
		{
			name:   "runtime error",
			handle: func(req *Request) *Response { return &Response{Status: int(req.Body[7])} },
			report: "handling GET /a: panic: runtime error: index out of range [7] with length 0",
		},
		{
			name:   "something else",
			handle: func(*Request) *Response { panic(7) },
			report: "handling GET /a: panic: of another type than error and string",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := newTestServer(t, &Server{}, tt.handle)
			for range 2 {
				conn, r := ts.dial(t)
				send(t, conn, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
				resp, keepAlive := receive(t, r)
				require.Equal(t, 500, resp.Status)
				require.False(t, keepAlive)
				requireEnd(t, r)
			}
			require.Equal(t, []string{tt.report, tt.report}, ts.reports())
		})
	}
}

func TestServerOddResponses(t *testing.T) {
	ts := newTestServer(t, &Server{}, func(req *Request) *Response {
		switch req.Path() {
		case "/none":
			return nil
		case "/unwritable":
			return &Response{Status: 200, Header: Header{{"A", "a\r\nb"}}}
		default:
			return &Response{Status: 304}
		}
	})
	conn, r := ts.dial(t)
	send(t, conn, "GET /unwritable HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, keepAlive := receive(t, r)
	require.Equal(t, 500, resp.Status)
	require.True(t, keepAlive)
	require.Equal(t, []string{"answering GET: message cannot be written: value of header field A"}, ts.reports())
	send(t, conn, "GET /304 HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, _ = receive(t, r)
	require.Equal(t, 304, resp.Status)
	send(t, conn, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n")
	requireEnd(t, r)
}

func TestServerHead(t *testing.T) {
	ts := newTestServer(t, &Server{}, func(*Request) *Response { return &Response{Status: 200, Body: []byte("abc")} })
	conn, r := ts.dial(t)
	send(t, conn, "HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", string(all))
}

func TestServerHTTP10(t *testing.T) {
	ts := newTestServer(t, &Server{}, echo)
	conn, r := ts.dial(t)
	send(t, conn, "POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc")
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 202 Accepted\r\nX-Seen: POST / \r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", string(all))
}

func TestServerExpect(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-Continue\r\n"
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	for _, tt := range []struct {
		name, head, body string
		continued        bool
		status           string
	}{
		{"body", "Content-Length: 3\r\n\r\n", "abc", true, "202"},
		{"chunked body", "Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", true, "202"},
		{"no body", "\r\n", "", false, "202"},
		{"empty body", "Content-Length: 0\r\n\r\n", "", false, "202"},
		{"large body", "Content-Length: 9999999\r\n\r\n", "", false, "413"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := newTestServer(t, &Server{}, echo)
			conn, r := ts.dial(t)
			send(t, conn, post+tt.head)
			if tt.continued {
				got := make([]byte, len(goOn))
				_, err := io.ReadFull(r, got)
				require.NoError(t, err)
				require.Equal(t, goOn, string(got))
				send(t, conn, tt.body)
			}
			resp, _, err := ReadResponse(r, "POST", Limits{})
			require.NoError(t, err)
			require.Equal(t, tt.status, strconv.Itoa(resp.Status))
		})
	}
}

func TestServerRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in, response, report string
	}{
		{
			name:     "garbage",
			in:       "\x00\x01\x02\r\n\r\n",
			response: "HTTP/1.1 400 Bad Request\r\n",
			report:   "reading a request: malformed message: request line",
		},
		{
			name:     "smuggling",
			in:       "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
			response: "HTTP/1.1 400 Bad Request\r\n",
			report:   "reading a request: malformed message: both Transfer-Encoding and Content-Length",
		},
		{
			name:     "long header",
			in:       "GET / HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 1<<20) + "\r\n\r\n",
			response: "HTTP/1.1 431 Request Header Fields Too Large\r\n",
			report:   "reading a request: header too large",
		},
		{
			name:     "coding",
			in:       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
			response: "HTTP/1.1 501 Not Implemented\r\n",
			report:   "reading a request: not supported: Transfer-Encoding other than chunked",
		},
		{
			name:     "version",
			in:       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			response: "HTTP/1.1 505 HTTP Version Not Supported\r\n",
			report:   "reading a request: protocol version not supported",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := newTestServer(t, &Server{}, echo)
			conn, r := ts.dial(t)
			send(t, conn, tt.in)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			all, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Truef(t, strings.HasPrefix(string(all), tt.response), "%s", all)
			require.Contains(t, string(all), "\r\nConnection: close\r\n")
			require.True(t, strings.HasSuffix(string(all), strings.TrimPrefix(tt.report, "reading a request: ")+"\n"))
			require.Equal(t, []string{tt.report}, ts.reports())
		})
	}
}

// A client that is still sending gets to read why it should not.
func TestServerRefusesLargeBody(t *testing.T) {
	ts := newTestServer(t, &Server{}, echo)
	for name, body := range map[string]io.Reader{
		"fixed length": strings.NewReader(strings.Repeat("a", 16<<20)),
		"chunked":      io.LimitReader(zeros{}, 16<<20),
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := newNetHTTPClient(t).Post("http://"+ts.address, "text/plain", body)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Requests that break off are nobody's to answer.
func TestServerBrokenRequests(t *testing.T) {
	ts := newTestServer(t, &Server{}, echo)
	for _, in := range []string{"", "\r\n", "GET", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab"} {
		conn, r := ts.dial(t)
		send(t, conn, in)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		requireEnd(t, r)
	}
	require.Empty(t, ts.reports())
}

func TestServerMakesRoom(t *testing.T) {
	p := newPoll()
	ts := newTestServer(t, &Server{MaxConns: 2}, p.handle)
	get := "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	first, firstReader := ts.dial(t)
	send(t, first, get)
	receive(t, firstReader)
	ts.waitIdle(t, 1)
	second, secondReader := ts.dial(t)
	send(t, second, get)
	receive(t, secondReader)
	ts.waitIdle(t, 2)
	send(t, first, get)
	receive(t, firstReader)
	ts.waitIdle(t, 2)

	// The second one has been idle for longer.
	third, thirdReader := ts.dial(t)
	send(t, third, pollRequest)
	<-p.begun
	requireEnd(t, secondReader)

	// Of those left, one is not idle.
	fourth, fourthReader := ts.dial(t)
	send(t, fourth, pollRequest)
	<-p.begun
	requireEnd(t, firstReader)

	// Now none is idle, and the fifth waits for the first to end.
	fifth, fifthReader := ts.dial(t)
	send(t, fifth, get)
	require.Eventually(t, func() bool { return !ts.wanted() }, 10*time.Second, time.Millisecond)
	p.proceed <- struct{}{}
	resp, _ := receive(t, fifthReader)
	require.Equal(t, 202, resp.Status)
	p.proceed <- struct{}{}
	kept := 0
	for _, r := range []*bufio.Reader{thirdReader, fourthReader} {
		if _, keepAlive := receive(t, r); keepAlive {
			kept++
		}
	}
	require.Equal(t, 1, kept)
}

// failingListener fails with what is in failures before each connection, or always if that is closed.
type failingListener struct {
	Listener
	failures chan error
}

func (l failingListener) Accept() (Conn, error) {
	select {
	case err, open := <-l.failures:
		if !open {
			err = io.ErrClosedPipe
		}
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

func TestServerAcceptFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := failingListener{Listener: netListener{l}, failures: make(chan error, 3)}
	for range 3 {
		failing.failures <- errors.New("too many open files")
	}
	reported := make(chan string, 10)
	s := &Server{Report: func(err error) { reported <- err.Error() }}
	served := make(chan error)
	go func() { served <- s.Serve(failing, echo) }()
	resp, err := newNetHTTPClient(t).Get("http://" + l.Addr().String())
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	require.NoError(t, s.Close())
	require.ErrorIs(t, <-served, ErrClosed)
	require.Equal(t, "accepting: too many open files", <-reported)
	require.Empty(t, reported, "one report for failures in a row")
}

// Close must not wait for what cannot come.
func TestServerCloseWhileAccepting(t *testing.T) {
	t.Run("failures", func(t *testing.T) {
		failures, reported := make(chan error), make(chan error, 1)
		close(failures)
		s := &Server{Report: func(err error) { reported <- err }}
		served := make(chan error)
		go func() { served <- s.Serve(failingListener{Listener: newPipeListener(), failures: failures}, echo) }()
		require.ErrorIs(t, <-reported, io.ErrClosedPipe)
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrClosed)
	})
	t.Run("no room", func(t *testing.T) {
		p := newPoll()
		ts := newTestServer(t, &Server{MaxConns: 1}, p.handle)
		conn, _ := ts.dial(t)
		send(t, conn, pollRequest)
		<-p.begun
		_, waiting := ts.dial(t)
		require.Eventually(t, func() bool { return !ts.wanted() }, 10*time.Second, time.Millisecond)
		require.NoError(t, ts.Close())
		_, err := waiting.ReadByte()
		require.Error(t, err)
	})
}

func TestBeginsRequest(t *testing.T) {
	for ahead, want := range map[string]bool{
		"G": true, "GET ": true, "GET /\x00": true, "\r": true, "\r\n": true, "\r\nGET": true, "\nGET": true,
		" ": false, "\r\n ": false, "\n\n": false, "\r\n\r\n": false, "GET\r\n": false, "\x16\x03": false, "{}": false,
		"\xff": false,
	} {
		require.Equalf(t, want, beginsRequest([]byte(ahead)), "%q", ahead)
	}
}

// pipeListener accepts connections in memory, for which synctest's clock holds.
type pipeListener struct {
	conns  chan Conn
	closed *signal
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan Conn), closed: newSignal()}
}

func (l *pipeListener) Accept() (Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed.ch:
		return nil, io.ErrClosedPipe
	}
}

func (l *pipeListener) Close() error {
	l.closed.fire()
	return nil
}

func (l *pipeListener) dial() (Conn, error) {
	here, there := net.Pipe()
	l.conns <- there
	return here, nil
}

func TestServerReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &Server{ReadTimeout: 10 * time.Second}
		served := make(chan error)
		go func() { served <- s.Serve(l, echo) }()
		conn, err := l.dial()
		require.NoError(t, err)
		r := bufio.NewReader(conn)

		// Neither the time between requests nor that of a request which comes in pieces, soon enough, ends it.
		for range 3 {
			time.Sleep(24 * time.Hour)
			for _, piece := range []string{"POST / HTTP/1.1\r\nHost: h\r\nContent-", "Length: 2\r\n\r\na", "b"} {
				time.Sleep(3 * time.Second)
				_, err = io.WriteString(conn, piece)
				require.NoError(t, err)
			}
			resp, keepAlive, err := ReadResponse(r, "POST", Limits{})
			require.NoError(t, err)
			require.True(t, keepAlive)
			require.Equal(t, 202, resp.Status)
		}

		start := time.Now()
		_, err = io.WriteString(conn, "P")
		require.NoError(t, err)
		requireEnd(t, r)
		require.Equal(t, 10*time.Second, time.Since(start))
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrClosed)
	})
}

func TestServerBoundsRequests(t *testing.T) {
	p := newPoll()
	ts := newTestServer(t, &Server{MaxRequests: 1}, p.handle)
	first, firstReader := ts.dial(t)
	send(t, first, pollRequest)
	<-p.begun
	second, secondReader := ts.dial(t)
	send(t, second, pollRequest)
	ts.waitIdle(t, 0)
	p.proceed <- struct{}{}
	receive(t, firstReader)
	<-p.begun
	require.Empty(t, p.begun)

	// Closing ends those that wait, too.
	send(t, first, pollRequest)
	ts.waitIdle(t, 0)
	require.NoError(t, ts.Close())
	for _, r := range []*bufio.Reader{firstReader, secondReader} {
		_, err := r.ReadByte()
		require.Error(t, err)
	}
}

// What a Server does not look at while handlers run, it sees after them.
func TestServerBrief(t *testing.T) {
	p := newPoll()
	ts := newTestServer(t, &Server{Brief: true}, p.handle)
	conn, r := ts.dial(t)
	send(t, conn, pollRequest+"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	<-p.begun
	p.proceed <- struct{}{}
	for _, status := range []int{200, 202} {
		resp, _ := receive(t, r)
		require.Equal(t, status, resp.Status)
	}
	requireEnd(t, r)
	require.Empty(t, p.gone)

	other, otherReader := ts.dial(t)
	send(t, other, pollRequest)
	<-p.begun
	require.NoError(t, ts.Close())
	require.Len(t, p.gone, 1, "Close ends handlers all the same")
	_, err := otherReader.ReadByte()
	require.Error(t, err)
}

func TestServerPassesOverExcess(t *testing.T) {
	handle := func(req *Request) *Response {
		return &Response{Status: 200, Body: fmt.Appendf(nil, "%d %v", len(req.Body), req.TooLarge)}
	}
	ts := newTestServer(t, &Server{Limits: Limits{BodyBytes: 10, ExcessBytes: 1 << 20}}, handle)
	client := newNetHTTPClient(t)
	for _, tt := range []struct {
		size   int
		answer string
		status int
	}{
		{size: 10, status: 200, answer: "10 false"},
		{size: 11, status: 200, answer: "0 true"},
		{size: 1<<20 + 10, status: 200, answer: "0 true"},
		{size: 1<<20 + 11, status: 413, answer: ErrBodyTooLarge.Error() + "\n"},
	} {
		for name, body := range map[string]io.Reader{
			"fixed length": strings.NewReader(strings.Repeat("a", tt.size)),
			"chunked":      io.LimitReader(zeros{}, int64(tt.size)),
			// Two chunks, of which the first fits.
			"in pieces": io.MultiReader(strings.NewReader("ab"), io.LimitReader(zeros{}, int64(tt.size-2))),
		} {
			resp, err := client.Post("http://"+ts.address, "text/plain", body)
			require.NoError(t, err)
			answer, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equalf(t, tt.status, resp.StatusCode, "%s of %d", name, tt.size)
			require.Equalf(t, tt.answer, string(answer), "%s of %d", name, tt.size)
		}
	}
}

func TestServerShutdown(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, tt := range map[string]struct {
		limit  time.Duration
		finish func(p *poll, polling, freshReader *bufio.Reader, fresh Conn)
		gone   int
	}{
		"requests under way are answered": {
			limit: time.Hour,
			finish: func(p *poll, polling, freshReader *bufio.Reader, fresh Conn) {
				p.proceed <- struct{}{}
				_, err := io.WriteString(fresh, get)
				require.NoError(t, err)
				for _, r := range []*bufio.Reader{polling, freshReader} {
					_, keepAlive := receive(t, r)
					require.False(t, keepAlive)
				}
			},
		},
		"until the time is over": {
			limit:  time.Minute,
			finish: func(*poll, *bufio.Reader, *bufio.Reader, Conn) { time.Sleep(2 * time.Minute) },
			gone:   1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, p, s := newPipeListener(), newPoll(), &Server{}
				served := make(chan error)
				go func() { served <- s.Serve(l, p.handle) }()
				dial := func(request string) (Conn, *bufio.Reader) {
					conn, err := l.dial()
					require.NoError(t, err)
					_, err = io.WriteString(conn, request)
					require.NoError(t, err)
					return conn, bufio.NewReader(conn)
				}
				_, idle := dial(get)
				receive(t, idle)
				_, polling := dial(pollRequest)
				<-p.begun
				fresh, freshReader := dial("")
				synctest.Wait()

				done := make(chan error)
				start := time.Now()
				go func() { done <- s.Shutdown(tt.limit) }()
				require.ErrorIs(t, <-served, ErrClosed)
				requireEnd(t, idle)
				tt.finish(p, polling, freshReader, fresh)
				require.NoError(t, <-done)
				require.LessOrEqual(t, time.Since(start), 2*time.Minute)
				require.Len(t, p.gone, tt.gone)
				requireEnd(t, polling)
				requireEnd(t, freshReader)
				require.NoError(t, s.Shutdown(0), "again")
			})
		})
	}
	require.NoError(t, (&Server{}).Shutdown(time.Hour), "without use")
}

func TestServerRefuse(t *testing.T) {
	var refused []error
	s := &Server{Limits: Limits{BodyBytes: 2, HeaderBytes: 200}, ReadTimeout: time.Minute, Refuse: func(err error) *Response {
		refused = append(refused, err)
		if errors.Is(err, ErrMalformed) {
			return nil
		}
		return &Response{Status: 299}
	}}
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		served := make(chan error)
		go func() { served <- s.Serve(l, echo) }()
		const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "
		for _, tt := range []struct {
			request string
			status  int
			err     error
		}{
			{request: post + "3\r\n\r\nabc", status: 299, err: ErrBodyTooLarge},
			{request: post + "2\r\n\r\na", status: 299, err: ErrIncomplete},
			{request: "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 200) + "\r\n\r\n", status: 299, err: ErrHeaderTooLarge},
			{request: post + "x\r\n\r\n", status: 400, err: ErrMalformed},
			{request: "POST / HTTP/1.1\r\nHost: h\r\nCont"}, // nobody can know what that was to be
		} {
			conn, err := l.dial()
			require.NoError(t, err)
			go func() { _, _ = io.WriteString(conn, tt.request) }()
			r := bufio.NewReader(conn)
			if tt.status != 0 {
				resp, keepAlive := receive(t, r)
				require.Equal(t, tt.status, resp.Status)
				require.False(t, keepAlive)
				require.ErrorIs(t, refused[len(refused)-1], tt.err)
			}
			requireEnd(t, r)
			require.NoError(t, conn.Close())
		}
		require.Len(t, refused, 4)
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrClosed)
	})
}

// lateListener accepts its only connection when it is closed.
type lateListener struct {
	*pipeListener
	conn Conn
}

func (l *lateListener) Accept() (Conn, error) {
	<-l.closed.ch
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	return nil, io.ErrClosedPipe
}

func TestServerShutdownServesWhatIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		s := &Server{}
		served := make(chan error, 1)
		go func() { served <- s.Serve(&lateListener{newPipeListener(), there}, echo) }()
		go func() { _, _ = io.WriteString(here, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") }()
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(time.Minute) }()
		resp, _ := receive(t, bufio.NewReader(here))
		require.Equal(t, 202, resp.Status)
		require.NoError(t, <-done)
		require.ErrorIs(t, <-served, ErrClosed)
	})
}

// A connection that becomes idle during Shutdown does not keep it waiting.
func TestServerShutdownWhileAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := newPipeListener(), &Server{}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l, echo) }()
		conn, err := l.dial()
		require.NoError(t, err)
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		require.NoError(t, err)
		synctest.Wait() // until the answer is read
		start := time.Now()
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(time.Minute) }()
		synctest.Wait()
		r := bufio.NewReader(conn)
		receive(t, r)
		requireEnd(t, r)
		require.NoError(t, <-done)
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, <-served, ErrClosed)
	})
}

// An environment may be frozen for hours in a long poll, between two requests, and in the middle of one.
func TestHoursPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &Server{}
		served := make(chan error)
		go func() {
			served <- s.Serve(l, func(req *Request) *Response {
				select {
				case <-time.After(24 * time.Hour):
					return echo(req)
				case <-req.Done:
					return nil
				}
			})
		}()
		dialed := 0
		c := &Client{Dial: func() (Conn, error) {
			dialed++
			return l.dial()
		}}
		for range 3 {
			resp, err := c.Do(time.Time{}, &Request{Method: "POST", Target: "/", Body: []byte("abc")})
			require.NoError(t, err)
			require.Equal(t, "abc", string(resp.Body))
			time.Sleep(24 * time.Hour)
		}
		require.Equal(t, 1, dialed)

		// A deadline ends the request for the handler, too.
		start := time.Now()
		_, err := c.Do(start.Add(time.Hour), &Request{Method: "POST", Target: "/"})
		require.ErrorIs(t, err, ErrDeadline)
		require.Equal(t, time.Hour, time.Since(start))
		synctest.Wait()
		require.Empty(t, s.conns)

		// A request that comes in slowly.
		conn, err := l.dial()
		require.NoError(t, err)
		for _, b := range []byte("GET / HTTP/1.1\r\nHost:\r\n\r\n") {
			_, err := conn.Write([]byte{b})
			require.NoError(t, err)
			time.Sleep(time.Hour)
		}
		resp, keepAlive, err := ReadResponse(bufio.NewReader(conn), "GET", Limits{})
		require.NoError(t, err)
		require.Equal(t, 202, resp.Status)
		require.True(t, keepAlive)

		require.NoError(t, conn.Close())
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrClosed)
	})
}
