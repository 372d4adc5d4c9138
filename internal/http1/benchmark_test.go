// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nextResponse is what AWS Lambda Extensions API answers to /extension/event/next.
const nextResponse = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" +
	"Lambda-Extension-Event-Identifier: 3da1f2dc-3222-475e-9205-e2e6c6318895\r\n" +
	"Date: Thu, 20 Aug 2026 10:00:00 GMT\r\nContent-Length: 132\r\n\r\n"

var nextBody = strings.Repeat(`{"eventType":"INVOKE","tracing":1}`, 4)[:132]

func BenchmarkReadRequest(b *testing.B) {
	in := strings.NewReader("")
	r := bufio.NewReader(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(fuzzRequests[2])
		r.Reset(in)
		req, keepAlive, err := ReadRequest(r, Limits{})
		if err != nil || !keepAlive || len(req.Header) != 3 {
			b.Fatal(req, err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	in := strings.NewReader("")
	r := bufio.NewReader(in)
	b.ReportAllocs()
	for b.Loop() {
		in.Reset(nextResponse + nextBody)
		r.Reset(in)
		resp, keepAlive, err := ReadResponse(r, "GET", Limits{})
		if err != nil || !keepAlive || len(resp.Body) != len(nextBody) {
			b.Fatal(resp, err)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	resp, _, err := ReadResponse(bufio.NewReader(strings.NewReader(nextResponse+nextBody)), "GET", Limits{})
	require.NoError(b, err)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = AppendResponse(buf[:0], resp, true); err != nil || len(buf) < len(nextBody) {
			b.Fatal(err)
		}
	}
}

// BenchmarkExchange is a request and its response over loopback, both sides.
func BenchmarkExchange(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := &Server{}
	served := make(chan error)
	body := []byte(nextBody)
	go func() {
		served <- s.Serve(netListener{l}, func(*Request) *Response { return &Response{Status: 200, Body: body} })
	}()
	c := &Client{Dial: func() (Conn, error) { return net.Dial("tcp", l.Addr().String()) }, Host: "h"}
	req := &Request{Method: "GET", Target: "/2020-01-01/extension/event/next"}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Do(time.Time{}, req)
		if err != nil || len(resp.Body) != len(body) {
			b.Fatal(resp, err)
		}
	}
	b.StopTimer()
	require.NoError(b, c.Close())
	require.NoError(b, s.Close())
	require.ErrorIs(b, <-served, ErrClosed)
}
