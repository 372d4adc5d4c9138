// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package jsoniter

import (
	"errors"
	"io"
	"math"
	"strconv"
)

const (
	// From largest on and below smallest, numbers are written with an exponent.
	smallest = 1e-6
	largest  = 1e21
)

// Stream writes JSON to memory. Commas between what it writes are the caller's.
type Stream struct {
	// Error is the last error: of a number that JSON has not.
	Error error

	buf []byte
}

// Reset empties the Stream.
func (stream *Stream) Reset(writer io.Writer) {
	stream.buf = stream.buf[:0]
	if writer != nil {
		stream.Error = errors.New("a stream to a writer is not supported: take what Buffer returns")
	}
}

// Buffer returns what was written. It is good until the Stream is reset or returned.
func (stream *Stream) Buffer() []byte { return stream.buf }

// Write writes p as it is. The error is always nil.
func (stream *Stream) Write(p []byte) (int, error) {
	stream.buf = append(stream.buf, p...)
	return len(p), nil
}

// WriteObjectStart begins an object.
func (stream *Stream) WriteObjectStart() { stream.buf = append(stream.buf, '{') }

// WriteObjectField writes the name of a field, and the colon.
func (stream *Stream) WriteObjectField(field string) {
	stream.WriteString(field)
	stream.buf = append(stream.buf, ':')
}

// WriteObjectEnd ends an object.
func (stream *Stream) WriteObjectEnd() { stream.buf = append(stream.buf, '}') }

// WriteArrayStart begins an array.
func (stream *Stream) WriteArrayStart() { stream.buf = append(stream.buf, '[') }

// WriteArrayEnd ends an array.
func (stream *Stream) WriteArrayEnd() { stream.buf = append(stream.buf, ']') }

// WriteMore writes the comma between two elements or fields.
func (stream *Stream) WriteMore() { stream.buf = append(stream.buf, ',') }

// WriteBool writes true or false.
func (stream *Stream) WriteBool(val bool) { stream.buf = strconv.AppendBool(stream.buf, val) }

// WriteInt32 writes an integer.
func (stream *Stream) WriteInt32(val int32) {
	stream.buf = strconv.AppendInt(stream.buf, int64(val), 10)
}

// WriteUint32 writes an integer.
func (stream *Stream) WriteUint32(val uint32) {
	stream.buf = strconv.AppendUint(stream.buf, uint64(val), 10)
}

// WriteFloat64 writes a number with as many digits as it needs to be read back the same. For infinity and NaN it sets
// Error.
func (stream *Stream) WriteFloat64(val float64) {
	size := math.Abs(val)
	switch {
	case math.IsInf(val, 0) || math.IsNaN(val):
		stream.Error = errors.New("JSON has no number for " + strconv.FormatFloat(val, 'f', -1, 64))
	case size != 0 && size < smallest || size >= largest:
		stream.buf = strconv.AppendFloat(stream.buf, val, 'e', -1, 64)
	default:
		stream.buf = strconv.AppendFloat(stream.buf, val, 'f', -1, 64)
	}
}

// WriteString writes a string. Bytes that are not UTF-8 remain as they are.
func (stream *Stream) WriteString(s string) {
	buf := append(stream.buf, '"')
	start := len(buf)
	buf = append(buf, s...)
	if n := plain(buf[start:]); n < len(s) {
		buf = escape(buf[:start+n], s[n:])
	}
	stream.buf = append(buf, '"')
}

// escape appends the rest of a string from the first byte on that needs it.
func escape(buf []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0
	for i := range len(s) {
		c := s[i]
		if !special(c) {
			continue
		}
		buf = append(buf, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			buf = append(buf, '\\', c)
		case '\n':
			buf = append(buf, '\\', 'n')
		case '\r':
			buf = append(buf, '\\', 'r')
		case '\t':
			buf = append(buf, '\\', 't')
		default:
			buf = append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		}
	}
	return append(buf, s[start:]...)
}
