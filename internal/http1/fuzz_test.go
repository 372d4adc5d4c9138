// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// fuzzLimits can be exceeded by inputs of the size that the fuzzer makes.
var fuzzLimits = Limits{HeaderFields: 20, HeaderBytes: 1000, BodyBytes: 1000}

var fuzzRequests = []string{
	"",
	"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\nUser-Agent: Go-http-client/1.1\r\n" +
		"Lambda-Extension-Identifier: 5b2c1f3a-0d0e-4d7a-9d6b-3b8f3a2c1d00\r\n\r\n",
	"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
	"PUT http://h:1/a?b HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n0\r\nA: b\r\n\r\nrest",
	"POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nContent-Length: 3\n\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nab\r\n1\r\nc\n0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\nPragma: no-cache\r\nExpect: 100-continue\r\nX: a\r\n b\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nTrailer: A, B\r\nConnection: close\r\n\r\n",
}

var fuzzResponses = []string{
	"",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;x\r\nabc\r\n00\r\nX: y\r\n\r\nHTTP/1.1",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end",
	"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
	"HTTP/1.1 304\nETag: \"a\"\nConnection: close\n\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}

// checkHeader compares ours with net/http's, which is taken apart and completed.
func checkHeader(t *testing.T, ours Header, theirs http.Header, derived ...string) {
	t.Helper()
	want := http.Header{}
	for _, f := range ours {
		want.Add(f.Name, f.Value)
	}
	got := theirs.Clone()
	for _, name := range append(derived, "Transfer-Encoding", "Trailer") {
		want.Del(name)
		got.Del(name)
	}
	if values := want["Pragma"]; len(values) > 0 && values[0] == "no-cache" && len(want["Cache-Control"]) == 0 {
		delete(got, "Cache-Control")
	}
	if len(want) == 0 {
		require.Empty(t, got)
		return
	}
	require.Equal(t, want, got)
}

// readBoth reads what is left of a message in net/http's form and behind it.
func readBoth(t *testing.T, body io.ReadCloser, behind *bufio.Reader) (content, rest []byte) {
	t.Helper()
	content, err := io.ReadAll(body)
	require.NoError(t, err, "a body that we accept")
	require.NoError(t, body.Close())
	rest, err = io.ReadAll(behind)
	require.NoError(t, err)
	return content, rest
}

// sentinels are what reading from memory may fail with.
var sentinels = []error{
	ErrMalformed, ErrHeaderTooLarge, ErrBodyTooLarge, ErrUnsupported, ErrVersion, io.EOF, io.ErrUnexpectedEOF,
}

func requireSentinel(t *testing.T, err error) {
	t.Helper()
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			return
		}
	}
	require.NoError(t, err)
}

// FuzzReadRequest checks that a request that is accepted is accepted by net/http too and means the same there, with the
// same bytes behind it for the next request, and that it does not depend on the portions in which it comes in.
func FuzzReadRequest(f *testing.F) {
	for _, in := range fuzzRequests {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkRequest(t, in) })
}

