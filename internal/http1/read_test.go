// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// testLimits are small enough to be reached by readable cases.
var testLimits = Limits{HeaderFields: 5, HeaderBytes: 200, BodyBytes: 20}

// readers returns s as it may come in: at once, and byte by byte into the smallest buffer.
func readers(s string) map[string]*bufio.Reader {
	return map[string]*bufio.Reader{
		"at once":      bufio.NewReader(strings.NewReader(s)),
		"byte by byte": bufio.NewReaderSize(iotest.OneByteReader(strings.NewReader(s)), 16),
	}
}

func TestReadRequest(t *testing.T) {
	host := Field{"Host", "h"}
	for _, tt := range []struct {
		name      string
		in        string
		want      *Request
		keepAlive bool
		// rest is what remains unread.
		rest string
	}{
		{
			name:      "no body",
			in:        "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\nGET",
			want:      &Request{Method: "GET", Target: "/a?b=c", Header: Header{host}},
			keepAlive: true,
			rest:      "GET",
		},
		{
			name:      "fixed length",
			in:        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcd",
			want:      &Request{Method: "POST", Target: "/", Header: Header{host, {"Content-Length", "3"}}, Body: []byte("abc")},
			keepAlive: true,
			rest:      "d",
		},
		{
			name: "length zero with zeros before it",
			in:   "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 000000000000000000000000\r\n\r\nd",
			want: &Request{Method: "POST", Target: "/", Header: Header{
				host, {"Content-Length", "000000000000000000000000"},
			}},
			keepAlive: true,
			rest:      "d",
		},
		{
			name: "chunks with extensions and trailers",
			in: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n" +
				"3\r\nabc\r\n000A;x=\"y;z\" ;q\r\n0123456789\r\n1 \t\r\nA\r\n00;last\r\nX-Trailer: 1\r\nY:\r\n\r\nd",
			want: &Request{
				Method: "POST", Target: "/", Header: Header{host, {"Transfer-Encoding", "Chunked"}},
				Body: []byte("abc0123456789A"),
			},
			keepAlive: true,
			rest:      "d",
		},
		{
			name:      "no chunk",
			in:        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			want:      &Request{Method: "POST", Target: "/", Header: Header{host, {"Transfer-Encoding", "chunked"}}},
			keepAlive: true,
		},
		{
			name:      "largest body and header",
			in:        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\nX: " + strings.Repeat("x", 144) + "\r\n\r\n01234567890123456789",
			keepAlive: true,
			want: &Request{
				Method: "PUT", Target: "/",
				Header: Header{host, {"Content-Length", "20"}, {"X", strings.Repeat("x", 144)}},
				Body:   []byte("01234567890123456789"),
			},
		},
		{
			name:      "whitespace around values, empty and odd values, bare LF",
			in:        "GET / HTTP/1.1\nHost:h\r\nA: \t b  c\t \r\nB:\nC: \x80\xff,:\"\r\nc:2\n\n",
			want:      &Request{Method: "GET", Target: "/", Header: Header{host, {"A", "b  c"}, {"B", ""}, {"C", "\x80\xff,:\""}, {"c", "2"}}},
			keepAlive: true,
		},
		{
			name:      "empty line before",
			in:        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
			want:      &Request{Method: "GET", Target: "/", Header: Header{host}},
			keepAlive: true,
		},
		{
			name: "connection to be closed",
			in:   "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n",
			want: &Request{Method: "GET", Target: "/", Header: Header{host, {"Connection", "x, Close"}}},
		},
		{
			name: "HTTP/1.0",
			in:   "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
			want: &Request{
				Method: "POST", Target: "/", Header: Header{{"Connection", "keep-alive"}, {"Content-Length", "1"}},
				Body: []byte("x"),
			},
		},
		{
			name:      "later minor version",
			in:        "GET / HTTP/1.9\r\nHost:\r\n\r\n",
			want:      &Request{Method: "GET", Target: "/", Header: Header{{"Host", ""}}},
			keepAlive: true,
		},
		{
			name:      "absolute target",
			in:        "GET HTTP://127.0.0.1:9001/2020-01-01/extension/event/next?a HTTP/1.1\r\nX: 1\r\nHost: other\r\n\r\n",
			want:      &Request{Method: "GET", Target: "/2020-01-01/extension/event/next?a", Header: Header{{"X", "1"}, {"Host", "127.0.0.1:9001"}}},
			keepAlive: true,
		},
		{
			name: "absolute target without path, no host field",
			in:   "GET https://[::1]?a/b HTTP/1.0\r\n\r\n",
			want: &Request{Method: "GET", Target: "/?a/b", Header: Header{{"Host", "[::1]"}}},
		},
		{
			name:      "options of the server",
			in:        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
			want:      &Request{Method: "OPTIONS", Target: "*", Header: Header{host}},
			keepAlive: true,
		},
		{
			name: "expectation without anybody to tell",
			in:   "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
			want: &Request{
				Method: "POST", Target: "/", Header: Header{host, {"Expect", "100-continue"}, {"Content-Length", "1"}},
				Body: []byte("x"),
			},
			keepAlive: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range readers(tt.in) {
				req, keepAlive, err := ReadRequest(r, testLimits)
				require.NoError(t, err, how)
				require.Equal(t, tt.want, req, how)
				require.Equal(t, tt.keepAlive, keepAlive, how)
				rest, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, tt.rest, string(rest), how)
			}
		})
	}
}

