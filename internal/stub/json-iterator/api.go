// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package jsoniter reads and writes JSON token by token, as far as pdata does that for OTLP/JSON.
//
// The original also maps Go types to JSON by reflection, for which it builds tables when a process starts. pdata uses
// none of that, and reads and writes field by field.
package jsoniter

import (
	"io"
	"sync"
)

// initialBuffer is how much a new Stream takes without growing: a request with a span or two.
const initialBuffer = 512

// API lends iterators and streams. It may be used concurrently; what it lends may not.
type API struct{ iterators, streams sync.Pool }

// ConfigFastest is the only API here.
var ConfigFastest = &API{}

// BorrowIterator returns an Iterator at the beginning of data, which must not change until the Iterator is returned.
func (a *API) BorrowIterator(data []byte) *Iterator {
	iter, ok := a.iterators.Get().(*Iterator)
	if !ok {
		iter = new(Iterator)
	}
	return iter.ResetBytes(data)
}

// ReturnIterator takes back what BorrowIterator has lent. Strings that were read from it remain valid.
func (a *API) ReturnIterator(iter *Iterator) {
	iter.ResetBytes(nil)
	iter.Error = nil
	iter.unescaped = nil
	a.iterators.Put(iter)
}

// BorrowStream returns an empty Stream. It writes to memory only: any writer but nil is an error of the Stream.
func (a *API) BorrowStream(writer io.Writer) *Stream {
	stream, ok := a.streams.Get().(*Stream)
	if !ok {
		stream = &Stream{buf: make([]byte, 0, initialBuffer)}
	}
	stream.Reset(writer)
	return stream
}

// ReturnStream takes back what BorrowStream has lent, and with it what its Buffer returned.
func (a *API) ReturnStream(stream *Stream) {
	stream.Error = nil
	a.streams.Put(stream)
}
