// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// ReadString reads a string, or null as an empty one. Bytes that are not UTF-8 remain as they are; half of a surrogate
// pair becomes U+FFFD.
func (iter *Iterator) ReadString() string {
	const operation = "ReadString"
	switch iter.nextValue() {
	case '"':
		return string(iter.readText(operation))
	case 'n':
		iter.readWord(operation, "null")
	default:
		iter.unexpected(operation, "a string or null")
	}
	return ""
}

// ReadStringAsSlice returns what is between the next two quotation marks, without looking for escapes: it is for text
// that needs none, like base64. The result must not be changed, and is part of what the Iterator reads from.
func (iter *Iterator) ReadStringAsSlice() []byte {
	const operation = "ReadStringAsSlice"
	if iter.nextValue() != '"' {
		iter.unexpected(operation, "a string")
		return nil
	}
	iter.head++
	rest := iter.buf[iter.head:]
	n := bytes.IndexByte(rest, '"')
	if n < 0 {
		iter.atEnd(operation)
		return nil
	}
	iter.head += n + 1
	return rest[:n:n]
}

// readText reads a string from its quotation mark on. The result is good until the next call.
func (iter *Iterator) readText(operation string) []byte {
	iter.head++
	start := iter.head
	n := plain(iter.buf[start:])
	iter.head += n
	switch {
	case iter.head == len(iter.buf):
		iter.atEnd(operation)
	case iter.buf[iter.head] == '"':
		iter.head++
		return iter.buf[start : start+n]
	case iter.buf[iter.head] == '\\':
		iter.unescaped = append(iter.unescaped[:0], iter.buf[start:start+n]...)
		return iter.readEscaped(operation)
	default:
		iter.unexpected(operation, "no control character in a string")
	}
	return nil
}

// readEscaped reads a string from its first escape on. Control characters are taken there, as the original does.
func (iter *Iterator) readEscaped(operation string) []byte {
	for iter.head < len(iter.buf) {
		c := iter.buf[iter.head]
		iter.head++
		switch c {
		case '"':
			return iter.unescaped
		case '\\':
			if !iter.readEscape(operation) {
				return nil
			}
		default:
			n := plain(iter.buf[iter.head:])
			iter.unescaped = append(iter.unescaped, iter.buf[iter.head-1:iter.head+n]...)
			iter.head += n
		}
	}
	iter.atEnd(operation)
	return nil
}

// readEscape reads what follows a backslash.
func (iter *Iterator) readEscape(operation string) bool {
	if iter.head == len(iter.buf) {
		return iter.atEnd(operation)
	}
	c := iter.buf[iter.head]
	switch c {
	case 'u':
		return iter.readUnicode(operation)
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	default:
		iter.unexpected(operation, "an escape")
		return false
	}
	iter.head++
	iter.unescaped = append(iter.unescaped, c)
	return true
}

// readUnicode reads one escape of four digits, or two where the first is a surrogate.
func (iter *Iterator) readUnicode(operation string) bool {
	r, ok := iter.readUnit(operation)
	if !ok {
		return false
	}
	rest := iter.buf[iter.head:]
	if !utf16.IsSurrogate(r) || len(rest) < 2 || rest[0] != '\\' || rest[1] != 'u' {
		iter.unescaped = utf8.AppendRune(iter.unescaped, r)
		return true
	}
	iter.head++
	second, ok := iter.readUnit(operation)
	if !ok {
		return false
	}
	if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
		iter.unescaped = utf8.AppendRune(iter.unescaped, pair)
		return true
	}
	iter.unescaped = utf8.AppendRune(utf8.AppendRune(iter.unescaped, r), second)
	return true
}

// readUnit reads u and four hexadecimal digits.
func (iter *Iterator) readUnit(operation string) (rune, bool) {
	var r rune
	iter.head++
	for range 4 {
		if iter.head == len(iter.buf) {
			return 0, iter.atEnd(operation)
		}
		c := iter.buf[iter.head]
		switch {
		case isDigit(c):
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			iter.unexpected(operation, "four hexadecimal digits")
			return 0, false
		}
		iter.head++
		r = r<<4 | rune(c)
	}
	return r, true
}

// atEnd reports that the input is cut off. It returns false.
func (iter *Iterator) atEnd(operation string) bool {
	iter.head = len(iter.buf)
	iter.ReportError(operation, "unexpected end")
	return false
}