func TestReadRequestErrors(t *testing.T) {
	const post = "POST / HTTP/1.1\r\nHost: h\r\n"
	const chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name string
		in   string
		want error
	}{
		{"nothing", "", io.EOF},
		{"nothing after an empty line", "\r\n", io.EOF},
		{"end in request line", "GET", io.ErrUnexpectedEOF},
		{"end in header", post, io.ErrUnexpectedEOF},
		{"end in name", post + "X-", io.ErrUnexpectedEOF},
		{"end in body", post + "Content-Length: 3\r\n\r\nab", io.ErrUnexpectedEOF},
		{"end before body", post + "Content-Length: 3\r\n\r\n", io.ErrUnexpectedEOF},
		{"end before chunk", chunked, io.ErrUnexpectedEOF},
		{"end in chunk size", chunked + "1", io.ErrUnexpectedEOF},
		{"end in chunk", chunked + "3\r\nab", io.ErrUnexpectedEOF},
		{"end after chunk", chunked + "3\r\nabc", io.ErrUnexpectedEOF},
		{"end in chunk's end", chunked + "3\r\nabc\r", io.ErrUnexpectedEOF},
		{"end before trailers", chunked + "0\r\n", io.ErrUnexpectedEOF},
		{"end in trailers", chunked + "0\r\nA: b\r\n", io.ErrUnexpectedEOF},

		{"two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"garbage", "\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", ErrMalformed},
		{"no version", "GET /\r\n\r\n", ErrMalformed},
		{"no target", "GET HTTP/1.1\r\n\r\n", ErrMalformed},
		{"empty target", "GET  HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"space after version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", ErrMalformed},
		{"space in target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"tab for space", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"space before method", " GET / HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"method no token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"control character in target", "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"bare CR in target", "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"other alphabet in target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"fragment", "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"relative target", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"other scheme", "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"no host in target", "GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"user in target", "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"CONNECT", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", ErrUnsupported},
		{"lower case version", "GET / http/1.1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"long version", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", ErrMalformed},
		{"version without point", "GET / HTTP/1\r\nHost: h\r\n\r\n", ErrMalformed},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ErrVersion},
		{"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", ErrVersion},

		{"no host", "GET / HTTP/1.1\r\n\r\n", ErrMalformed},
		{"two hosts", "GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n", ErrMalformed},
		{"two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\nhost: h\r\n\r\n", ErrMalformed},
		{"no host's name", "GET / HTTP/1.1\r\nHost: h/\r\n\r\n", ErrMalformed},
		{"no host field with absolute target", "GET http://h/ HTTP/1.1\r\n\r\n", ErrMalformed},
		{"no colon", post + "X\r\n\r\n", ErrMalformed},
		{"empty name", post + ": x\r\n\r\n", ErrMalformed},
		{"space before colon", post + "X : x\r\n\r\n", ErrMalformed},
		{"continuation line", post + "X: x\r\n y\r\n\r\n", ErrMalformed},
		{"continuation line that looks like a field", post + "X: x\r\n\tContent-Length: 3\r\n\r\n", ErrMalformed},
		{"whitespace before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", ErrMalformed},
		{"NUL in value", post + "X: \x00\r\n\r\n", ErrMalformed},
		{"bare CR in value", post + "X: a\rb\r\n\r\n", ErrMalformed},
		{"CR CR LF", post + "X: a\r\r\n\r\n", ErrMalformed},
		{"DEL in value", post + "X: \x7f\r\n\r\n", ErrMalformed},
		{"other alphabet in name", post + "\xc3\xa4: x\r\n\r\n", ErrMalformed},

		{"empty length", post + "Content-Length:\r\n\r\n", ErrMalformed},
		{"signed length", post + "Content-Length: +3\r\n\r\nabc", ErrMalformed},
		{"negative length", post + "Content-Length: -3\r\n\r\nabc", ErrMalformed},
		{"hexadecimal length", post + "Content-Length: 0x3\r\n\r\nabc", ErrMalformed},
		{"length with space", post + "Content-Length: 3 3\r\n\r\nabc", ErrMalformed},
		{"list of lengths", post + "Content-Length: 3, 3\r\n\r\nabc", ErrMalformed},
		{"two equal lengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", ErrMalformed},
		{"two lengths", post + "Content-Length: 3\r\nCONTENT-LENGTH: 4\r\n\r\nabc", ErrMalformed},
		{"length and coding", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"coding and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"coding twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"coding in a list", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", ErrUnsupported},
		{"other coding", post + "Transfer-Encoding: gzip\r\n\r\n", ErrUnsupported},
		{"other coding first", post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", ErrUnsupported},
		{"identity", post + "Transfer-Encoding: identity\r\n\r\n", ErrUnsupported},
		{"coding with vertical tab", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"coding with another alphabet's letter", post + "Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n", ErrUnsupported},
		{"coding without value", post + "Transfer-Encoding:\r\n\r\n", ErrUnsupported},

		{"empty chunk size", chunked + "\r\n\r\n", ErrMalformed},
		{"signed chunk size", chunked + "+1\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"prefixed chunk size", chunked + "0x1\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"space before chunk size", chunked + " 1\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"long chunk size", chunked + "00000000000000001\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"extension without semicolon", chunked + "1 a\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"space before extension", chunked + "1 ;a\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"control character in extension", chunked + "1;\x00\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"bare CR in extension", chunked + "1;\rx\r\na\r\n0\r\n\r\n", ErrMalformed},
		{"bare LF after chunk size", chunked + "1\na\r\n0\r\n\r\n", ErrMalformed},
		{"bare LF after extension", chunked + "1;x\na\r\n0\r\n\r\n", ErrMalformed},
		{"bare LF after chunk", chunked + "1\r\na\n0\r\n\r\n", ErrMalformed},
		{"chunk longer than its size", chunked + "1\r\nabc\r\n0\r\n\r\n", ErrMalformed},
		{"bare LF after trailer", chunked + "0\r\nA: b\n\r\n", ErrMalformed},
		{"bare LF after trailers", chunked + "0\r\n\n", ErrMalformed},
		{"malformed trailer", chunked + "0\r\nA\r\n\r\n", ErrMalformed},

		{"long request line", "GET /" + strings.Repeat("a", 200), ErrHeaderTooLarge},
		{"long field", post + "A: " + strings.Repeat("a", 200), ErrHeaderTooLarge},
		{"many fields", post + "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n\r\n", ErrHeaderTooLarge},
		{"long header", post + strings.Repeat("A: 12345678901234567890123456789012345678901234567890\r\n", 4), ErrHeaderTooLarge},
		{"long extension", chunked + "1;" + strings.Repeat("a", 201) + "\r\n", ErrHeaderTooLarge},
		{"long extensions", chunked + strings.Repeat("1;"+strings.Repeat("a", 30)+"\r\na\r\n", 7), ErrHeaderTooLarge},
		{"long trailer", chunked + "0\r\nA:" + strings.Repeat("a", 200), ErrHeaderTooLarge},
		{"many trailers", chunked + "0\r\n" + strings.Repeat("A:a\r\n", 6) + "\r\n", ErrHeaderTooLarge},
		{"long body", post + "Content-Length: 21\r\n\r\n", ErrBodyTooLarge},
		{"body longer than numbers", post + "Content-Length: 18446744073709551617\r\n\r\n", ErrBodyTooLarge},
		{"large chunk", chunked + "15\r\n", ErrBodyTooLarge},
		{"chunk larger than numbers", chunked + "ffffffffffffffff\r\n", ErrBodyTooLarge},
		{"many chunks", chunked + "f\r\n123456789012345\r\n6\r\n", ErrBodyTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range readers(tt.in) {
				req, keepAlive, err := ReadRequest(r, testLimits)
				require.ErrorIs(t, err, tt.want, how)
				require.Nil(t, req, how)
				require.False(t, keepAlive, how)
			}
		})
	}
}

func TestReadPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{
		"", "GET", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3",
	} {
		r := bufio.NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))
		_, _, err := ReadRequest(r, Limits{})
		require.ErrorIs(t, err, broken, in)
	}
	r := bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n\r\na"), iotest.ErrReader(broken)))
	_, _, err := ReadResponse(r, "GET", Limits{})
	require.ErrorIs(t, err, broken)
}

