// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"errors"
	"io"
	"strconv"
)

const (
	// maxDepth is how deep arrays and objects may be nested. Who reads them calls itself for each level, and a Go
	// program that runs out of stack ends.
	maxDepth = 10_000
	// maxName is the longest field name that is remembered. Those of OTLP are shorter.
	maxName = 32
	// rememberedNames is a power of two above the number of OTLP's field names in a signal.
	rememberedNames = 64
)

// ValueType is what kind of value comes next.
type ValueType int

const (
	otherValue ValueType = iota
	// StringValue is a string.
	StringValue
	// NumberValue is a number.
	NumberValue
)

// Iterator reads JSON from memory. What is read is checked for being JSON, not what comes after it.
//
// Like the original it goes on after an object at a field without a name, as if the object had ended there, because
// ReadObject says with an empty name that it has.
type Iterator struct {
	// Error is the first error. After it, nothing is read. io.EOF is one that another replaces: the end was reached by
	// looking for what comes next, or by reading a number, which may go on.
	Error error

	buf  []byte
	head int
	// depth is how many arrays and objects are open, those of Skip included.
	depth int
	// expectsValue is whether a value has to come next, rather than what separates or ends.
	expectsValue bool
	// unescaped is the memory of strings with escapes.
	unescaped []byte
	// names are field names that were read before, which need no memory again.
	names [rememberedNames]string
}

// ResetBytes sets iter to the beginning of input. The Error remains.
func (iter *Iterator) ResetBytes(input []byte) *Iterator {
	iter.buf, iter.head, iter.depth, iter.expectsValue = input, 0, 0, true
	return iter
}

// WhatIsNext tells the kind of the next value without reading it.
func (iter *Iterator) WhatIsNext() ValueType {
	switch c := iter.next(); {
	case c == '"':
		return StringValue
	case c == '-' || isDigit(c):
		return NumberValue
	default:
		return otherValue
	}
}

// ReadBool reads true or false.
func (iter *Iterator) ReadBool() bool {
	const operation = "ReadBool"
	switch iter.nextValue() {
	case 't':
		return iter.readWord(operation, "true")
	case 'f':
		iter.readWord(operation, "false")
	default:
		iter.unexpected(operation, "true or false")
	}
	return false
}

// ReadArray goes to the next element of an array. It returns false at the end, and for null in place of an array.
func (iter *Iterator) ReadArray() bool {
	const operation = "ReadArray"
	if !iter.expectsValue {
		return iter.separated(operation, ']')
	}
	switch iter.nextValue() {
	case '[':
		return iter.open(operation, ']')
	case 'n':
		iter.readWord(operation, "null")
	default:
		iter.unexpected(operation, "[ or null")
	}
	return false
}

// ReadObject goes to the next field of an object, and returns its name. It is empty at the end, and for null in place of
// an object.
func (iter *Iterator) ReadObject() string {
	const operation = "ReadObject"
	more := false
	if !iter.expectsValue {
		more = iter.separated(operation, '}')
	} else {
		switch iter.nextValue() {
		case '{':
			more = iter.open(operation, '}')
		case 'n':
			iter.readWord(operation, "null")
		default:
			iter.unexpected(operation, "{ or null")
		}
	}
	if !more {
		return ""
	}
	return iter.remember(iter.readName(operation))
}

// open goes into an array or object that end ends, and returns false if it is empty.
func (iter *Iterator) open(operation string, end byte) bool {
	if iter.depth++; iter.depth > maxDepth {
		iter.ReportError(operation, "nested more than "+strconv.Itoa(maxDepth)+" deep")
		return false
	}
	iter.head++
	if iter.next() == end {
		iter.close()
		return false
	}
	iter.expectsValue = true
	return iter.head < len(iter.buf) || iter.atEnd(operation)
}

func (iter *Iterator) close() {
	iter.head++
	iter.depth--
	iter.expectsValue = false
}

// separated goes over what follows an element, and returns whether another one comes.
func (iter *Iterator) separated(operation string, end byte) bool {
	switch iter.next() {
	case ',':
		iter.head++
		iter.expectsValue = true
		return true
	case end:
		iter.close()
	default:
		iter.unexpected(operation, ", or "+string(end))
	}
	return false
}

// readName reads the name of a field, and the colon.
func (iter *Iterator) readName(operation string) []byte {
	if iter.next() != '"' {
		iter.unexpected(operation, "a field name")
		return nil
	}
	name := iter.readText(operation)
	if iter.next() != ':' {
		iter.unexpected(operation, "a colon")
		return nil
	}
	iter.head++
	iter.expectsValue = true
	return name
}

// remember returns name as a string: that of the last time, if it can.
func (iter *Iterator) remember(name []byte) string {
	n := len(name)
	if n == 0 || n > maxName {
		return string(name)
	}
	known := &iter.names[(int(name[0])+3*int(name[n-1])+5*int(name[n/2])+7*n)%rememberedNames]
	if *known != string(name) {
		*known = string(name)
	}
	return *known
}

func (iter *Iterator) readWord(operation, word string) bool {
	rest := iter.buf[iter.head:]
	if len(rest) < len(word) || string(rest[:len(word)]) != word {
		iter.ReportError(operation, "expected "+word)
		return false
	}
	iter.head += len(word)
	return true
}

// nextValue is next for who reads a value.
func (iter *Iterator) nextValue() byte {
	c := iter.next()
	iter.expectsValue = false
	return c
}

// next goes over white space and returns the byte there, 0 at the end.
func (iter *Iterator) next() byte {
	for i := iter.head; i < len(iter.buf); i++ {
		switch c := iter.buf[i]; c {
		case ' ', '\n', '\t', '\r':
		default:
			iter.head = i
			return c
		}
	}
	iter.reachEnd()
	return 0
}

func (iter *Iterator) reachEnd() {
	iter.head = len(iter.buf)
	if iter.Error == nil {
		iter.Error = io.EOF
	}
}

// unexpected reports that something other than want is next.
func (iter *Iterator) unexpected(operation, want string) {
	found := "the end"
	if iter.head < len(iter.buf) {
		found = strconv.QuoteToASCII(string(iter.buf[iter.head : iter.head+1]))
	}
	iter.ReportError(operation, "expected "+want+", found "+found)
}

// ReportError sets Error, if there is none yet, and ends the reading. It says at which byte that was, from 0.
func (iter *Iterator) ReportError(operation, msg string) {
	if iter.Error == nil || iter.Error == io.EOF { //nolint:errorlint // it is set here, unwrapped
		iter.Error = errors.New(operation + ": " + msg + " at byte " + strconv.Itoa(iter.head))
	}
	iter.head = len(iter.buf)
}
