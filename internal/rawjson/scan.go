// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep values may be nested. It is encoding/json's limit: whoever reads a value further is to find it
// as valid as the scanner did.
const maxDepth = 10000

// Object calls field, unless it is nil, with the name and the value of each field of the JSON object in text, in the order
// of the text and with duplicates. Names come without quotes and escapes. The text is checked on the way, in the same pass: the
// result is false when it is not one well-formed object, and then what field was told is worthless.
func Object(text []byte, field func(name, value []byte)) bool {
	end := scanObject(text, skipSpace(text, 0), 1, field)
	return end >= 0 && skipSpace(text, end) == len(text)
}

// scanValue returns the position behind the value that begins at i, or -1 if no well-formed value does. White space
// before the value is not its part. All the functions below have such results.
func scanValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		end, _ := scanString(b, i)
		return end
	case '{':
		return scanObject(b, i, depth+1, nil)
	case '[':
		return scanArray(b, i, depth+1)
	case 't':
		return scanLiteral(b, i, "true")
	case 'f':
		return scanLiteral(b, i, "false")
	case 'n':
		return scanLiteral(b, i, "null")
	default:
		return scanNumber(b, i)
	}
}

// scanObject calls field, if there is one, as Object does.
func scanObject(b []byte, i, depth int, field func(name, value []byte)) int {
	if i >= len(b) || b[i] != '{' || depth > maxDepth {
		return -1
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return -1
		}
		keyEnd, escaped := scanString(b, i)
		if keyEnd < 0 {
			return -1
		}
		start := skipSpace(b, keyEnd)
		if start >= len(b) || b[start] != ':' {
			return -1
		}
		start = skipSpace(b, start+1)
		end := scanValue(b, start, depth)
		if end < 0 {
			return -1
		}
		if field != nil {
			field(nameOf(b[i:keyEnd], escaped), b[start:end])
		}
		i = skipSpace(b, end)
		switch {
		case i >= len(b):
			return -1
		case b[i] == '}':
			return i + 1
		case b[i] != ',':
			return -1
		}
		i = skipSpace(b, i+1)
	}
}

func nameOf(key []byte, escaped bool) []byte {
	if escaped {
		s, _ := String(key)
		return []byte(s)
	}
	return key[1 : len(key)-1]
}

func scanArray(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		end := scanValue(b, i, depth)
		if end < 0 {
			return -1
		}
		i = skipSpace(b, end)
		switch {
		case i >= len(b):
			return -1
		case b[i] == ']':
			return i + 1
		case b[i] != ',':
			return -1
		}
		i = skipSpace(b, i+1)
	}
}

// scanString says too whether there are escapes in the string. What is not UTF-8 passes, as it does with json.Valid.
func scanString(b []byte, i int) (end int, escaped bool) {
	for i = plainEnd(b, i+1); i < len(b); i = plainEnd(b, i) {
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			if i = scanEscape(b, i); i < 0 {
				return -1, true
			}
		default:
			return -1, escaped
		}
	}
	return -1, escaped
}

// plainEnd returns the position of the first byte, from i on, that is not just itself in a string: a quote, a
// backslash, or a control character. It looks at eight bytes at a time, since most of the text is in strings.
func plainEnd(b []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := x^'"'*ones, x^'\\'*ones
		// The high bit of a byte is set where the subtraction of that byte borrowed: at control characters and where
		// the other two are zero. Only the lowest of the bits can be relied on, a borrow may go on to the next byte.
		special := (x-' '*ones)&^x | (quote-ones)&^quote | (backslash-ones)&^backslash
		if special &= highs; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

func scanEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if hex4(b, i+2) >= 0 {
			return i + 6
		}
	}
	return -1
}

// hex4 is the number that the four hexadecimal digits at i are, or -1 if they are not.
func hex4(b []byte, i int) rune {
	if i+4 > len(b) {
		return -1
	}
	var n rune
	for _, c := range b[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		n = n<<4 | rune(c)
	}
	return n
}

func scanLiteral(b []byte, i int, literal string) int {
	end := i + len(literal)
	if end > len(b) || string(b[i:end]) != literal {
		return -1
	}
	return end
}

func scanNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = scanDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = scanDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return scanDigits(b, i)
	}
	return i
}

// scanDigits wants one digit at least.
func scanDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// ValidNumber reports whether text is a JSON number and nothing else.
func ValidNumber(text []byte) bool {
	return len(text) > 0 && scanNumber(text, 0) == len(text)
}
