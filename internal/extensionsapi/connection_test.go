// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
)

func TestOneConnection(t *testing.T) {
	p := newPoller()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/event/next") {
			p.ServeHTTP(w, r)
			return
		}
		w.Header().Set(headerIdentifier, testID)
	}))
	var connections atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s, err := NewClient(server.Listener.Addr().String()).Register(t.Context(), "otelcol-lambda", Events(""))
	require.NoError(t, err)
	t.Cleanup(s.Close)

	other := &http1.Request{Method: http.MethodPut, Target: "/2022-07-01/telemetry", Body: []byte("{}")}
	for range 3 {
		resp, err := s.Do(t.Context(), other)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.Status)
		go func() { p.answers <- `{"eventType":"INVOKE"}` }()
		_, err = s.Next(t.Context())
		require.NoError(t, err)
		<-p.arrived
	}
	require.EqualValues(t, 1, connections.Load())

	asked := make(chan error, 1)
	go func() {
		_, err := s.Next(t.Context())
		asked <- err
	}()
	<-p.arrived
	_, err = s.Do(t.Context(), other)
	require.NoError(t, err)
	require.EqualValues(t, 2, connections.Load(), "Next has the first one")
	p.answers <- `{"eventType":"SHUTDOWN"}`
	require.NoError(t, <-asked)
	_, err = s.Do(t.Context(), other)
	require.NoError(t, err)
	require.EqualValues(t, 2, connections.Load())
}

// Without a guard the address may be a name.
func TestNames(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(headerIdentifier, testID)
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	s, err := NewClient(net.JoinHostPort("localhost", port)).Register(t.Context(), "otelcol-lambda", Events(""))
	require.NoError(t, err)
	s.Close()
}

// A server closes kept connections whenever it likes, also at the moment when the next request comes.
func TestConnectionsThatAreClosed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var connections atomic.Int32
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			serving.Go(func() { answerOnce(conn) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		serving.Wait()
	})
	s, err := NewClient(l.Addr().String()).Register(t.Context(), "otelcol-lambda", Events(""))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for asked := range int32(3) {
		event, err := s.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, EventInvoke, event.Type)
		require.Equal(t, 2+asked, connections.Load())
	}
	err = s.InitError(t.Context(), "Extension.ConfigInvalid", "")
	require.ErrorContains(t, err, "POST /2020-01-01/extension/init/error")
	require.EqualValues(t, 4, connections.Load(), "what may have arrived is not said again")
}

// answerOnce answers one request, and closes the connection with the first byte of another one, or with the client.
func answerOnce(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, request.Body)
	const body = `{"eventType":"INVOKE"}`
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+headerIdentifier+": "+testID+"\r\nContent-Length: "+
		strconv.Itoa(len(body))+"\r\n\r\n"+body); err == nil {
		_, _ = reader.ReadByte()
	}
}

func TestAnswersAreBounded(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(headerIdentifier, testID)
		_, _ = io.WriteString(w, strings.Repeat(" ", 2<<20))
	})
	_, err := c.Register(t.Context(), "otelcol-lambda", Events(""))
	require.ErrorIs(t, err, http1.ErrBodyTooLarge)
}