// checkRequest returns whether the request was accepted.
func checkRequest(t *testing.T, in []byte) bool {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(in))
	req, keepAlive, err := ReadRequest(r, fuzzLimits)
	slow := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(in)), 16)
	slowReq, slowKeepAlive, slowErr := ReadRequest(slow, fuzzLimits)
	require.Equal(t, slowErr, err)
	if err != nil {
		requireSentinel(t, err)
		require.Nil(t, req)
		return false
	}
	require.Equal(t, slowReq, req)
	require.Equal(t, slowKeepAlive, keepAlive)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	slowRest, err := io.ReadAll(slow)
	require.NoError(t, err)
	require.Equal(t, slowRest, rest)
	requireDiscarded(t, in, req, rest)

	// The empty line before a request is the one thing that net/http is stricter about, besides URLs and names of
	// trailers, which do not matter here.
	in = bytes.TrimPrefix(bytes.TrimPrefix(in, []byte("\r\n")), []byte("\n"))
	behind := bufio.NewReader(bytes.NewReader(in))
	theirs, err := http.ReadRequest(behind)
	if err != nil {
		require.Regexp(t, `^parse |bad trailer key`, err)
		return true
	}
	require.Equal(t, theirs.Method, req.Method)
	if theirs.URL.IsAbs() {
		path, query, _ := strings.Cut(req.Target, "?")
		path, err := url.PathUnescape(path)
		require.NoError(t, err)
		require.Equal(t, "/"+strings.TrimPrefix(theirs.URL.Path, "/"), path)
		require.Equal(t, theirs.URL.RawQuery, query)
	} else {
		require.Equal(t, theirs.RequestURI, req.Target)
	}
	require.Equal(t, theirs.Host, req.Header.Get("Host"))
	require.False(t, keepAlive && theirs.Close, "they would close")
	checkHeader(t, req.Header, theirs.Header, "Host")
	body, theirRest := readBoth(t, theirs.Body, behind)
	require.Equal(t, string(body), string(req.Body))
	require.Equal(t, theirRest, rest)
	return true
}

// requireDiscarded checks that without its body a request reads the same.
func requireDiscarded(t *testing.T, in []byte, req *Request, rest []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(in))
	discarded, err := DiscardRequest(r, io.Discard)
	require.NoError(t, err)
	require.Nil(t, discarded.Body)
	discarded.Body = req.Body
	require.Equal(t, req, discarded)
	after, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, rest, after)
}

// FuzzReadResponse is FuzzReadRequest for responses. head chooses between HEAD and GET.
func FuzzReadResponse(f *testing.F) {
	for _, in := range fuzzResponses {
		f.Add(false, []byte(in))
		f.Add(true, []byte(in))
	}
	f.Fuzz(func(t *testing.T, head bool, in []byte) { checkResponse(t, head, in) })
}

// checkResponse returns whether the response was accepted.
func checkResponse(t *testing.T, head bool, in []byte) bool {
	t.Helper()
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	r := bufio.NewReader(bytes.NewReader(in))
	resp, keepAlive, err := ReadResponse(r, method, fuzzLimits)
	slow := bufio.NewReaderSize(iotest.OneByteReader(bytes.NewReader(in)), 16)
	slowResp, slowKeepAlive, slowErr := ReadResponse(slow, method, fuzzLimits)
	require.Equal(t, slowErr, err)
	if err != nil {
		requireSentinel(t, err)
		require.Nil(t, resp)
		return false
	}
	require.Equal(t, slowResp, resp)
	require.Equal(t, slowKeepAlive, keepAlive)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	slowRest, err := io.ReadAll(slow)
	require.NoError(t, err)
	require.Equal(t, slowRest, rest)

	behind := bufio.NewReader(bytes.NewReader(in))
	var theirs *http.Response
	for {
		theirs, err = http.ReadResponse(behind, &http.Request{Method: method})
		if err != nil {
			// A length that no number holds does not matter where there is no body.
			require.Regexp(t, `bad trailer key|bad Content-Length "\d{19,}"`, err)
			return true
		}
		defer theirs.Body.Close()
		if theirs.StatusCode >= 200 {
			break
		}
	}
	require.Equal(t, theirs.StatusCode, resp.Status)
	require.Equal(t, strings.TrimSuffix(strings.TrimPrefix(theirs.Status, strconv.Itoa(resp.Status)), " "),
		strings.TrimSuffix(" "+resp.Reason, " "))
	require.False(t, keepAlive && theirs.Close, "they would close")
	checkHeader(t, resp.Header, theirs.Header, "Connection")
	body, theirRest := readBoth(t, theirs.Body, behind)
	require.Equal(t, string(body), string(resp.Body))
	require.Equal(t, theirRest, rest)
	if !head && hasBody(resp.Status) && theirs.ContentLength < 0 && theirs.TransferEncoding == nil {
		require.False(t, keepAlive, "the body ends with the connection")
	}
	return true
}

