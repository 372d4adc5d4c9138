// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package compress compresses what an exporter sends, where that is worth its CPU.
//
// The collector's own compression of HTTP bodies keeps a writer of 0.8 MB for each request under way, makes it anew after
// each garbage collection, copies by way of a new buffer of 32 KB, and compresses whatever there is. In a function, whose
// requests are of some kilobytes, that is the most expensive part of a delivery.
//
// What goes to a loopback address is not compressed: a backend, or a proxy, in the same environment takes it as fast as it
// is, and would have to spend CPU of the same function on getting it back.
package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"

	"github.com/klauspost/compress/flate"

	"github.com/otelcol-lambda/otelcol-lambda/internal/loopback"
)

// minBytes is the smallest body that is compressed. A smaller one fits into one packet as it is, with its headers.
const minBytes = 1 << 10

// maxBytes is the largest body that is compressed here. What is larger is no ordinary request, and would be held in memory
// twice.
const maxBytes = 16 << 20

// Transport is an http.RoundTripper that compresses bodies with gzip on their way to Base.
type Transport struct {
	Base http.RoundTripper
	bulk bulk
}

// RoundTrip implements http.RoundTripper. A request goes as it is if it is for a loopback address, and if its body is of
// unknown length, or encoded already.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !worthIt(r) {
		return t.Base.RoundTrip(r)
	}
	packed, err := t.pack(r.Body, int(r.ContentLength))
	if err != nil {
		return nil, err
	}
	compressed := r.Clone(r.Context()) // a RoundTripper must leave the request alone
	compressed.Header.Set("Content-Encoding", "gzip")
	compressed.Header.Del("Content-Length")
	compressed.ContentLength = int64(len(packed))
	compressed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	compressed.Body, _ = compressed.GetBody()
	return t.Base.RoundTrip(compressed)
}

func worthIt(r *http.Request) bool {
	return r.Body != nil && minBytes <= r.ContentLength && r.ContentLength <= maxBytes &&
		r.Header.Get("Content-Encoding") == "" && !loopback.Is(r.URL.Hostname())
}

// chunkBytes is how much is compressed at once.
const chunkBytes = 64 << 10

// windowBytes is how much of what came before a chunk can be referred to.
const windowBytes = 8 << 10

// pack reads a body of so many bytes, one at least, and closes it.
func (t *Transport) pack(body io.ReadCloser, length int) (packed []byte, err error) {
	defer func() {
		if closing := body.Close(); err == nil {
			err = closing
		}
	}()
	// What telemetry usually comes to: the smaller, the less is repeated in it.
	estimate := length / 4
	if length <= chunkBytes {
		estimate = length / 2
	}
	p := packer{left: length, out: bytes.NewBuffer(append(make([]byte, 0, max(minBytes, estimate)), gzipHeader...))}
	if p.bulk = t.bulk.take(p.out, length); p.bulk != nil {
		defer t.bulk.put(p.bulk)
	}
	// An exporter's body is in memory: it is written at once, and not copied before.
	if _, err := io.Copy(&p, body); err != nil {
		return nil, fmt.Errorf("compress the request's body: %w", err)
	}
	if p.left > 0 {
		return nil, fmt.Errorf("compress the request's body: %w", io.ErrUnexpectedEOF)
	}
	packed = binary.LittleEndian.AppendUint32(p.out.Bytes(), p.sum)
	return binary.LittleEndian.AppendUint32(packed, uint32(length)), nil //nolint:gosec // no more than maxBytes
}

// packer is an io.Writer that compresses what is written to it.
type packer struct {
	out *bytes.Buffer
	// left is how many bytes are to come.
	left int
	sum  uint32
	// bulk compresses; without it every chunk is compressed by itself, with a look at the window before it.
	bulk   *flate.Writer
	window []byte
}

// Write implements io.Writer.
func (p *packer) Write(body []byte) (n int, err error) {
	if len(body) > p.left {
		return 0, errTooLong
	}
	for chunk := range slices.Chunk(body, chunkBytes) {
		p.left -= len(chunk)
		if err := p.deflate(chunk); err != nil {
			return n, err
		}
		p.sum = crc32.Update(p.sum, crc32.IEEETable, chunk)
		n += len(chunk)
	}
	return n, nil
}

// deflate compresses a chunk, after which p.left bytes are to come.
func (p *packer) deflate(chunk []byte) error {
	if p.bulk == nil {
		// Compression without state needs no memory from one request to the next.
		err := flate.StatelessDeflate(p.out, chunk, p.left == 0, p.window)
		if p.left > 0 {
			p.window = append(p.window[:0], chunk[max(0, len(chunk)-windowBytes):]...)
		}
		return err
	}
	if _, err := p.bulk.Write(chunk); err != nil || p.left > 0 {
		return err
	}
	return p.bulk.Close()
}

var errTooLong = errors.New("it is longer than its Content-Length")

// gzipHeader is RFC 1952's: deflate, no name and no time, the fastest compression, an unknown system. Package gzip would
// bring the levels of compression along that nobody uses.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
