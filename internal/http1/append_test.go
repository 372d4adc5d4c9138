// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendRequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  Request
		want string
	}{
		{
			name: "no body",
			req:  Request{Method: "GET", Target: "/a?b", Header: Header{{"X-Id", "1"}, {"x-id", ""}}},
			want: "GET /a?b HTTP/1.1\r\nHost: h:1\r\nX-Id: 1\r\nx-id: \r\n\r\n",
		},
		{
			name: "body",
			req:  Request{Method: "DELETE", Target: "/", Body: []byte("abc")},
			want: "DELETE / HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\n\r\nabc",
		},
		{
			name: "empty body that is announced",
			req:  Request{Method: "POST", Target: "/"},
			want: "POST / HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\n\r\n",
		},
		{
			name: "server",
			req:  Request{Method: "OPTIONS", Target: "*"},
			want: "OPTIONS * HTTP/1.1\r\nHost: h:1\r\n\r\n",
		},
		{
			name: "fields of another connection",
			req: Request{Method: "PUT", Target: "/", Body: []byte("abc"), Header: Header{
				{"host", "other"}, {"content-length", "7"}, {"Transfer-Encoding", "chunked"}, {"Connection", "X-Own, close"},
				{"X-OWN", "1"}, {"Keep-Alive", "timeout=1"}, {"Te", "trailers"}, {"Trailer", "A"}, {"Upgrade", "h2c"},
				{"Proxy-Connection", "close"}, {"Expect", "100-continue"}, {"Close", "stays"}, {"Accept", "*/*"},
			}},
			// "close" in Connection names an option; a field of this name would be one, too.
			want: "PUT / HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabc",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := AppendRequest([]byte("before"), &tt.req, "h:1")
			require.NoError(t, err)
			require.Equal(t, "before"+tt.want, string(out))
		})
	}
}

func TestAppendRequestErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  Request
		host string
	}{
		{name: "no method", req: Request{Target: "/"}},
		{name: "method with space", req: Request{Method: "GET /", Target: "/"}},
		{name: "CONNECT", req: Request{Method: "CONNECT", Target: "/"}},
		{name: "no target", req: Request{Method: "GET"}},
		{name: "target with line break", req: Request{Method: "GET", Target: "/ HTTP/1.1\r\nX: y\r\n"}},
		{name: "relative target", req: Request{Method: "GET", Target: "a"}},
		{name: "absolute target", req: Request{Method: "GET", Target: "http://h/"}},
		{name: "asterisk without OPTIONS", req: Request{Method: "GET", Target: "*"}},
		{name: "host with line break", req: Request{Method: "GET", Target: "/"}, host: "h\r\nX: y"},
		{name: "no name", req: Request{Method: "GET", Target: "/", Header: Header{{"", "x"}}}},
		{name: "name with colon", req: Request{Method: "GET", Target: "/", Header: Header{{"a:", "x"}}}},
		{name: "name with line break", req: Request{Method: "GET", Target: "/", Header: Header{{"a\r\nb", "x"}}}},
		{name: "value with CR", req: Request{Method: "GET", Target: "/", Header: Header{{"a", "x\ry"}}}},
		{name: "value with LF", req: Request{Method: "GET", Target: "/", Header: Header{{"a", "x\ny"}}}},
		{name: "value with NUL", req: Request{Method: "GET", Target: "/", Header: Header{{"a", "x\x00y"}}}},
		{name: "line break in a field that is passed over", req: Request{Method: "GET", Target: "/", Header: Header{{"Host", "\n"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := AppendRequest([]byte("before"), &tt.req, tt.host)
			require.ErrorIs(t, err, ErrUnwritable)
			require.Equal(t, "before", string(out))
		})
	}
}

func TestAppendResponse(t *testing.T) {
	for _, tt := range []struct {
		name      string
		resp      Response
		keepAlive bool
		want      string
	}{
		{
			name:      "body",
			resp:      Response{Status: 200, Header: Header{{"A", "b"}}, Body: []byte("abc")},
			keepAlive: true,
			want:      "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc",
		},
		{
			name: "last on the connection",
			resp: Response{Status: 202, Reason: "Fine by me", Header: Header{{"Connection", "keep-alive"}}},
			want: "HTTP/1.1 202 Fine by me\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		},
		{
			name:      "no content",
			resp:      Response{Status: 204, Header: Header{{"Content-Length", "0"}}},
			keepAlive: true,
			want:      "HTTP/1.1 204 No Content\r\n\r\n",
		},
		{
			name:      "unknown status",
			resp:      Response{Status: 299},
			keepAlive: true,
			want:      "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n",
		},
		{
			name: "fields of another connection",
			resp: Response{Status: 200, Body: []byte("abc"), Header: Header{
				{"Content-Length", "7"}, {"transfer-encoding", "chunked"}, {"Connection", "x-own"}, {"X-Own", "1"},
				{"Host", "stays"}, {"Date", "today"},
			}},
			keepAlive: true,
			want:      "HTTP/1.1 200 OK\r\nHost: stays\r\nDate: today\r\nContent-Length: 3\r\n\r\nabc",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := AppendResponse([]byte("before"), &tt.resp, tt.keepAlive)
			require.NoError(t, err)
			require.Equal(t, "before"+tt.want, string(out))
		})
	}
}

func TestAppendResponseErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		resp Response
	}{
		{"no status", Response{}},
		{"interim status", Response{Status: 100}},
		{"long status", Response{Status: 1000}},
		{"negative status", Response{Status: -200}},
		{"no content with content", Response{Status: 204, Body: []byte("a")}},
		{"not modified with content", Response{Status: 304, Body: []byte("a")}},
		{"reason with line break", Response{Status: 200, Reason: "OK\r\nX: y"}},
		{"name with space", Response{Status: 200, Header: Header{{"a ", "x"}}}},
		{"value with line break", Response{Status: 200, Header: Header{{"a", "x\r\nb: y"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := AppendResponse([]byte("before"), &tt.resp, true)
			require.ErrorIs(t, err, ErrUnwritable)
			require.Equal(t, "before", string(out))
		})
	}
}

// What the Lambda APIs answer should read as everybody knows it.
func TestReasonOf(t *testing.T) {
	for status := 200; status < 600; status++ {
		if reason := reasonOf(status); reason != "" && status != http.StatusRequestEntityTooLarge {
			require.Equal(t, http.StatusText(status), reason)
		}
	}
}

// generator makes messages that can be written and read back as they are.
type generator struct{ *rand.Rand }

func (g generator) text(alphabet string, least, most int) string {
	var b strings.Builder
	for range least + g.IntN(most-least+1) {
		b.WriteByte(alphabet[g.IntN(len(alphabet))])
	}
	return b.String()
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	tokens  = letters + "0123456789" + tokenPunctuation
	values  = tokens + "\"(),/:;<=>?@[\\]{} \t\x80\xff"
	targets = letters + "0123456789" + "/?&=-._~!$'()*+,;:@%[]\"<>{}|"
)

func (g generator) header() Header {
	header := Header{}
	for range g.IntN(8) {
		// With the prefix no name has a meaning.
		header.Add("X-"+g.text(tokens, 0, 20), trimOWS(g.text(values, 0, 40)))
	}
	return header
}

func (g generator) body() []byte {
	if g.IntN(3) == 0 {
		return nil
	}
	body := make([]byte, 1+g.IntN(1<<g.IntN(18)))
	for i := range body {
		body[i] = byte(g.Uint32())
	}
	return body
}

// own returns the fields that are not about host and framing.
func own(header Header) Header {
	header = append(Header{}, header...)
	for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding", "Connection"} {
		header.Del(name)
	}
	return header
}

// Messages written one after the other are read back one after the other.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(500) {
		g := generator{rand.New(rand.NewPCG(seed, 0))}
		var wire []byte
		var requests []*Request
		for range 3 {
			req := &Request{
				Method: g.text(tokens, 1, 10), Target: "/" + g.text(targets, 0, 60), Header: g.header(), Body: g.body(),
			}
			var err error
			wire, err = AppendRequest(wire, req, "127.0.0.1:9001")
			require.NoError(t, err)
			requests = append(requests, req)
		}
		r := bufio.NewReader(bytes.NewReader(wire))
		for _, want := range requests {
			got, keepAlive, err := ReadRequest(r, Limits{})
			require.NoErrorf(t, err, "%q", wire)
			require.True(t, keepAlive)
			require.Equal(t, "127.0.0.1:9001", got.Header.Get("Host"))
			got.Header = own(got.Header)
			require.Equal(t, want, got)
		}
		require.Zero(t, r.Buffered())

		wire = wire[:0]
		var responses []*Response
		for i := range 3 {
			resp := &Response{Status: 200 + g.IntN(800), Reason: g.text(values, 1, 20), Header: g.header(), Body: g.body()}
			if !hasBody(resp.Status) {
				resp.Body = nil
			}
			var err error
			wire, err = AppendResponse(wire, resp, i < 2)
			require.NoError(t, err)
			responses = append(responses, resp)
		}
		r = bufio.NewReader(bytes.NewReader(wire))
		for i, want := range responses {
			got, keepAlive, err := ReadResponse(r, "GET", Limits{})
			require.NoErrorf(t, err, "%q", wire)
			require.Equal(t, i < 2, keepAlive)
			got.Header = own(got.Header)
			require.Equal(t, want, got)
		}
		require.Zero(t, r.Buffered())
	}
}
