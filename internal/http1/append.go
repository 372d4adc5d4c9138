// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"strconv"
)

// AppendRequest appends the request as it is sent to host, which is "host:port" or "host".
//
// It returns ErrUnwritable, and dst as it was, if method, target, host or a header field contain what must not be there.
func AppendRequest(dst []byte, req *Request, host string) ([]byte, error) {
	switch {
	case !isToken(req.Method) || req.Method == methodConnect:
		return dst, unwritable("method")
	case !isTarget(req.Target) || req.Target[0] != '/' && (req.Target != "*" || req.Method != methodOptions):
		return dst, unwritable("request target")
	case !isHost(host):
		return dst, unwritable("host")
	}
	out := append(dst, req.Method...)
	out = append(out, ' ')
	out = append(out, req.Target...)
	out = append(out, " HTTP/1.1\r\nHost: "...)
	out = append(out, host...)
	out = append(out, "\r\n"...)
	out, err := appendFields(out, req.Header, true)
	if err != nil {
		return dst, err
	}
	// RFC 9110 section 8.6: an empty body is announced only where the method would have one.
	if len(req.Body) > 0 || req.Method == methodPost || req.Method == methodPut || req.Method == methodPatch {
		out = appendLength(out, len(req.Body))
	}
	out = append(out, "\r\n"...)
	return append(out, req.Body...), nil
}

// AppendResponse appends the response; without keepAlive it tells the peer that the connection will be closed.
//
// It returns ErrUnwritable, and dst as it was, if the status is not one of a final response, if the status does not go
// with a body, or if reason or a header field contain what must not be there.
func AppendResponse(dst []byte, resp *Response, keepAlive bool) ([]byte, error) {
	out, err := appendResponseHead(dst, resp, keepAlive)
	if err != nil {
		return dst, err
	}
	return append(out, resp.Body...), nil
}

func appendResponseHead(dst []byte, resp *Response, keepAlive bool) ([]byte, error) {
	switch {
	case resp.Status < 200 || resp.Status > 999:
		return dst, unwritable("status " + strconv.Itoa(resp.Status))
	case !hasBody(resp.Status) && len(resp.Body) > 0:
		return dst, unwritable("body with status " + strconv.Itoa(resp.Status))
	case !isText(resp.Reason):
		return dst, unwritable("reason")
	}
	reason := resp.Reason
	if reason == "" {
		reason = reasonOf(resp.Status)
	}
	out := append(dst, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(resp.Status), 10)
	out = append(out, ' ')
	out = append(out, reason...)
	out = append(out, "\r\n"...)
	out, err := appendFields(out, resp.Header, false)
	if err != nil {
		return dst, err
	}
	if !keepAlive {
		out = append(out, "Connection: close\r\n"...)
	}
	if hasBody(resp.Status) {
		out = appendLength(out, len(resp.Body))
	}
	return append(out, "\r\n"...), nil
}

func appendLength(dst []byte, length int) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(length), 10)
	return append(dst, "\r\n"...)
}

func appendFields(dst []byte, header Header, request bool) ([]byte, error) {
	for _, f := range header {
		switch {
		case !isToken(f.Name):
			return nil, unwritable("header field name")
		case !isText(f.Value):
			return nil, unwritable("value of header field " + f.Name)
		case isHop(f.Name) || request && isRequestHop(f.Name) || header.hasToken("Connection", f.Name):
			continue
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return dst, nil
}

// isHop says whether a field is about the connection it came over or about a framing that was undone.
func isHop(name string) bool {
	return equalFold(name, "Connection") || equalFold(name, "Content-Length") ||
		equalFold(name, "Transfer-Encoding") || equalFold(name, "Keep-Alive") ||
		equalFold(name, "Proxy-Connection") || equalFold(name, "TE") ||
		equalFold(name, "Trailer") || equalFold(name, "Upgrade")
}

// isRequestHop says the same of fields in requests: the host is another one, and the body is sent without waiting.
func isRequestHop(name string) bool {
	return equalFold(name, "Host") || equalFold(name, "Expect")
}

// reasonOf returns the usual reason of the statuses that the Lambda APIs and this package use. A reason has no meaning
// to programs and may be empty.
func reasonOf(status int) string {
	switch status {
	case 200:
		return "OK"
	case 202:
		return "Accepted"
	case 204:
		return "No Content"
	case 400:
		return "Bad Request"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 413:
		return "Content Too Large"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	default:
		return ""
	}
}
