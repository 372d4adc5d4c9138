// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package extensionsapi

import (
	"bytes"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted is the address of a server that answers the registration and then nothing but events. It allocates nothing
// for an event, so that a benchmark counts what the client takes.
func scripted(tb testing.TB) string {
	tb.Helper()
	const event = `{"eventType":"INVOKE","deadlineMs":1775516174092,"requestId":"3da1f2dc-3222-475e-9205-e2e6c6318895",` +
		`"invokedFunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:checkout:prod",` +
		`"tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Sampled=1"}}`
	next := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" +
		"Lambda-Extension-Event-Identifier: 3da1f2dc-3222-475e-9205-e2e6c6318895\r\n" +
		"Date: Thu, 20 Aug 2026 10:00:00 GMT\r\nContent-Length: " + strconv.Itoa(len(event)) + "\r\n\r\n" + event)
	registered := []byte("HTTP/1.1 200 OK\r\n" + headerIdentifier + ": " + testID + "\r\nContent-Length: 2\r\n\r\n{}")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		answer, request := registered, make([]byte, 4096)
		for n := 0; ; {
			read, err := conn.Read(request[n:])
			if err != nil {
				return
			}
			n += read
			if head, body, ok := bytes.Cut(request[:n], []byte("\r\n\r\n")); !ok || bytes.HasPrefix(head, []byte("POST")) && len(body) == 0 {
				continue
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
			answer, n = next, 0
		}
	}()
	tb.Cleanup(func() {
		require.NoError(tb, l.Close())
		<-served
	})
	return l.Addr().String()
}

// BenchmarkNext is what an invocation takes of this package.
func BenchmarkNext(b *testing.B) {
	s, err := NewClient(scripted(b)).Register(b.Context(), "otelcol-lambda", Events(""))
	require.NoError(b, err)
	b.Cleanup(s.Close)
	b.ReportAllocs()
	for b.Loop() {
		if event, err := s.Next(b.Context()); err != nil || event.Type != EventInvoke {
			b.Fatal(event, err)
		}
	}
}
