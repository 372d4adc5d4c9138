// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func startTap(t *testing.T, target string) *Tap {
	t.Helper()
	tap := NewTap(TapOptions{Target: target})
	require.NoError(t, tap.Start(testContext(t)))
	t.Cleanup(func() { require.NoError(t, tap.Close()) })
	return tap
}

func TestTapRecordsWhatWasAccepted(t *testing.T) {
	s := startSink(t, "status=503,first=1;reset,first=1")
	tap := startTap(t, s.HTTPEndpoint())
	send := httpSender(t, tap.Endpoint())

	require.EqualError(t, send(testContext(t), 1, 2), "Service Unavailable")
	require.ErrorIs(t, send(testContext(t), 1, 2), syscall.ECONNRESET)
	require.Empty(t, tap.Identities())
	require.NoError(t, send(testContext(t), 1, 2))
	require.Len(t, tap.Spans(), 2, "on record before the client has its answer")

	client := httpClient(t)
	for path, request := range map[string]codec{
		"/v1/metrics": metricsRequest(someMetrics(3)), "/v1/logs": logsRequest(someLogs(4)),
	} {
		for _, encoding := range []string{"gzip", "zstd", ""} {
			got, err := post(testContext(t), client, tap.Endpoint()+path,
				compressed(t, encoding, body(t, request, contentJSON)),
				"Content-Type", contentJSON, "Content-Encoding", encoding)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.status)
		}
	}
	require.Equal(t, s.Identities(), tap.Identities())
	require.Len(t, tap.Identities(), 2+3+4)
	require.Equal(t, map[Outcome]int{OutcomeRefused: 1, OutcomeBroken: 1, OutcomeAccepted: 7}, tap.Counts().Requests)
	require.Equal(t, http.StatusServiceUnavailable, tap.Requests()[0].Status)
}

// TestTapChangesNothing compares the bytes of requests and answers with and without a tap.
func TestTapChangesNothing(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		var b strings.Builder
		_, _ = io.WriteString(&b, r.Method+" "+r.RequestURI+" "+r.Host+"\n"+strings.Join(r.TransferEncoding, ",")+"\n")
		_ = r.Header.Write(&b)
		b.Write(content)
		if err != nil {
			b.WriteString(err.Error())
		}
		seen = append(seen, b.String())
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Date", "Thu, 01 Oct 2026 00:00:00 GMT")
		w.Header().Set("X-Backend", "yes")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("not gzip at all"))
	}))
	defer backend.Close()
	tap := startTap(t, backend.URL)

	for name, request := range map[string]string{
		"length": "POST /v1/traces?a=1;b=2 HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\nContent-Type: x/y\r\n" +
			"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=5.6.7.8\r\nX-Custom: a\r\nX-Custom: b\r\n\r\nabc",
		"chunked": "POST /v1/logs HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\nUser-Agent: x\r\n\r\n" +
			"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
		"empty": "POST /v1/metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n",
		"other": "GET /health HTTP/1.1\r\nHost: here\r\nAccept-Encoding: br\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			mu.Lock()
			seen = nil
			mu.Unlock()
			direct := rawExchange(t, backend.URL, request)
			tapped := rawExchange(t, tap.Endpoint(), request)
			require.Equal(t, direct, tapped)
			mu.Lock()
			defer mu.Unlock()
			require.Len(t, seen, 2)
			require.Equal(t, seen[0], seen[1])
		})
	}
}

// rawExchange sends bytes and returns the answer, head and body.
func rawExchange(t *testing.T, base, request string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(testContext(t), "tcp", base[len("http://"):])
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	content, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	var b strings.Builder
	_, _ = io.WriteString(&b, resp.Status+"\n")
	require.NoError(t, resp.Header.Write(&b))
	return b.String() + string(content)
}

func TestTapStreamsTheBody(t *testing.T) {
	first := make(chan string)
	finish := make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		first <- string(b)
		<-finish
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer backend.Close()
	tap := startTap(t, backend.URL)

	reader, writer := io.Pipe()
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPost, tap.Endpoint()+"/v1/traces", reader)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := httpClient(t).Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	_, err = io.WriteString(writer, "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", <-first, "the beginning is there before the end was written")
	close(finish)
	require.NoError(t, writer.Close())
	require.NoError(t, <-done)
}

