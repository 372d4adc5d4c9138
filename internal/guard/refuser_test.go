// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// anyPort is for a listener that is in nobody's way.
const anyPort = "127.0.0.1:0"

// refusing is a refuser that listens, and what it says.
type refusing struct {
	*refuser
	address string

	saidMu sync.Mutex
	said   []string
}

func newRefusing(t *testing.T) *refusing {
	t.Helper()
	return newRefusingFor(t, leaveTime)
}

// newRefusingFor gives clients another time to leave.
func newRefusingFor(t *testing.T, leaveTime time.Duration) *refusing {
	t.Helper()
	r := &refusing{}
	r.refuser = newRefuser(r.note)
	r.leaveTime = leaveTime
	t.Cleanup(r.close)
	r.listen([]string{anyPort})
	r.address = r.listeners[anyPort].Address()
	return r
}

func (r *refusing) note(l level, message string, _ ...field) {
	r.saidMu.Lock()
	defer r.saidMu.Unlock()
	r.said = append(r.said, string(l)+": "+message)
}

func (r *refusing) heard() []string {
	r.saidMu.Lock()
	defer r.saidMu.Unlock()
	return slices.Clone(r.said)
}

// left is how many connections have made room and are still there.
func (r *refusing) left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.leaving)
}

// served is how many connections there are.
func (r *refusing) served() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

func (r *refusing) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// answer is a response of which everything has been read.
type answer struct {
	http.Response
	body string
}

// post sends a body and returns the answer.
func (r *refusing) post(t *testing.T, client *http.Client, contentType string, body io.Reader, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address+"/v1/traces", body)
	require.NoError(t, err)
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", contentType)
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{*resp, string(content)}
}

func newHTTPClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{ExpectContinueTimeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// large is more than what would be kept of a body, and than a window of HTTP/2.
const large = 3 << 20

func TestRefuserHTTP1(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	client := newHTTPClient(t)
	requests := 0
	for contentType, text := range map[string]func(body string) string{
		"application/x-protobuf": func(body string) string {
			var s statuspb.Status
			require.NoError(t, proto.Unmarshal([]byte(body), &s))
			return s.Message
		},
		"application/json": func(body string) string {
			var s struct{ Message string }
			require.NoError(t, json.Unmarshal([]byte(body), &s))
			return s.Message
		},
		"text/plain; charset=utf-8": func(body string) string { return strings.TrimSuffix(body, "\n") },
	} {
		for name, body := range map[string]func() io.Reader{
			"small":             func() io.Reader { return strings.NewReader("x") },
			"large":             func() io.Reader { return bytes.NewReader(make([]byte, large)) },
			"of unknown length": func() io.Reader { return io.LimitReader(neverending{}, large) },
			"none":              func() io.Reader { return http.NoBody },
		} {
			for _, header := range []http.Header{nil, {"Expect": {"100-continue"}}, {"Content-Encoding": {"gzip"}}} {
				resp := r.post(t, client, contentType, body(), header)
				requests++
				require.Equal(t, http.StatusNotFound, resp.StatusCode, name)
				require.Equal(t, contentType, resp.Header.Get("Content-Type"))
				require.Equal(t, refusalText, text(resp.body))
				require.True(t, resp.Close, "no connection is left that the function might use in vain")
			}
		}
	}
	resp := r.post(t, client, "application/octet-stream", http.NoBody, nil)
	require.Equal(t, "text/plain; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, refusalText+"\n", resp.body)
	require.Equal(t, int64(requests+1), r.requests.Load())
	require.Empty(t, r.heard())
}

// neverending is a body.
type neverending struct{}

func (neverending) Read(p []byte) (int, error) { return len(p), nil }

// net/http speaks HTTP/2 of its own, apart from gRPC's.
func TestRefuserHTTP2(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport}
	const requests = 50
	for range requests {
		resp := r.post(t, client, "application/grpc", bytes.NewReader(make([]byte, large)), nil)
		require.Equal(t, 2, resp.ProtoMajor)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		require.Empty(t, resp.body)
		require.Equal(t, http.Header{
			"Content-Type": {"application/grpc"}, "Grpc-Status": {"12"}, "Grpc-Message": {refusalText},
		}, resp.Header)
	}
	require.Equal(t, int64(requests), r.requests.Load())
	require.Equal(t, 1, r.served(), "they share a connection")
	require.Eventually(t, func() bool {
		transport.CloseIdleConnections() // which one is that has sent the bodies, too
		return r.served() == 0
	}, patience, time.Millisecond)
}

func newGRPCClient(t *testing.T, address string, options ...grpc.DialOption) ptraceotlp.GRPCClient {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(address, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return ptraceotlp.NewGRPCClient(conn)
}

// traces are an export of about the size.
func traces(size int) ptraceotlp.ExportRequest {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(strings.Repeat("x", size))
	return ptraceotlp.NewExportRequestFromTraces(td)
}

func requireRefused(t *testing.T, err error) {
	t.Helper()
	require.Equal(t, codes.Unimplemented, status.Code(err), err)
	require.Equal(t, refusalText, status.Convert(err).Message())
}

func TestRefuserGRPC(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	client := newGRPCClient(t, r.address)
	// More streams than fit into the window of the connection.
	const exports = 100
	errs := make(chan error, exports)
	for n := range exports {
		go func() {
			_, err := client.Export(t.Context(), traces(n%2*large))
			errs <- err
		}()
	}
	for range exports {
		requireRefused(t, <-errs)
	}
	require.Equal(t, int64(exports), r.requests.Load())
	require.Equal(t, 1, r.served())
}

// A function of many processes has more connections than are kept.
func TestRefuserMakesRoom(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	var clients []ptraceotlp.GRPCClient
	for range 2 * maxRefused {
		clients = append(clients, newGRPCClient(t, r.address))
	}
	for range 2 {
		for _, client := range clients {
			_, err := client.Export(t.Context(), traces(1), grpc.WaitForReady(true))
			requireRefused(t, err)
			require.LessOrEqual(t, r.served(), maxRefused)
		}
	}
	resp := r.post(t, newHTTPClient(t), typeJSON, strings.NewReader("{}"), nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, int64(4*maxRefused+1), r.requests.Load())
}

// inattentive is a client that notices what comes in only while it is not locked.
type inattentive struct {
	sync.RWMutex
	sent chan []byte
}

// dial is for grpc.WithContextDialer.
func (i *inattentive) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	return &inattentiveConn{Conn: conn, client: i}, err
}

type inattentiveConn struct {
	net.Conn
	client *inattentive
}

func (c *inattentiveConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.client.RLock()
	defer c.client.RUnlock()
	return n, err
}

func (c *inattentiveConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.client.sent <- bytes.Clone(p)
	return n, err
}

// A client may send a request before it knows that its connection had to make room. Nobody is to hear of that.
func TestRefuserMakesRoomDuringARequest(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	client := &inattentive{sent: make(chan []byte, 1000)}
	late := newGRPCClient(t, r.address, grpc.WithContextDialer(client.dial))
	_, err := late.Export(t.Context(), traces(1))
	requireRefused(t, err)

	client.Lock()
	for range maxRefused {
		_, err := newGRPCClient(t, r.address).Export(t.Context(), traces(1))
		requireRefused(t, err)
	}
	const size = 1000
	result := make(chan error, 1)
	go func() {
		_, err := late.Export(t.Context(), traces(size))
		result <- err
	}()
	for !bytes.Contains(<-client.sent, bytes.Repeat([]byte("x"), size)) {
		require.Empty(t, result)
	}
	client.Unlock()
	requireRefused(t, <-result)
	require.Equal(t, int64(1+maxRefused+1), r.requests.Load(), "one answer for each")
}

// greet opens a connection of HTTP/2.
func (r *refusing) greet(t *testing.T) net.Conn {
	t.Helper()
	conn := r.dial(t)
	_, err := io.WriteString(conn, http2Preface)
	require.NoError(t, err)
	return conn
}

// requireServed waits until a connection that greet has opened is served.
func requireServed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.ReadFull(conn, make([]byte, frameHeaderBytes+len(openWindow)))
	require.NoError(t, err)
}

// A client that goes on sending must not have the connection reset before it reads why.
func TestRefuserWaitsForClientsToLeave(t *testing.T) {
	t.Parallel()
	r := newRefusingFor(t, patience)
	var conns []net.Conn
	for range 2 * maxRefused {
		conn := r.greet(t)
		requireServed(t, conn)
		conns = append(conns, conn)
	}
	want := frames(sent{kind: frameGoAway, payload: strings.Repeat("\x00", 8)})
	for n := range maxRefused {
		got := make([]byte, len(want))
		_, err := io.ReadFull(conns[n], got)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		for range 10 {
			_, err := io.WriteString(conns[n], frames(sent{frameHeaders, flagEndHeaders, 1, "h"}))
			require.NoError(t, err, "not reset")
		}
	}

	var more []net.Conn
	for range maxRefused {
		more = append(more, r.greet(t))
	}
	for n, conn := range more {
		require.LessOrEqual(t, r.left(), maxRefused)
		require.NoError(t, conns[n].Close())
		requireServed(t, conn)
		require.Zero(t, r.requests.Load(), "they were told to send it elsewhere")
		require.LessOrEqual(t, r.served(), maxRefused)
	}
}

