// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// ReadRequest reads a request with its body. keepAlive says whether the peer expects to send another one.
//
// Errors are those of this package, io.EOF, io.ErrUnexpectedEOF and those of r; after any of them what r holds is of no
// use.
func ReadRequest(r *bufio.Reader, limits Limits) (req *Request, keepAlive bool, err error) {
	req, keepAlive, err = readRequest(r, limits, nil)
	if err != nil {
		req = nil
	}
	return req, keepAlive, err
}

// DiscardRequest reads a request for somebody who answers it without its body, which may have up to 1 GiB and takes no
// memory. If the peer waits for `100 Continue` before it sends the body, that is written to w.
//
// Errors are as of ReadRequest, and those of w.
func DiscardRequest(r *bufio.Reader, w io.Writer) (*Request, error) {
	req, _, err := readRequest(r, Limits{BodyBytes: maxLength, discard: true}, w)
	if err != nil {
		req = nil
	}
	return req, err
}

// readRequest is ReadRequest that writes `100 Continue` to expecter if the peer waits for it before it sends the body. If that
// fails to come, there is a request as well as an error.
func readRequest(r *bufio.Reader, limits Limits, expecter io.Writer) (*Request, bool, error) {
	limits = limits.withDefaults()
	left := limits.HeaderBytes
	head, err := readHead(r, &left)
	if err == nil && head == "" {
		// RFC 9112 section 2.2: some clients send an empty line after a body, so one before a request is passed over.
		head, err = readHead(r, &left)
		if err == nil && head == "" {
			return nil, false, malformed("empty request line")
		}
	}
	if err != nil {
		return nil, false, err
	}
	line, head := cutLine(head)
	method, rest, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok1 || !ok2 || !isToken(method) || !isTarget(target) {
		return nil, false, malformed("request line")
	}
	http10, err := parseVersion(version)
	if err != nil {
		return nil, false, err
	}
	if method == methodConnect {
		return nil, false, unsupported("method CONNECT")
	}
	target, host, err := originForm(method, target)
	if err != nil {
		return nil, false, err
	}
	header, err := parseFields(head, limits.HeaderFields)
	if err != nil {
		return nil, false, err
	}
	f, err := framingOf(header, http10)
	if err != nil {
		return nil, false, err
	}
	if f.hosts > 1 || f.hosts == 0 && !http10 || !isHost(header.Get("Host")) {
		return nil, false, malformed("Host field")
	}
	if host != "" {
		header.Set("Host", host)
	}
	req := &Request{Method: method, Target: target, Header: header}
	if f.chunked || f.length > 0 {
		if f.length > limits.BodyBytes+limits.ExcessBytes {
			return nil, false, ErrBodyTooLarge
		}
		if expecter != nil && !http10 && header.hasToken("Expect", "100-continue") {
			if _, err := io.WriteString(expecter, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return nil, false, err
			}
		}
		if req.Body, req.TooLarge, err = readBody(r, f, limits); err != nil {
			return req, false, err
		}
	}
	return req, f.keepAlive, nil
}

// ReadResponse reads the response to a request with the method. Responses of status 1xx before it are passed over.
// keepAlive says whether the connection can be used for another request.
//
// Errors are as of ReadRequest.
func ReadResponse(r *bufio.Reader, method string, limits Limits) (resp *Response, keepAlive bool, err error) {
	limits = limits.withDefaults()
	limits.ExcessBytes = 0
	if method == methodConnect {
		return nil, false, unsupported("method CONNECT")
	}
	left := limits.HeaderBytes
	for interim := false; ; interim = true {
		resp, f, err := readResponseHead(r, limits, &left)
		switch {
		case err != nil && interim:
			return nil, false, unexpected(err)
		case err != nil:
			return nil, false, err
		case resp.Status == 101:
			// Nothing here asks for an upgrade.
			return nil, false, unsupported("status 101")
		case resp.Status < 200:
			continue
		}
		if method == methodHead || !hasBody(resp.Status) {
			// A peer that announces a body where there can be none might also send it.
			surprising := resp.Status == 204 && (f.chunked || f.length > 0)
			return resp, f.keepAlive && !surprising, nil
		}
		if !f.chunked && f.length < 0 {
			resp.Body, err = readToEnd(r, limits.BodyBytes)
			f.keepAlive = false
		} else {
			resp.Body, _, err = readBody(r, f, limits)
		}
		if err != nil {
			return nil, false, err
		}
		return resp, f.keepAlive, nil
	}
}

