// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package guard

// maxNesting bounds the recursion of skip. Lambda's answers nest twice.
const maxNesting = 64

// scanner reads fields of a JSON object without encoding/json, whose reflection would double the program. It is lenient:
// at the first thing it does not understand it stops, and what was read until then stays.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

// object calls field with each key of an object. field has to consume the value.
func (s *scanner) object(field func(key string)) {
	if !s.take('{') || s.take('}') {
		return
	}
	for {
		key := s.str()
		if !s.take(':') {
			return
		}
		field(key)
		if !s.take(',') {
			s.take('}')
			return
		}
	}
}

// take consumes a character after white space, if it is the next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// peek skips white space and returns the next character, 0 if there is none.
func (s *scanner) peek() byte {
	for !s.bad && s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// str reads a string, with escapes as they are: no text that is looked for has any. Any other value is skipped and reads
// as an empty one.
func (s *scanner) str() string {
	if s.peek() != '"' {
		s.skip(0)
		return ""
	}
	start := s.at + 1
	s.skipString()
	if s.bad {
		return ""
	}
	return string(s.text[start : s.at-1])
}

// number reads a number, also one in quotes. Any other value is skipped and reads as an empty one.
func (s *scanner) number() string {
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '-' || (c >= '0' && c <= '9'):
		start := s.at
		s.skipLiteral()
		return string(s.text[start:s.at])
	default:
		s.skip(0)
		return ""
	}
}

// skip consumes a value.
func (s *scanner) skip(depth int) {
	switch c := s.peek(); c {
	case 0:
		s.bad = true
	case '"':
		s.skipString()
	case '{', '[':
		if depth == maxNesting {
			s.bad = true
			return
		}
		s.at++
		for !s.bad && !s.take(c+2) { // both closing brackets are two after the opening ones
			if s.take(',') || s.take(':') {
				continue
			}
			s.skip(depth + 1)
		}
	default:
		s.skipLiteral()
	}
}

func (s *scanner) skipString() {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = len(s.text)
	s.bad = true
}

// skipLiteral consumes a number or a word, at least one character.
func (s *scanner) skipLiteral() {
	for start := s.at; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ',', ':', '{', '}', '[', ']', '"', ' ', '\t', '\r', '\n':
			if s.at == start {
				s.bad = true
			}
			return
		}
	}
}