func TestRefuserClosesWhatDoesNotLeave(t *testing.T) {
	t.Parallel()
	r := newRefusingFor(t, time.Millisecond)
	var conns []net.Conn
	for range 4 * maxRefused {
		conn := r.greet(t)
		requireServed(t, conn)
		conns = append(conns, conn)
	}
	for _, conn := range conns[:3*maxRefused] {
		_, err := io.ReadAll(conn)
		require.NoError(t, err)
	}
	require.Equal(t, maxRefused, r.served())
}

// Connections over which nothing comes have a place until their time is over, or until somebody gives one up.
func TestRefuserWaitsForRoom(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	var conns []net.Conn
	for range maxRefused {
		conns = append(conns, r.dial(t))
	}
	require.Eventually(t, func() bool { return r.served() == maxRefused }, patience, time.Millisecond)
	one := r.dial(t)
	_, err := io.WriteString(one, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	require.NoError(t, err)
	require.NoError(t, conns[0].Close())
	answer, err := io.ReadAll(one)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 404 Not Found\r\n")

	// What turns out to be HTTP/2 may make room itself.
	one = r.dial(t)
	two := r.dial(t)
	for _, conn := range []net.Conn{two, one} {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		require.NoError(t, err)
	}
	_, err = io.WriteString(conns[1], http2Preface)
	require.NoError(t, err)
	for _, conn := range []net.Conn{one, two} {
		answer, err = io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(answer), "HTTP/1.1 404 Not Found\r\n")
	}
}

// What is no request is nobody's to answer, nor counted.
func TestRefuserMalformed(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	for _, in := range []string{
		"", "P", "PRI", "PRI * HTTP/2.0\r\n\r\nsm\r\n\r\n", "PRIORITY / HTTP/1.1\r\n\r\nabcdefgh",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", http2Preface + "garbage garbage garbage",
	} {
		conn := r.dial(t).(*net.TCPConn)
		_, err := io.WriteString(conn, in)
		require.NoError(t, err)
		require.NoError(t, conn.CloseWrite())
		out, _ := io.ReadAll(conn) // it may be reset
		require.NotContains(t, string(out), "HTTP/1.1")
	}
	require.Eventually(t, func() bool { return r.served() == 0 }, patience, time.Millisecond)
	require.Zero(t, r.requests.Load())
	require.Empty(t, r.heard())
}

func TestRefuserWhereSomebodyListens(t *testing.T) {
	t.Parallel()
	other, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", anyPort)
	require.NoError(t, err)
	defer other.Close()
	r := newRefusing(t)
	addresses := []string{anyPort, other.Addr().String()}
	r.listen(addresses)
	require.Equal(t, []string{"debug: The guard cannot refuse what the function sends to the collector"}, r.heard())
	require.Len(t, r.listeners, 1)
	r.listen([]string{"192.0.2.1:4318"})
	require.Contains(t, r.heard()[1], "warn: ")

	require.NoError(t, other.Close())
	r.listen(addresses)
	require.Len(t, r.heard(), 2)
	require.Len(t, r.listeners, 2)
	r.address = addresses[1]
	resp := r.post(t, newHTTPClient(t), typeJSON, strings.NewReader("{}"), nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestRefuserCloses(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	silent, idle := r.dial(t), r.greet(t)
	requireServed(t, idle)
	require.Eventually(t, func() bool { return r.served() == 2 }, patience, time.Millisecond)
	r.close()
	for _, conn := range []net.Conn{silent, idle} {
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
	// Its port may be another test's by now, so it is not asked for.
	_, err := r.listeners[anyPort].Accept()
	require.ErrorIs(t, err, os.ErrClosed)
	r.listen([]string{"127.0.0.1:0 again"})
	require.Empty(t, r.heard(), "it is over")
	r.close()
}

func TestRefuserSaysOfAFaultOnce(t *testing.T) {
	t.Parallel()
	r := newRefusing(t)
	for range 3 {
		r.safely(func() { panic("a reason") })
	}
	require.Equal(t, []string{"error: The guard of the collector has a fault"}, r.heard())
}
