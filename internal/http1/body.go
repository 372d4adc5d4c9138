// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"io"
	"slices"
)

// bodyStep is how much memory a body gets ahead of its bytes, so that a length that was only announced costs little.
const bodyStep = 64 << 10

// minGrowth is how much more memory there is at least for a body of unknown length.
const minGrowth = 512

// framing is what the header says about where the message ends and what comes after it.
type framing struct {
	// length is -1 if there is no Content-Length, and at most maxLength.
	length    int
	chunked   bool
	keepAlive bool
	hosts     int
}

// maxLength stands for every length that is too long for any limit, so that numbers with many digits do not overflow.
const maxLength = 1 << 30

// framingOf refuses a header that leaves a doubt: whoever resolves the doubt differently would take a part of the body
// for the next message.
func framingOf(header Header, http10 bool) (framing, error) {
	// Connections of HTTP/1.0 can be kept open by agreement, but it is not worth the difference.
	f := framing{length: -1, keepAlive: !http10}
	for i := range header {
		name, value := header[i].Name, header[i].Value
		switch {
		case equalFold(name, "Content-Length"):
			if f.length >= 0 {
				return framing{}, malformed("more than one Content-Length")
			}
			length, ok := parseLength(value)
			if !ok {
				return framing{}, malformed("Content-Length")
			}
			f.length = length
		case equalFold(name, "Transfer-Encoding"):
			switch {
			case http10:
				return framing{}, malformed("Transfer-Encoding in HTTP/1.0")
			case f.chunked:
				return framing{}, malformed("more than one Transfer-Encoding")
			case !equalFold(value, "chunked"):
				return framing{}, unsupported("Transfer-Encoding other than chunked")
			}
			f.chunked = true
		case equalFold(name, "Connection"):
			if listHas(value, "close") {
				f.keepAlive = false
			}
		case equalFold(name, "Host"):
			f.hosts++
		}
	}
	if f.chunked && f.length >= 0 {
		return framing{}, malformed("both Transfer-Encoding and Content-Length")
	}
	return f, nil
}

func parseLength(s string) (int, bool) {
	length := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		length = min(10*length+int(s[i]-'0'), maxLength)
	}
	return length, s != ""
}

// readBody reads a body that has a length or is chunked, and says whether it is in excess of BodyBytes.
func readBody(r *bufio.Reader, f framing, limits Limits) (body []byte, excess bool, err error) {
	switch {
	case f.chunked:
		return readChunked(r, limits)
	case f.length > limits.BodyBytes+limits.ExcessBytes:
		return nil, false, ErrBodyTooLarge
	case f.length > limits.BodyBytes:
		return nil, true, discardBytes(r, f.length)
	case f.length == 0:
		return nil, false, nil
	case limits.discard:
		return nil, false, discardBytes(r, f.length)
	}
	body, err = appendBytes(nil, r, f.length)
	return body, false, err
}

func discardBytes(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return unexpected(err)
}

// readToEnd reads a body that ends with the connection.
func readToEnd(r *bufio.Reader, limit int) ([]byte, error) {
	var body []byte
	for {
		body = slices.Grow(body, minGrowth)
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, ErrBodyTooLarge
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}

// appendBytes appends the next n bytes of r. There is memory for as many as have come already, or for bodyStep, before
// they are there.
func appendBytes(dst []byte, r io.Reader, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, max(len(dst), bodyStep))
		start := len(dst)
		dst = slices.Grow(dst, step)[:start+step]
		if _, err := io.ReadFull(r, dst[start:]); err != nil {
			return nil, unexpected(err)
		}
		n -= step
	}
	return dst, nil
}

// readChunked reads chunks, their extensions and the trailers, and keeps what is in the chunks unless that is unwanted or
// in excess of BodyBytes.
func readChunked(r *bufio.Reader, limits Limits) (body []byte, excess bool, err error) {
	room, left := limits.BodyBytes+limits.ExcessBytes, limits.HeaderBytes
	for {
		size, err := readChunkSize(r, &left)
		if err != nil {
			return nil, false, unexpected(err)
		}
		if size == 0 {
			break
		}
		if size > room {
			return nil, false, ErrBodyTooLarge
		}
		room -= size
		if room < limits.ExcessBytes {
			body, excess = nil, true
		}
		if limits.discard || excess {
			err = discardBytes(r, size)
		} else {
			body, err = appendBytes(body, r, size)
		}
		if err != nil {
			return nil, false, err
		}
		var end [2]byte
		if _, err := io.ReadFull(r, end[:]); err != nil {
			return nil, false, unexpected(err)
		}
		if end != [2]byte{'\r', '\n'} {
			return nil, false, malformed("chunk longer than its size")
		}
	}
	return body, excess, readTrailers(r, limits, left)
}

// readTrailers reads what comes after the last chunk, which nobody here wants.
func readTrailers(r *bufio.Reader, limits Limits, left int) error {
	for fields := 0; ; fields++ {
		line, err := readChunkLine(r, left)
		if err != nil {
			return unexpected(err)
		}
		if len(line) == 0 {
			return nil
		}
		if fields == limits.HeaderFields {
			return ErrHeaderTooLarge
		}
		left -= len(line) + 2
		if _, err := parseField(string(line)); err != nil {
			return err
		}
	}
}

// maxSizeDigits is enough for every size; more are zeros before it, or a size too large for any limit.
const maxSizeDigits = 16

// readChunkSize reads a chunk's first line and takes off left what it has besides the size.
func readChunkSize(r *bufio.Reader, left *int) (int, error) {
	line, err := readChunkLine(r, maxSizeDigits+*left+2)
	if err != nil {
		return 0, err
	}
	size, digits := 0, 0
	for ; digits < len(line); digits++ {
		digit, ok := parseHex(line[digits])
		if !ok {
			break
		}
		size = min(16*size+digit, maxLength)
	}
	if digits == 0 || digits > maxSizeDigits {
		return 0, malformed("chunk size")
	}
	extension := string(line[digits:])
	if *left -= len(extension); *left < 0 {
		return 0, ErrHeaderTooLarge
	}
	// Some servers pad the size with spaces. Spaces before an extension, which nobody sends, are refused as by net/http.
	if trimOWS(extension) != "" && extension[0] != ';' || !isText(extension) {
		return 0, malformed("chunk extension")
	}
	return size, nil
}

// readChunkLine reads a line of the chunked coding, without its end. There a bare LF is no line's end (RFC 9112 section
// 2.2 allows it for start line and fields), and implementations that take it for one have been attacked with it.
func readChunkLine(r *bufio.Reader, limit int) ([]byte, error) {
	line, err := readLine(r, limit)
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, malformed("line of the chunked coding without CR")
	}
	return line[:len(line)-2], nil
}

func parseHex(c byte) (int, bool) {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0'), true
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10, true
	default:
		return 0, false
	}
}
