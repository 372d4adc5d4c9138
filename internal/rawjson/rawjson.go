// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package rawjson walks JSON text without decoding it, and writes the strings of small texts.
//
// Telemetry batches are read in the function's CPU time, mostly to find two or three keys in them, and one bad element
// must not cost the ones around it. encoding/json offers neither: it decodes everything, and it gives up on the rest
// of a stream at the first syntax error. Object and Array.NextObject check all they pass; the other functions only look
// for where values begin and end, which is enough inside of what has been checked.
package rawjson

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrNotArray says that a text is not a JSON array.
var ErrNotArray = errors.New("not a JSON array")

// Kind is what a JSON value is, as far as its first byte tells.
type Kind int

// The kinds of values.
const (
	KindInvalid Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// KindOf says what the value in raw is. It looks at the first byte that is not white space only.
func KindOf(raw []byte) Kind {
	i := skipSpace(raw, 0)
	if i == len(raw) {
		return KindInvalid
	}
	switch c := raw[i]; {
	case c == '{':
		return KindObject
	case c == '[':
		return KindArray
	case c == '"':
		return KindString
	case c == 't' || c == 'f':
		return KindBool
	case c == 'n':
		return KindNull
	case c == '-' || '0' <= c && c <= '9':
		return KindNumber
	default:
		return KindInvalid
	}
}

// Array reads the elements of a JSON array that may be broken.
type Array struct {
	text []byte
	pos  int
	done bool
	err  error
}

// OpenArray starts reading text. The error is ErrNotArray when text does not begin as an array does.
func OpenArray(text []byte) (*Array, error) {
	a := &Array{}
	if !a.open(text) {
		return nil, ErrNotArray
	}
	return a, nil
}

func (a *Array) open(text []byte) bool {
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '[' {
		return false
	}
	a.text, a.pos = text, skipSpace(text, i+1)
	if a.pos < len(text) && text[a.pos] == ']' {
		a.finish()
	}
	return true
}

// Next returns the text of the next element without white space around it. The element's own syntax is not checked,
// and it is empty where an element is missing between two commas. Next returns false at the end of the array, and
// where the array breaks off; Err tells these apart.
func (a *Array) Next() (element []byte, ok bool) {
	if a.done {
		return nil, false
	}
	end := extent(a.text, a.pos)
	if end < 0 {
		return nil, a.fail("the array breaks off at byte %d of %d", a.pos, len(a.text))
	}
	element = bytes.Trim(a.text[a.pos:end], space)
	if !a.advance(end) {
		return nil, a.fail("unexpected %q at byte %d", a.text[end], end)
	}
	return element, true
}

// NextObject goes on to the next element, as Next does, and calls field for each of its fields, as Object does. valid
// says that the element is a well-formed object; when it is not, what field was told is worthless.
func (a *Array) NextObject(field func(name, value []byte)) (valid, ok bool) {
	if a.done {
		return false, false
	}
	if end := scanObject(a.text, skipSpace(a.text, a.pos), 1, field); end >= 0 {
		if end = skipSpace(a.text, end); end < len(a.text) && a.advance(end) {
			return true, true
		}
	}
	// Where a broken element ends is a guess, which is Next's.
	_, ok = a.Next()
	return false, ok
}

// advance goes on behind an element that ends at the given position. It is false when elements do not end like that.
func (a *Array) advance(end int) bool {
	switch a.text[end] {
	case ',':
		a.pos = end + 1
	case ']':
		a.pos = end
		a.finish()
	default:
		return false
	}
	return true
}

// Err says why reading ended before the end of the array.
func (a *Array) Err() error { return a.err }

// finish ends reading at the closing bracket, which a.pos points at. Anything but white space behind it means that
// the text is not what its sender wanted it to be; the elements are good all the same.
func (a *Array) finish() {
	a.done = true
	if rest := skipSpace(a.text, a.pos+1); rest < len(a.text) {
		a.err = fmt.Errorf("unexpected %q at byte %d, behind the array", a.text[rest], rest)
	}
}

func (a *Array) fail(format string, args ...any) bool {
	a.done = true
	a.err = fmt.Errorf(format, args...)
	return false
}

// Elements iterates over the elements of a valid JSON array. It yields nothing for another value.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var a Array // on the stack
		if !a.open(array) {
			return
		}
		for element, ok := a.Next(); ok; element, ok = a.Next() {
			if !yield(element) {
				return
			}
		}
	}
}