func TestReadResponse(t *testing.T) {
	for _, tt := range []struct {
		name      string
		method    string // GET if empty
		in        string
		want      *Response
		keepAlive bool
		rest      string
	}{
		{
			name:      "fixed length",
			in:        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
			want:      &Response{Status: 200, Reason: "OK", Header: Header{{"Content-Length", "2"}}, Body: []byte("ab")},
			keepAlive: true,
			rest:      "c",
		},
		{
			name:      "chunks",
			in:        "HTTP/1.1 403 Not for you\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nc",
			want:      &Response{Status: 403, Reason: "Not for you", Header: Header{{"Transfer-Encoding", "chunked"}}, Body: []byte("a")},
			keepAlive: true,
			rest:      "c",
		},
		{
			name: "until the end",
			in:   "HTTP/1.1 200 OK\r\n\r\nabc",
			want: &Response{Status: 200, Reason: "OK", Header: Header{}, Body: []byte("abc")},
		},
		{
			name: "HTTP/1.0",
			in:   "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nabc",
			want: &Response{
				Status: 200, Reason: "OK", Header: Header{{"Content-Length", "1"}, {"Connection", "keep-alive"}},
				Body: []byte("a"),
			},
			rest: "bc",
		},
		{
			name: "connection to be closed",
			in:   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			want: &Response{Status: 200, Reason: "OK", Header: Header{{"Content-Length", "0"}, {"Connection", "close"}}},
		},
		{
			name:      "head",
			method:    "HEAD",
			in:        "HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nHTTP",
			want:      &Response{Status: 200, Reason: "OK", Header: Header{{"Content-Length", "300"}}},
			keepAlive: true,
			rest:      "HTTP",
		},
		{
			name:      "no content",
			in:        "HTTP/1.1 204 No Content\r\n\r\nHTTP",
			want:      &Response{Status: 204, Reason: "No Content", Header: Header{}},
			keepAlive: true,
			rest:      "HTTP",
		},
		{
			name: "no content, but a length",
			in:   "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx",
			want: &Response{Status: 204, Reason: "No Content", Header: Header{{"Content-Length", "1"}}},
			rest: "x",
		},
		{
			name:      "not modified",
			in:        "HTTP/1.1 304 Not Modified\r\nContent-Length: 300\r\n\r\nHTTP",
			want:      &Response{Status: 304, Reason: "Not Modified", Header: Header{{"Content-Length", "300"}}},
			keepAlive: true,
			rest:      "HTTP",
		},
		{
			name: "interim responses",
			in: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
				"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
			want:      &Response{Status: 202, Reason: "Accepted", Header: Header{{"Content-Length", "0"}}},
			keepAlive: true,
		},
		{
			name:      "no reason",
			in:        "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
			want:      &Response{Status: 299, Header: Header{{"Content-Length", "0"}}},
			keepAlive: true,
		},
		{
			name:      "no space before no reason, bare LF",
			in:        "HTTP/1.1 299\nContent-Length: 0\n\n",
			want:      &Response{Status: 299, Header: Header{{"Content-Length", "0"}}},
			keepAlive: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range readers(tt.in) {
				method := tt.method
				if method == "" {
					method = "GET"
				}
				resp, keepAlive, err := ReadResponse(r, method, testLimits)
				require.NoError(t, err, how)
				if len(tt.want.Body) == 0 {
					require.Empty(t, resp.Body)
					resp.Body = nil
				}
				require.Equal(t, tt.want, resp, how)
				require.Equal(t, tt.keepAlive, keepAlive, how)
				rest, err := io.ReadAll(r)
				require.NoError(t, err)
				require.Equal(t, tt.rest, string(rest), how)
			}
		})
	}
}

