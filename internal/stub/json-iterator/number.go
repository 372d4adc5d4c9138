// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"math"
	"strconv"
)

// maxExact is how long a number may be for exact: with a point it has one digit less, and is below 1<<53.
const maxExact = 16

var powersOfTen = [maxExact]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// ReadInt32 reads an integer.
func (iter *Iterator) ReadInt32() int32 { return int32(iter.readSigned("ReadInt32", math.MaxInt32)) }

// ReadInt64 reads an integer.
func (iter *Iterator) ReadInt64() int64 { return iter.readSigned("ReadInt64", math.MaxInt64) }

// ReadUint32 reads an integer.
func (iter *Iterator) ReadUint32() uint32 {
	iter.nextValue()
	return uint32(iter.readDigits("ReadUint32", math.MaxUint32))
}

// ReadUint64 reads an integer.
func (iter *Iterator) ReadUint64() uint64 {
	iter.nextValue()
	return iter.readDigits("ReadUint64", math.MaxUint64)
}

// ReadFloat32 reads a number, to the nearest float32. One beyond its range is an error.
func (iter *Iterator) ReadFloat32() float32 { return float32(iter.readFloat("ReadFloat32", 32)) }

// ReadFloat64 reads a number, to the nearest float64. One beyond its range is an error.
func (iter *Iterator) ReadFloat64() float64 { return iter.readFloat("ReadFloat64", 64) }

// readSigned reads an integer from -limit-1 to limit.
func (iter *Iterator) readSigned(operation string, limit uint64) int64 {
	if iter.nextValue() != '-' {
		return int64(iter.readDigits(operation, limit))
	}
	iter.head++
	return -int64(iter.readDigits(operation, limit+1))
}

// readDigits reads an integer without a sign that is at most limit.
func (iter *Iterator) readDigits(operation string, limit uint64) uint64 {
	var value uint64
	most, last := limit/10, limit%10
	i := iter.head
	for ; i < len(iter.buf) && isDigit(iter.buf[i]); i++ {
		digit := uint64(iter.buf[i] - '0')
		if value > most || value == most && digit > last {
			iter.ReportError(operation, "a number beyond "+strconv.FormatUint(limit, 10))
			return 0
		}
		value = 10*value + digit
		if value == 0 {
			i++ // nothing follows a zero
			break
		}
	}
	if i == iter.head {
		iter.unexpected(operation, "a digit")
		return 0
	}
	// Of a zero, unlike of other numbers, the original knows that no digit can follow.
	if value == 0 && i == len(iter.buf) {
		iter.head = i
		return 0
	}
	if !iter.endNumber(operation, i) {
		return 0
	}
	return value
}

func (iter *Iterator) readFloat(operation string, bits int) float64 {
	iter.nextValue()
	text := iter.readNumber(operation)
	if text == nil {
		return 0
	}
	if bits == 64 && len(text) <= maxExact {
		if value, ok := exact(text); ok {
			return value
		}
	}
	value, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		iter.ReportError(operation, "a number beyond the range of a float"+strconv.Itoa(bits))
		return 0
	}
	return value
}

// exact returns the value of a short number, unless it has an exponent. Its digits, and the power of ten that they are
// divided by, are float64s without rounding, so there is one rounding, like in ParseFloat.
func exact(text []byte) (float64, bool) {
	var digits uint64
	point := len(text) - 1
	for i, c := range text {
		switch {
		case isDigit(c):
			digits = 10*digits + uint64(c-'0')
		case c == '.':
			point = i
		case c != '-':
			return 0, false
		}
	}
	value := float64(digits) / powersOfTen[len(text)-1-point]
	if text[0] == '-' {
		value = -value
	}
	return value, true
}

// readNumber goes over a number and returns it, or nil if it is none.
func (iter *Iterator) readNumber(operation string) []byte {
	start := iter.head
	if start < len(iter.buf) && iter.buf[start] == '-' {
		iter.head++
	}
	end := iter.head + 1
	if iter.head == len(iter.buf) || iter.buf[iter.head] != '0' {
		if end = iter.digits(operation, iter.head); end < 0 {
			return nil
		}
	}
	if end < len(iter.buf) && iter.buf[end] == '.' {
		if end = iter.digits(operation, end+1); end < 0 {
			return nil
		}
	}
	if end < len(iter.buf) && iter.buf[end]|0x20 == 'e' {
		if end++; end < len(iter.buf) && (iter.buf[end] == '+' || iter.buf[end] == '-') {
			end++
		}
		if end = iter.digits(operation, end); end < 0 {
			return nil
		}
	}
	if !iter.endNumber(operation, end) {
		return nil
	}
	return iter.buf[start:end]
}

// digits returns where the digits at i end, or -1 if there are none.
func (iter *Iterator) digits(operation string, i int) int {
	end := i
	for end < len(iter.buf) && isDigit(iter.buf[end]) {
		end++
	}
	if end == i {
		iter.head = i
		iter.unexpected(operation, "a digit")
		return -1
	}
	return end
}

// endNumber ends a number at i, and reports what cannot follow one: more digits after a zero, the fraction of an integer.
func (iter *Iterator) endNumber(operation string, i int) bool {
	iter.head = i
	if i == len(iter.buf) {
		iter.reachEnd()
		return true
	}
	switch iter.buf[i] {
	case ',', ']', '}', ' ', '\n', '\t', '\r':
		return true
	}
	iter.unexpected(operation, "the number to end")
	return false
}

func isDigit(c byte) bool { return c-'0' <= 9 }