// Fields iterates over the keys and values of a valid JSON object, in the order of the text and with duplicates. Keys
// are JSON strings still, with their quotes: pass them to String, or compare them with Is. It yields nothing for
// another value.
func Fields(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		i := skipSpace(object, 0)
		if i == len(object) || object[i] != '{' {
			return
		}
		for i++; ; i++ {
			i = skipSpace(object, i)
			if i == len(object) || object[i] != '"' {
				return
			}
			keyEnd := endOfString(object, i)
			if keyEnd < 0 {
				return
			}
			key := object[i : keyEnd+1]
			i = skipSpace(object, keyEnd+1)
			if i == len(object) || object[i] != ':' {
				return
			}
			end := extent(object, i+1)
			if end < 0 {
				return
			}
			if !yield(key, bytes.Trim(object[i+1:end], space)) || object[end] != ',' {
				return
			}
			i = end
		}
	}
}

// Is reports whether key, as Fields yields it, is the given name.
func Is(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') >= 0 {
		s, ok := String(key)
		return ok && s == name
	}
	return len(key) == len(name)+2 && string(key[1:len(key)-1]) == name
}

// String returns what a valid JSON string says, always as valid UTF-8: each byte that is not becomes U+FFFD, and so
// does half a surrogate pair. The string has memory of its own. It is false when raw is not a JSON string.
func String(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	valid := utf8.Valid(inner)
	if valid && bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return unescape(inner, valid)
}

// unescape is told whether inner is valid UTF-8.
func unescape(inner []byte, valid bool) (string, bool) {
	var s strings.Builder
	s.Grow(len(inner))
	for {
		n := bytes.IndexByte(inner, '\\')
		if n < 0 {
			writeValid(&s, inner, valid)
			return s.String(), true
		}
		writeValid(&s, inner[:n], valid)
		if n+1 == len(inner) {
			return "", false
		}
		inner = inner[n:]
		if inner[1] == 'u' {
			r, size := unescapeRune(inner)
			if size == 0 {
				return "", false
			}
			s.WriteRune(r)
			inner = inner[size:]
			continue
		}
		c := unescapeByte(inner[1])
		if c == 0 {
			return "", false
		}
		s.WriteByte(c)
		inner = inner[2:]
	}
}

// unescapeByte returns what a backslash before c stands for, or 0 if for nothing.
func unescapeByte(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return 0
	}
}

// unescapeRune reads \uXXXX, or two of them that are a surrogate pair. size is 0 when text does not begin so.
func unescapeRune(text []byte) (r rune, size int) {
	if r = hex4(text, 2); r < 0 {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(text) > 7 && text[6] == '\\' && text[7] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(text, 8)); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// writeValid writes U+FFFD for each byte that is not UTF-8.
func writeValid(s *strings.Builder, text []byte, valid bool) {
	if valid {
		s.Write(text)
		return
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		s.WriteRune(r)
		text = text[size:]
	}
}

// AppendString appends text as a JSON string. Each byte that is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// AppendStrings appends texts as a JSON array of strings.
func AppendStrings[S ~string](dst []byte, texts []S) []byte {
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, string(text))
	}
	return append(dst, ']')
}

// Float returns what a valid JSON number says. It is false when raw is not one, or one that a float64 cannot hold.
func Float(raw []byte) (float64, bool) {
	if KindOf(raw) != KindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, false
	}
	return f, true
}

// space is the white space of JSON.
const space = " \t\r\n"

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// extent returns the position of the comma or closing bracket that ends the value beginning at i, or -1 when the text
// ends first. Brackets are counted, not matched.
func extent(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = endOfString(b, i); i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// endOfString returns the position of the quote that ends the string beginning at i, or -1.
func endOfString(b []byte, i int) int {
	for from := i + 1; ; {
		n := bytes.IndexByte(b[from:], '"')
		if n < 0 {
			return -1
		}
		quote := from + n
		escapes := 0
		for k := quote - 1; k >= from && b[k] == '\\'; k-- {
			escapes++
		}
		if escapes%2 == 0 {
			return quote
		}
		from = quote + 1
	}
}
