// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

// Package httpsnoop wraps an http.ResponseWriter so that calls can be observed.
//
// The original has a type for each combination of the optional interfaces that a ResponseWriter may have, 8,192 of them.
// Handlers of today reach these by http.ResponseController, which asks Unwrap; http.Flusher is here for older ones.
package httpsnoop

import "net/http"

// HeaderFunc is http.ResponseWriter's Header.
type HeaderFunc func() http.Header

// WriteHeaderFunc is http.ResponseWriter's WriteHeader.
type WriteHeaderFunc func(code int)

// WriteFunc is http.ResponseWriter's Write.
type WriteFunc func(b []byte) (int, error)

// FlushFunc is http.Flusher's Flush.
type FlushFunc func()

// Hooks are what is called instead of the ResponseWriter's own method, which they are given. A nil hook changes nothing.
type Hooks struct {
	Header      func(HeaderFunc) HeaderFunc
	WriteHeader func(WriteHeaderFunc) WriteHeaderFunc
	Write       func(WriteFunc) WriteFunc
	Flush       func(FlushFunc) FlushFunc
}

// Wrap returns w with the hooks. What it returns is an http.Flusher if w is one.
func Wrap(w http.ResponseWriter, hooks Hooks) http.ResponseWriter {
	wrapped := &writer{inner: w, header: w.Header, writeHeader: w.WriteHeader, write: w.Write}
	if hooks.Header != nil {
		wrapped.header = hooks.Header(wrapped.header)
	}
	if hooks.WriteHeader != nil {
		wrapped.writeHeader = hooks.WriteHeader(wrapped.writeHeader)
	}
	if hooks.Write != nil {
		wrapped.write = hooks.Write(wrapped.write)
	}
	flusher, ok := w.(http.Flusher)
	if !ok {
		return wrapped
	}
	flush := FlushFunc(flusher.Flush)
	if hooks.Flush != nil {
		flush = hooks.Flush(flush)
	}
	return &flushingWriter{wrapped, flush}
}

type writer struct {
	inner       http.ResponseWriter
	header      HeaderFunc
	writeHeader WriteHeaderFunc
	write       WriteFunc
}

func (w *writer) Header() http.Header         { return w.header() }
func (w *writer) WriteHeader(code int)        { w.writeHeader(code) }
func (w *writer) Write(b []byte) (int, error) { return w.write(b) }

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.inner }

type flushingWriter struct {
	*writer
	flush FlushFunc
}

func (w *flushingWriter) Flush() { w.flush() }
