// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import "strings"

// The methods that are treated differently.
const (
	methodConnect = "CONNECT"
	methodHead    = "HEAD"
	methodOptions = "OPTIONS"
	methodPatch   = "PATCH"
	methodPost    = "POST"
	methodPut     = "PUT"
)

// tokenPunctuation is what a token may contain besides letters and digits (RFC 9110 section 5.6.2).
const tokenPunctuation = "!#$%&'*+-.^_`|~"

func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte(tokenPunctuation, c) >= 0
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

// isText says whether s may stand in a header value or a reason phrase: no control characters but tab. Those other than
// CR, LF and NUL are merely invalid and could be kept, but nobody sends them.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// isTarget says whether s may stand in the request line. It is more lenient than the URI grammar, which many clients
// do not follow in queries, where that does no harm.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return s != ""
}

// isHost says whether s looks like host or host:port; "" is a host, for targets that have none.
func isHost(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("-._~!$&'()*+,;=:[]%", s[i]) < 0 {
			return false
		}
	}
	return true
}

// trimOWS removes optional whitespace, which is only space and tab, unlike what strings.TrimSpace takes for it.
func trimOWS(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// equalFold compares without regard to the case of ASCII letters. In Unicode, which strings.EqualFold knows, the sign for
// Kelvin is a "k", so that chunked could be spelled in a way that others do not recognize.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