// FuzzAppend checks that what is written is one message, to us and to net/http, and the one that was meant.
func FuzzAppend(f *testing.F) {
	f.Add("GET", "/a?b", "127.0.0.1:9001", "X-Name", "value", 200, "OK", []byte(nil))
	f.Add("POST", "/", "h", "Connection", "x-name", 403, "", []byte("abc"))
	f.Add("OPTIONS", "*", "", "Content-Length", "7", 204, "No Content", []byte(nil))
	f.Add("PUT", "/ HTTP/1.1\r\n", "h\r\n", "A:\r\n", "b\r\nC: d", 304, "x\ny", []byte("\r\n"))
	f.Fuzz(func(t *testing.T, method, target, host, name, value string, status int, reason string, body []byte) {
		header := Header{{name, value}, {"X-Last", "1"}}
		req := &Request{Method: method, Target: target, Header: header, Body: body}
		wire, err := AppendRequest(nil, req, host)
		if err == nil {
			r := bufio.NewReader(bytes.NewReader(wire))
			got, keepAlive, err := ReadRequest(r, Limits{HeaderBytes: len(wire), BodyBytes: len(wire)})
			require.NoErrorf(t, err, "%q", wire)
			require.True(t, keepAlive)
			require.Zero(t, r.Buffered())
			require.Equal(t, method, got.Method)
			require.Equal(t, target, got.Target)
			require.Equal(t, host, got.Header.Get("Host"))
			require.Equal(t, "1", got.Header.Get("X-Last"))
			require.Equal(t, string(body), string(got.Body))
			if !isHop(name) && !isRequestHop(name) && name != "" {
				require.Equal(t, trimOWS(value), got.Header.Get(name))
			}
			behind := bufio.NewReader(bytes.NewReader(wire))
			if theirs, err := http.ReadRequest(behind); err == nil {
				theirBody, rest := readBoth(t, theirs.Body, behind)
				require.Equal(t, string(body), string(theirBody))
				require.Empty(t, rest)
			} else {
				require.Regexp(t, `^parse `, err)
			}
		} else {
			require.ErrorIs(t, err, ErrUnwritable)
		}

		resp := &Response{Status: status, Reason: reason, Header: header, Body: body}
		for _, keep := range []bool{false, true} {
			wire, err = AppendResponse(nil, resp, keep)
			if err != nil {
				require.ErrorIs(t, err, ErrUnwritable)
				continue
			}
			r := bufio.NewReader(bytes.NewReader(wire))
			got, keepAlive, err := ReadResponse(r, http.MethodGet, Limits{HeaderBytes: len(wire), BodyBytes: len(wire)})
			require.NoErrorf(t, err, "%q", wire)
			require.Equal(t, keep, keepAlive)
			require.Zero(t, r.Buffered())
			require.Equal(t, status, got.Status)
			require.Equal(t, "1", got.Header.Get("X-Last"))
			require.Equal(t, string(body), string(got.Body))
			behind := bufio.NewReader(bytes.NewReader(wire))
			theirs, err := http.ReadResponse(behind, nil)
			require.NoErrorf(t, err, "%q", wire)
			defer theirs.Body.Close()
			theirBody, rest := readBoth(t, theirs.Body, behind)
			require.Equal(t, string(body), string(theirBody))
			require.Empty(t, rest)
			require.Equal(t, !keep, theirs.Close)
		}
	})
}

