// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// loadBackend takes OTLP/HTTP, counts the spans and keeps nothing. The one of the other parts keeps every item.
type loadBackend struct {
	server *http.Server
	served chan error
	spans  atomic.Int64
	// zipped are those of the spans that came compressed.
	zipped atomic.Int64
	// invalid are requests that could not be read.
	invalid atomic.Int64
	// waiting are requests that have been read and are not answered.
	waiting atomic.Int64
	buffers sync.Pool

	mu sync.Mutex
	// back is closed when the backend answers again, nil while it answers.
	back chan struct{}
}

// startBackend listens on a port of its own, and returns its URL.
func startBackend(ctx context.Context) (b *loadBackend, endpoint string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	b = &loadBackend{served: make(chan error, 1)}
	b.buffers.New = func() any { return new(bytes.Buffer) }
	b.server = &http.Server{Handler: http.HandlerFunc(b.take), ReadHeaderTimeout: time.Minute}
	go func() { b.served <- b.server.Serve(l) }()
	return b, "http://" + l.Addr().String(), nil
}

func (b *loadBackend) close() error {
	b.answer()
	err := b.server.Close()
	if served := <-b.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// hang makes the backend read requests and not answer them until answer is called.
func (b *loadBackend) hang() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.back == nil {
		b.back = make(chan struct{})
	}
}

func (b *loadBackend) answer() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.back != nil {
		close(b.back)
		b.back = nil
	}
}

func (b *loadBackend) take(w http.ResponseWriter, r *http.Request) {
	spans, zipped, err := b.read(r)
	b.mu.Lock()
	back := b.back
	b.mu.Unlock()
	if back != nil && !b.wait(r.Context(), back) {
		return // whoever sent it has given up, and sends it again
	}
	if err != nil {
		b.invalid.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.spans.Add(int64(spans))
	if zipped {
		b.zipped.Add(int64(spans))
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.WriteHeader(http.StatusOK)
}

// wait reports whether there is somebody to answer to when the backend is back.
func (b *loadBackend) wait(ctx context.Context, back <-chan struct{}) bool {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	select {
	case <-back:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (b *loadBackend) read(r *http.Request) (spans int, zipped bool, err error) {
	raw, plain := b.buffer(), b.buffer()
	defer b.buffers.Put(raw)
	defer b.buffers.Put(plain)
	if _, err := raw.ReadFrom(r.Body); err != nil || r.URL.Path != "/v1/traces" {
		return 0, false, err
	}
	if r.Header.Get("Content-Encoding") != compressionGzip {
		spans, err = countSpans(raw.Bytes())
		return spans, false, err
	}
	unzip, err := gzip.NewReader(raw)
	if err != nil {
		return 0, true, err
	}
	if _, err := io.Copy(plain, unzip); err != nil { //nolint:gosec // it comes from the collector that is measured
		return 0, true, err
	}
	spans, err = countSpans(plain.Bytes())
	return spans, true, err
}

func (b *loadBackend) buffer() *bytes.Buffer {
	buffer, _ := b.buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	return buffer
}

// gate is what a function waits for, so that its invocation lasts as long as wanted: it asks, and has its answer when
// the gate opens.
type gate struct {
	server *http.Server
	served chan error
	asked  chan struct{}
	opened chan struct{}
}

// newGate returns the event that makes the function wait for it as well.
func newGate(ctx context.Context) (g *gate, event string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	g = &gate{served: make(chan error, 1), asked: make(chan struct{}, 1), opened: make(chan struct{})}
	g.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			select {
			case g.asked <- struct{}{}:
			default:
			}
			select {
			case <-g.opened:
			case <-r.Context().Done():
			}
			w.Header().Set("Content-Length", "0")
		})}
	go func() { g.served <- g.server.Serve(l) }()
	return g, `"` + l.Addr().String() + `"`, nil
}

// open lets the function go on, and ends the gate.
func (g *gate) open(ctx context.Context) error {
	close(g.opened)
	err := g.server.Shutdown(ctx)
	if served := <-g.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
