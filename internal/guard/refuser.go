// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"bufio"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/otelcol-lambda/otelcol-lambda/internal/http1"
	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

const (
	// maxRefused is how many connections are served at a time, and how many may be leaving besides. OpenTelemetry's SDKs
	// have one for each signal and process.
	maxRefused = 16
	// leaveTime is how long a client may take to close a connection that it is told to give up.
	leaveTime = time.Second
	// refuseTime bounds an HTTP/1 connection, which has one request, and the beginning of others.
	refuseTime = 10 * time.Second
	// acceptPause is how long nothing is accepted after that has failed: there are no file descriptors left.
	acceptPause = 100 * time.Millisecond
)

// refusalText is for those who read what their SDK says. It has less than 128 bytes, for two encodings' sake.
const refusalText = "the OpenTelemetry Collector in the Lambda layer does not run; the function's log says why"

// refuser listens where the collector would, once that will not come back. SDKs take a connection that is refused for a
// fault that passes, and try again for seconds, for which the function waits. What the refuser answers they take for
// final: by the OTLP specification only the statuses 429, 502, 503 and 504 of HTTP are for trying again, though some SDKs do
// after every 5xx, and of gRPC's not UNIMPLEMENTED. A collector gives the same answers for a signal that no pipeline takes.
type refuser struct {
	say func(l level, message string, fields ...field)
	// requests is how many have been refused.
	requests atomic.Int64
	faulted  sync.Once

	mu        sync.Mutex
	changed   *sync.Cond // of what admit waits for
	closed    bool
	ended     chan struct{}
	listeners map[string]*socket.Listener
	conns     map[*socket.Conn]struct{}
	// leaving are connections that have made room, and are not among conns.
	leaving   map[*socket.Conn]struct{}
	leaveTime time.Duration
	// idle are the connections of HTTP/2, of which each may have to make room; that of the latest request is last.
	idle    []*socket.Conn
	running sync.WaitGroup
}

func newRefuser(say func(l level, message string, fields ...field)) *refuser {
	r := &refuser{
		say:       say,
		ended:     make(chan struct{}),
		listeners: map[string]*socket.Listener{},
		conns:     map[*socket.Conn]struct{}{},
		leaving:   map[*socket.Conn]struct{}{},
		leaveTime: leaveTime,
	}
	r.changed = sync.NewCond(&r.mu)
	return r
}

// listen takes the addresses that nobody has. It may be called again for those that were taken.
func (r *refuser) listen(addresses []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, address := range addresses {
		if r.closed || r.listeners[address] != nil {
			continue
		}
		l, err := socket.Listen(address)
		if err != nil {
			seriousness := levelWarn
			if errors.Is(err, syscall.EADDRINUSE) {
				seriousness = levelDebug // somebody else's, who does not need us
			}
			r.say(seriousness, "The guard cannot refuse what the function sends to the collector", str("error", err.Error()))
			continue
		}
		r.listeners[address] = l
		r.running.Go(func() { r.safely(func() { r.accept(l) }) })
	}
}

// close ends everything that listen has begun.
func (r *refuser) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.ended)
	}
	for _, l := range r.listeners {
		l.Close()
	}
	for _, conns := range []map[*socket.Conn]struct{}{r.conns, r.leaving} {
		for conn := range conns {
			conn.Close()
		}
	}
	r.changed.Broadcast()
	r.mu.Unlock()
	r.running.Wait()
}

// safely keeps a panic from ending the process.
func (r *refuser) safely(run func()) {
	defer func() {
		if v := recover(); v != nil {
			r.faulted.Do(func() {
				r.say(levelError, "The guard of the collector has a fault", str("in", "refusing"), str("panic", panicText(v)))
			})
		}
	}()
	run()
}

func (r *refuser) accept(l *socket.Listener) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			if !r.admit(conn) {
				return
			}
		case errors.Is(err, os.ErrClosed) || !r.pause():
			return
		}
	}
}

// pause returns false if close is called meanwhile.
func (r *refuser) pause() bool {
	timer := time.NewTimer(acceptPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ended:
		return false
	}
}

// admit makes room for a connection and serves it. It returns false if close is called meanwhile.
func (r *refuser) admit(conn *socket.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && len(r.conns) >= maxRefused {
		if len(r.idle) > 0 && len(r.leaving) < maxRefused {
			r.dismiss()
		} else {
			r.changed.Wait()
		}
	}
	if r.closed {
		conn.Close()
		return false
	}
	r.conns[conn] = struct{}{}
	r.running.Go(func() {
		defer r.remove(conn)
		r.safely(func() { r.serve(conn) })
	})
	return true
}