func TestReadResponseErrors(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		name string
		in   string
		want error
	}{
		{"nothing", "", io.EOF},
		{"end in status line", "HTTP/1.1 2", io.ErrUnexpectedEOF},
		{"end in header", ok, io.ErrUnexpectedEOF},
		{"end after interim response", "HTTP/1.1 100 Continue\r\n\r\n", io.ErrUnexpectedEOF},
		{"end in body", ok + "Content-Length: 2\r\n\r\na", io.ErrUnexpectedEOF},
		{"end in chunks", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", io.ErrUnexpectedEOF},
		{"empty line", "\r\n" + ok + "\r\n", ErrMalformed},
		{"garbage", "SSH-2.0-OpenSSH\r\n\r\n", ErrMalformed},
		{"two spaces", "HTTP/1.1  200 OK\r\n\r\n", ErrMalformed},
		{"short status", "HTTP/1.1 20 OK\r\n\r\n", ErrMalformed},
		{"long status", "HTTP/1.1 2000 OK\r\n\r\n", ErrMalformed},
		{"small status", "HTTP/1.1 099 OK\r\n\r\n", ErrMalformed},
		{"no number", "HTTP/1.1 2x0 OK\r\n\r\n", ErrMalformed},
		{"signed status", "HTTP/1.1 +20 OK\r\n\r\n", ErrMalformed},
		{"control character in reason", "HTTP/1.1 200 O\x00K\r\n\r\n", ErrMalformed},
		{"malformed field", ok + "A\r\n\r\n", ErrMalformed},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", ErrMalformed},
		{"HTTP/2.0", "HTTP/2.0 200\r\n\r\n", ErrVersion},
		{"other protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ErrUnsupported},
		{"length and coding", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrMalformed},
		{"other coding", ok + "Transfer-Encoding: gzip\r\n\r\n", ErrUnsupported},
		{"long interim responses", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 8), ErrHeaderTooLarge},
		{"long body", ok + "Content-Length: 21\r\n\r\n", ErrBodyTooLarge},
		{"long body until the end", ok + "\r\n" + strings.Repeat("a", 21), ErrBodyTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range readers(tt.in) {
				resp, keepAlive, err := ReadResponse(r, "GET", testLimits)
				require.ErrorIs(t, err, tt.want, how)
				require.Nil(t, resp, how)
				require.False(t, keepAlive, how)
			}
		})
	}
	_, _, err := ReadResponse(bufio.NewReader(strings.NewReader(ok+"\r\n")), "CONNECT", Limits{})
	require.ErrorIs(t, err, ErrUnsupported)
}