// fragments are what messages are put together from; each list begins with what is most usual.
var (
	fragmentEnds    = []string{"\r\n", "\n", "\r\r\n", "\r", ""}
	fragmentMethods = []string{"GET", "POST", "PUT", "HEAD", "OPTIONS", "get", "M!#$", "CONNECT", "PRI", "", "G ET"}
	fragmentTargets = []string{
		"/", "/a/b?c=d&e", "/%20", "//a", "/?", "*", "http://h", "http://h/a", "HTTPS://h:1?b", "http://u@h/", "/a b", "/%zz",
		"/\x00", "/#", "a:b", "", "/\xff", "http://[::1]/", "/\"<>", "http://h/%41%zz?%zz",
	}
	fragmentVersions = []string{"HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.01", "HTTP/1.1 ", ""}
	fragmentStatuses = []string{
		"200 OK", "200", "200 ", "204 No Content", "304 Not Modified", "100 Continue", "103 Early Hints", "101 Switch", "404  x ",
		"999 \xff", "099 x", "20 x", "2000 x", "+20 x", "200\tOK", "", "500 a\x00",
	}
	fragmentNames = []string{
		"Content-Length", "Transfer-Encoding", "Connection", "Host", "Expect", "Trailer", "Pragma", "Cache-Control", "X-A",
		"content-length", "TRANSFER-ENCODING", "X_a", "Content-Length ", " X-A", "", "X\x00", "Content Length",
		"Tran\u017ffer-Encoding",
	}
	fragmentColons = []string{": ", ":", ":\t ", " :", "", "::"}
	fragmentValues = []string{
		"3", "0", "chunked", "close", "keep-alive", "h", "100-continue", "no-cache", "", "a, b", "X-T", "3, 3", "+3", "-1", "0x3",
		"003", "3 ", "4", "chunked, chunked", "gzip, chunked", "identity", "Chunked", "chun\u212aed", "\x0bchunked", "a\x7f",
		"99999999999999999999", "x, close", "clo\u017fe", "\xff", "1001", "Content-Length",
	}
	fragmentBodies = []string{
		"abc", "", "abcd", "3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n", "0\r\nX-T: a\r\n\r\nrest", "03;x\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
		"3\nabc\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3 \r\nabc\r\n0 \t\r\n\r\n", "3 ;\r\nabc\r\n0\r\n\r\n",
		"0\r\n\n", "0\n\r\n", "0\r\nX-T\r\n\r\n", "0\r\nContent-Length: 3\r\n\r\nabc", "+3\r\nabc\r\n0\r\n\r\n", "3;\rx\r\nabc\r\n0\r\n\r\n",
		"3;\"\r\nabc\r\n0\r\n\r\n", "-1\r\n\r\n", "00000000000000003\r\nabc\r\n0\r\n\r\n", "fffffffffffffffff\r\nabc\r\n",
	}
)

// pick prefers the first ones, without which hardly any message would be accepted.
func (g generator) pick(list []string) string {
	if g.IntN(4) > 0 {
		return list[g.IntN(min(3, len(list)))]
	}
	return list[g.IntN(len(list))]
}

// end is nearly always the right one.
func (g generator) end() string {
	if g.IntN(12) > 0 {
		return fragmentEnds[0]
	}
	return g.pick(fragmentEnds)
}

func (g generator) fields() string {
	var b strings.Builder
	for range g.IntN(4) {
		b.WriteString(g.pick(fragmentNames) + g.pick(fragmentColons[:1+g.IntN(len(fragmentColons))]) + g.pick(fragmentValues) + g.end())
	}
	return b.String() + g.end() + g.pick(fragmentBodies)
}

// The fuzzer seldom finds a whole message. These are nearly right, in all combinations.
func TestSameAsNetHTTP(t *testing.T) {
	const rounds = 30000
	g := generator{rand.New(rand.NewPCG(1, 2))}
	requests, responses := 0, 0
	for range rounds {
		in := g.pick(fragmentMethods) + " " + g.pick(fragmentTargets) + " " + g.pick(fragmentVersions[:1+g.IntN(len(fragmentVersions))]) + g.end()
		if g.IntN(10) > 0 {
			in += "Host: h" + g.end()
		}
		in += g.fields()
		if checkRequest(t, []byte(in)) {
			requests++
		}
		in = g.pick(fragmentVersions[:1+g.IntN(len(fragmentVersions))]) + " " + g.pick(fragmentStatuses) + g.end() + g.fields()
		if checkResponse(t, g.IntN(8) == 0, []byte(in)) {
			responses++
		}
		if t.Failed() {
			t.Fatalf("%q", in)
		}
	}
	// Otherwise this would not test much.
	require.Greater(t, requests, rounds/10)
	require.Greater(t, responses, rounds/10)
}
