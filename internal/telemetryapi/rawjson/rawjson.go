// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package rawjson walks JSON text without decoding it.
//
// Telemetry batches are read in the function's CPU time, mostly to find two or three keys in them, and one bad element
// must not cost the ones around it. encoding/json offers neither: it decodes everything, and it gives up on the rest
// of a stream at the first syntax error. The functions here only look for where values begin and end. Whether a value
// is well-formed is for json.Valid to say.
package rawjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '[' {
		return nil, ErrNotArray
	}
	a := &Array{text: text, pos: skipSpace(text, i+1)}
	if a.pos < len(text) && text[a.pos] == ']' {
		a.finish()
	}
	return a, nil
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
	switch a.text[end] {
	case ',':
		a.pos = end + 1
	case ']':
		a.pos = end
		a.finish()
	default:
		return nil, a.fail("unexpected %q at byte %d", a.text[end], end)
	}
	return element, true
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
		a, err := OpenArray(array)
		if err != nil {
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

// String returns what a JSON string says, always as valid UTF-8: what is not becomes U+FFFD. It is false when raw is
// not a JSON string.
func String(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", false
	}
	return s, true
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