// dismiss takes the place of the connection that has been silent for longest. Whoever serves it ends it. r.mu is held.
func (r *refuser) dismiss() {
	conn := r.idle[0]
	r.idle = r.idle[1:]
	delete(r.conns, conn)
	r.leaving[conn] = struct{}{}
	now := time.Now()
	_ = conn.SetWriteDeadline(now.Add(r.leaveTime))
	_ = conn.SetReadDeadline(now)
}

func (r *refuser) remove(conn *socket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn.Close()
	delete(r.conns, conn)
	delete(r.leaving, conn)
	r.idle = slices.DeleteFunc(r.idle, func(c *socket.Conn) bool { return c == conn })
	r.changed.Broadcast()
}

// rest notes that a connection has no request, and had one until now.
func (r *refuser) rest(conn *socket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.conns[conn]; ok {
		r.idle = slices.DeleteFunc(r.idle, func(c *socket.Conn) bool { return c == conn })
		r.idle = append(r.idle, conn)
		r.changed.Broadcast()
	}
}

// count counts a request, and now and then collects the garbage of those before, as poll does.
func (r *refuser) count() {
	if r.requests.Add(1)%tidyEvery == 0 {
		r.running.Go(runtime.GC)
	}
}

// serve answers what comes in over a connection, on either port in the protocol that it speaks.
func (r *refuser) serve(conn *socket.Conn) {
	_ = conn.SetDeadline(time.Now().Add(refuseTime))
	reader := bufio.NewReader(conn)
	// The method of HTTP/2's preface, which is no other request's.
	switch method, err := reader.Peek(len("PRI")); {
	case err != nil:
	case string(method) == "PRI":
		r.serveHTTP2(conn, reader)
	default:
		r.serveHTTP1(conn, reader)
	}
}

// serveHTTP1 answers one request and closes the connection: one that is kept would have to be given up some time, which
// the function might notice only when it sends the next request.
func (r *refuser) serveHTTP1(conn *socket.Conn, reader *bufio.Reader) {
	request, err := http1.DiscardRequest(reader, conn)
	if err != nil {
		return
	}
	r.count()
	answer, err := http1.AppendResponse(nil, httpRefusal(request), false)
	if err == nil {
		_, _ = conn.Write(answer)
	}
}

// serveHTTP2 keeps the connection, without a bound on its silence: it may be frozen, and gRPC takes a connection that
// ends for a fault that passes.
func (r *refuser) serveHTTP2(conn *socket.Conn, reader *bufio.Reader) {
	var preface [len(http2Preface)]byte
	if _, err := io.ReadFull(reader, preface[:]); err != nil || string(preface[:]) != http2Preface {
		return
	}
	_ = conn.SetDeadline(time.Time{})
	r.rest(conn)
	const unimplemented = "12"
	server := http2Refuser{r: reader, w: conn, answer: grpcRefusal(unimplemented, refusalText), refused: func() {
		r.count()
		r.rest(conn)
	}}
	if err := server.serve(); errors.Is(err, os.ErrDeadlineExceeded) {
		r.leave(conn, &server)
	}
}

// leave ends a connection that has been dismissed. Its client may have sent a request meanwhile. Closing a socket with
// something in it resets the connection, and then the client might not read why: so it closes first.
func (r *refuser) leave(conn *socket.Conn, server *http2Refuser) {
	if server.goAway() == nil {
		_ = conn.SetReadDeadline(time.Now().Add(r.leaveTime))
		const everything = 1<<31 - 1 // package math would be linked for its name
		_, _ = server.r.Discard(everything)
	}
}

// httpRefusal is an answer in the encoding of the request. OTLP: the body of an error is a google.rpc.Status.
func httpRefusal(request *http1.Request) *http1.Response {
	const typeProtobuf, typeText = "application/x-protobuf", "text/plain; charset=utf-8"
	contentType := request.Header.Get(headerContentType)
	var body string
	switch contentType {
	case typeProtobuf:
		const fieldMessage = "\x12"
		body = fieldMessage + string(rune(len(refusalText))) + refusalText
	case typeJSON:
		body = `{"message":"` + refusalText + `"}`
	default:
		contentType, body = typeText, refusalText+"\n"
	}
	return &http1.Response{
		Status: statusNotFound,
		Header: http1.Header{{Name: headerContentType, Value: contentType}},
		Body:   []byte(body),
	}
}