// An announced length must not cost memory before the bytes are there.
func TestLargeBodies(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20000)
	limits := Limits{BodyBytes: len(body)}
	for _, in := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 320000\r\n\r\n" + body,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4e200\r\n" + body + "\r\n0\r\n\r\n",
	} {
		req, _, err := ReadRequest(bufio.NewReader(strings.NewReader(in)), limits)
		require.NoError(t, err)
		require.Equal(t, body, string(req.Body))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n"))
	_, _, err := ReadRequest(r, Limits{BodyBytes: 1 << 40})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestDiscardRequest(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
	size := 64 << 20
	for name, in := range map[string]io.Reader{
		"fixed length": io.MultiReader(strings.NewReader(head+"Content-Length: "+strconv.Itoa(size)+"\r\n\r\n"),
			io.LimitReader(zeros{}, int64(size)), strings.NewReader("rest")),
		"chunks": io.MultiReader(
			strings.NewReader(head+"Transfer-Encoding: chunked\r\n\r\n"+strconv.FormatInt(int64(size), 16)+"\r\n"),
			io.LimitReader(zeros{}, int64(size)), strings.NewReader("\r\n3\r\nabc\r\n0\r\n\r\nrest")),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := bufio.NewReader(in)
			var told strings.Builder
			req, err := DiscardRequest(r, &told)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Equal(t, "POST", req.Method)
			require.Empty(t, req.Body)
			require.Equal(t, "HTTP/1.1 100 Continue\r\n\r\n", told.String())
			rest, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, "rest", string(rest))
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
		})
	}
}

