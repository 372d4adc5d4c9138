// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"encoding/binary"
	"math/bits"
)

const (
	// word is how many bytes are looked at together.
	word = 8
	// each is 1 in each byte of a word, top the highest bit of each.
	each = 0x0101_0101_0101_0101
	top  = 0x80 * each
)

// plain returns how many bytes at the beginning of text stand for themselves in a string: up to the first quotation mark,
// backslash or control character.
func plain(text []byte) int {
	i := 0
	for ; i+word <= len(text); i += word {
		x := binary.LittleEndian.Uint64(text[i:])
		// Subtracting sets the highest bit of a byte that is too small, and maybe those of the bytes after it: only the
		// first counts. Bytes that have it already are no ASCII.
		quote, backslash := x^('"'*each), x^('\\'*each)
		found := ((x - ' '*each) | (quote - each) | (backslash - each)) & ^x & top
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(text) && !special(text[i]); i++ {
	}
	return i
}

func special(c byte) bool { return c < ' ' || c == '"' || c == '\\' }