func TestTapPassesFailuresOn(t *testing.T) {
	for action, want := range map[string]error{
		"close": io.EOF, "reset": syscall.ECONNRESET, "ack_lost": syscall.ECONNRESET, "refuse": syscall.ECONNRESET,
	} {
		t.Run(action, func(t *testing.T) {
			s := startSink(t, action)
			tap := startTap(t, s.HTTPEndpoint())
			require.ErrorIs(t, httpSender(t, tap.Endpoint())(testContext(t), 1, 1), want)
			require.Equal(t, map[Outcome]int{OutcomeBroken: 1}, tap.Counts().Requests)
			require.NotEmpty(t, tap.Requests()[0].Err)
			require.Empty(t, tap.Spans())
		})
	}
	t.Run("hang", func(t *testing.T) {
		s := startSink(t, "hang")
		tap := startTap(t, s.HTTPEndpoint())
		require.ErrorIs(t, httpSender(t, tap.Endpoint())(untilHeld(t, s), 1, 1), context.Canceled)
		require.NoError(t, tap.WaitFor(testContext(t), func(t *Tap) bool {
			return t.Counts().Requests[OutcomeAbandoned] == 1
		}))
		require.NoError(t, s.WaitFor(testContext(t), func(s *Sink) bool {
			return s.Counts().Requests[OutcomeAbandoned] == 1
		}), "the collector sees the client go")
	})
}

func TestTapSurvivesARestartOfItsTarget(t *testing.T) {
	s := startSink(t, "")
	tap := startTap(t, s.HTTPEndpoint())
	send := httpSender(t, tap.Endpoint())
	for i := range 20 {
		// As without a tap, a request may run into the end of the old connection.
		require.NoError(t, eventually(t, func() error { return send(testContext(t), i, 1) }))
		setFaults(t, s, "refuse")
		setFaults(t, s, "")
	}
	require.Len(t, tap.Spans(), 20)
}

func TestTapNotesWhatItCannotRead(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer backend.Close()
	tap := startTap(t, backend.URL)
	got, err := post(testContext(t), httpClient(t), tap.Endpoint()+"/v1/traces", []byte("garbage"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.status)
	r := tap.Requests()[0]
	require.Equal(t, OutcomeInvalid, r.Outcome)
	require.Equal(t, http.StatusOK, r.Status)
	require.NotEmpty(t, r.Err)
}

func TestTapLifecycle(t *testing.T) {
	require.NoError(t, NewTap(TapOptions{}).Close())
	require.ErrorContains(t, NewTap(TapOptions{}).Start(testContext(t)), `target "" is not a URL`)
	require.ErrorContains(t, NewTap(TapOptions{Target: "127.0.0.1:4318"}).Start(testContext(t)), "tap: target")

	tap := startTap(t, "http://127.0.0.1:1")
	require.ErrorContains(t, tap.Start(testContext(t)), "started already")
	taken := NewTap(TapOptions{Addr: tap.Endpoint()[len("http://"):], Target: "http://127.0.0.1:1"})
	require.Error(t, taken.Start(testContext(t)))
	require.NoError(t, tap.Close())
	require.NoError(t, tap.Close())

	ctx, cancel := context.WithCancelCause(testContext(t))
	stop := errors.New("enough")
	cancel(stop)
	require.ErrorIs(t, tap.WaitFor(ctx, func(*Tap) bool { return false }), stop)
}

func TestTapClosesWithRequestsInHand(t *testing.T) {
	s := startSink(t, "hang")
	tap := startTap(t, s.HTTPEndpoint())
	done := sendAndHang(t, s, httpSender(t, tap.Endpoint()), true)
	require.NoError(t, tap.Close())
	require.Error(t, <-done)
	require.Equal(t, map[Outcome]int{OutcomeAbandoned: 1}, tap.Counts().Requests)
}