func TestDiscardRequestErrors(t *testing.T) {
	for in, want := range map[string]error{
		"":        io.EOF,
		"PRI * H": io.ErrUnexpectedEOF,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab":                                      io.ErrUnexpectedEOF,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1073741824\r\n\r\nab":                             ErrBodyTooLarge,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab":                        io.ErrUnexpectedEOF,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n3fffffff\r\nab":       ErrBodyTooLarge,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n":           ErrMalformed,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n": ErrMalformed,
	} {
		_, err := DiscardRequest(bufio.NewReader(strings.NewReader(in)), io.Discard)
		require.ErrorIs(t, err, want, in)
	}
}

func TestDefaultLimits(t *testing.T) {
	fill := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		in   string
		want error
	}{
		{"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a: b\r\n", 99) + "\r\n", nil},
		{"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("a: b\r\n", 100) + "\r\n", ErrHeaderTooLarge},
		{"GET / HTTP/1.1\r\nHost: h\r\na: " + fill(16<<10-32) + "\r\n\r\n", nil},
		{"GET / HTTP/1.1\r\nHost: h\r\na: " + fill(16<<10-31) + "\r\n\r\n", ErrHeaderTooLarge},
		{"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n" + fill(1<<20), nil},
		{"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n" + fill(1<<20+1), ErrBodyTooLarge},
	} {
		_, _, err := ReadRequest(bufio.NewReader(strings.NewReader(tt.in)), Limits{})
		require.ErrorIs(t, err, tt.want)
	}
}

func TestPath(t *testing.T) {
	require.Equal(t, "/a/b", (&Request{Target: "/a/b?c=/d?e"}).Path())
	require.Equal(t, "/a", (&Request{Target: "/a"}).Path())
	require.Equal(t, "*", (&Request{Target: "*"}).Path())
}