func readResponseHead(r *bufio.Reader, limits Limits, left *int) (*Response, framing, error) {
	head, err := readHead(r, left)
	if err != nil {
		return nil, framing{}, err
	}
	line, head := cutLine(head)
	version, rest, _ := strings.Cut(line, " ")
	http10, err := parseVersion(version)
	if err != nil {
		return nil, framing{}, err
	}
	// The space before an empty reason is left out by some servers.
	code, reason, _ := strings.Cut(rest, " ")
	status, ok := parseStatus(code)
	if !ok || !isText(reason) {
		return nil, framing{}, malformed("status line")
	}
	header, err := parseFields(head, limits.HeaderFields)
	if err != nil {
		return nil, framing{}, err
	}
	f, err := framingOf(header, http10)
	if err != nil {
		return nil, framing{}, err
	}
	return &Response{Status: status, Reason: reason, Header: header}, f, nil
}

// hasBody says whether responses of the status can have a body.
func hasBody(status int) bool { return status >= 200 && status != 204 && status != 304 }

func parseStatus(s string) (int, bool) {
	if len(s) != 3 {
		return 0, false
	}
	status := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		status = 10*status + int(s[i]-'0')
	}
	return status, status >= 100
}

// parseVersion accepts all minor versions: a higher one than ours is to be read as ours.
func parseVersion(s string) (http10 bool, err error) {
	major, minor, ok := strings.Cut(strings.TrimPrefix(s, "HTTP/"), ".")
	if !strings.HasPrefix(s, "HTTP/") || !ok || !isDigit(major) || !isDigit(minor) {
		return false, malformed("protocol version")
	}
	if major != "1" {
		return false, ErrVersion
	}
	return minor == "0", nil
}

func isDigit(s string) bool { return len(s) == 1 && s[0] >= '0' && s[0] <= '9' }

// originForm reduces a target in absolute form to path and query and to its host.
func originForm(method, target string) (path, host string, err error) {
	if target[0] == '/' || target == "*" && method == methodOptions {
		return target, "", nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return "", "", malformed("request target")
	}
	host = rest
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		host, path = rest[:end], rest[end:]
	}
	if path == "" || path[0] == '?' {
		path = "/" + path
	}
	// "@" is not among a host's characters: user names in targets have no use but to mislead.
	if host == "" || !isHost(host) {
		return "", "", malformed("host of the request target")
	}
	return path, host, nil
}

// readHead reads lines up to an empty one, which it leaves out, and takes their size off left. The result is empty if
// the first line is.
func readHead(r *bufio.Reader, left *int) (string, error) {
	var head strings.Builder
	for {
		line, err := readLine(r, *left)
		if err != nil {
			if head.Len() > 0 || len(line) > 0 {
				err = unexpected(err)
			}
			return "", err
		}
		*left -= len(line)
		// RFC 9112 section 2.2 lets start line and fields end with a bare LF.
		if len(line) == 1 || len(line) == 2 && line[0] == '\r' {
			return head.String(), nil
		}
		if head.Len() == 0 {
			// Room for the usual head, so that it is not copied again and again.
			head.Grow(max(512, len(line)))
		}
		head.Write(line)
	}
}

// readLine reads up to and with the next LF. The line is valid until r is used again. With an error it is what was read
// of the line.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(line) <= limit {
			var more []byte
			more, err = r.ReadSlice('\n')
			line = append(line, more...)
		}
	}
	if len(line) > limit {
		return line, ErrHeaderTooLarge
	}
	return line, err
}

// cutLine returns the first line without its end, and the lines after it.
func cutLine(lines string) (line, rest string) {
	line, rest, _ = strings.Cut(lines, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

func parseFields(lines string, limit int) (Header, error) {
	n := strings.Count(lines, "\n")
	if n > limit {
		return nil, ErrHeaderTooLarge
	}
	header := make(Header, 0, n)
	for lines != "" {
		var line string
		line, lines = cutLine(lines)
		field, err := parseField(line)
		if err != nil {
			return nil, err
		}
		header = append(header, field)
	}
	return header, nil
}

// parseField refuses, because whitespace cannot be part of a name, also continuation lines and whitespace before the
// colon, which others read in their own ways.
func parseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return Field{}, malformed("header field name")
	}
	value = trimOWS(value)
	if !isText(value) {
		return Field{}, malformed("value of header field " + name)
	}
	return Field{Name: name, Value: value}, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
