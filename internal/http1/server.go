// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bytes"
	"errors"
	"sync"
	"time"
)

// Server answers requests, those of one connection one after the other. Set the exported fields before Serve. The zero
// Server works.
type Server struct {
	// Limits bounds the requests.
	Limits Limits
	// MaxConns is the number of connections that are served at a time, 32 by default. When there is one more, the one
	// that has been idle for longest is closed, or else the next whose response has been written. Until then the new one
	// waits, and further ones wait in the listener's queue.
	MaxConns int
	// MaxRequests is the number of requests that are read and handled at a time, which bounds the bodies in memory. Others
	// wait with their first byte read. 0 is no bound but that of MaxConns.
	MaxRequests int
	// ReadTimeout bounds the time from a request's first byte to its last; 0 is no bound. The connection is closed then. A
	// freeze of the environment in between runs it out, so it is for peers that send again.
	ReadTimeout time.Duration
	// Brief says that handlers return soon. Then it does not take a goroutine for each request to notice that the peer
	// goes away meanwhile.
	Brief bool
	// Refuse, if set, says what to answer to a request that could not be read, for errors of this package, ErrIncomplete among
	// them. If it returns nil, the answer is as without it: a status that says why, or none if nobody may be there any more.
	Refuse func(error) *Response
	// Report, if set, is told of handlers that panicked, responses that could not be written as they were, requests that
	// were refused, and of the first of consecutive failures to accept. It may be called by several goroutines at a
	// time.
	Report func(error)

	mu        sync.Mutex
	changed   *sync.Cond // of what admit waits for
	closed    *signal
	stopping  bool          // Shutdown was called
	requests  chan struct{} // as many as there are, if MaxRequests bounds them
	listeners map[Listener]struct{}
	conns     map[*serverConn]struct{}
	waiting   int    // connections in admit
	turn      uint64 // counts the times that a connection became idle
	running   sync.WaitGroup
}

// serverConn is a connection in Server.conns. Fields from idleSince on are guarded by Server.mu.
type serverConn struct {
	*link
	handle func(*Request) *Response
	buf    []byte

	// idleSince is the turn at which the connection became idle.
	idleSince uint64
	// used says that a request has begun to come in.
	used bool
	// done is of the request being handled, nil while the connection is idle.
	done *signal
	// evicted says that the connection has been closed to make room.
	evicted bool
}

const (
	defaultMaxConns = 32

	// minAcceptPause and maxAcceptPause bound the time between attempts to accept while that fails, which it does as
	// long as there are no file descriptors.
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second

	// lingerTime and lingerBytes bound how much is read of what a peer sends after a request that was refused. Closing
	// without reading it would reset the connection, and the peer would not get to see the response.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 20
)

// Serve accepts connections and calls handle for each request until Close is called. Then it closes the listener and
// returns ErrClosed. A failure to accept is no reason to return: it is tried again, with pauses of up to a second.
//
// handle is called by a goroutine for each connection and may take any time: see Request.Done. If it panics, the peer
// gets status 500. If it returns nil, the connection is closed without a response. It must not call Close.
func (s *Server) Serve(l Listener, handle func(*Request) *Response) error {
	defer l.Close()
	if !s.start(l) {
		return ErrClosed
	}
	defer s.running.Done()
	defer s.forget(l)
	var pause time.Duration
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			if !s.admit(conn, handle) {
				return ErrClosed
			}
		case s.stops():
			return ErrClosed
		default:
			if pause == 0 {
				s.report("accepting", err)
			}
			pause = min(max(2*pause, minAcceptPause), maxAcceptPause)
			if !s.sleep(pause) {
				return ErrClosed
			}
		}
	}
}

// Close closes all listeners and connections, closes Request.Done of the requests being handled, and waits until their
// handlers and all calls of Serve are about to return.
func (s *Server) Close() error {
	s.mu.Lock()
	s.init()
	s.closed.fire()
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.conn.Close()
		if c.done != nil {
			c.done.fire()
		}
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// Shutdown closes all listeners, and connections as soon as they are idle: at once, or when the request is answered that is
// under way or, on a connection that has not been used yet, may be. Those that are still there after the time are closed
// by Close, which is called in any case.
func (s *Server) Shutdown(limit time.Duration) error {
	s.mu.Lock()
	s.init()
	s.stopping = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		if c.used && c.done == nil {
			c.conn.Close()
		}
	}
	s.changed.Broadcast()
	late := false
	timer := time.AfterFunc(limit, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	for (len(s.conns) > 0 || len(s.listeners) > 0) && !late {
		s.changed.Wait()
	}
	s.mu.Unlock()
	timer.Stop()
	return s.Close()
}

// init makes the zero Server usable. s.mu is held.
func (s *Server) init() {
	if s.closed == nil {
		s.closed = newSignal()
		s.changed = sync.NewCond(&s.mu)
		if s.MaxRequests > 0 {
			s.requests = make(chan struct{}, s.MaxRequests)
		}
		s.listeners = map[Listener]struct{}{}
		s.conns = map[*serverConn]struct{}{}
	}
}

// ended says whether Close was called. s.mu is held.
func (s *Server) ended() bool {
	select {
	case <-s.closed.ch:
		return true
	default:
		return false
	}
}

// stops says whether Close or Shutdown was called.
func (s *Server) stops() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping || s.ended()
}

func (s *Server) start(l Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.stopping || s.ended() {
		return false
	}
	s.listeners[l] = struct{}{}
	s.running.Add(1)
	return true
}

func (s *Server) forget(l Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.changed.Broadcast()
}

// sleep returns false if Close is called meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closed.ch:
		return false
	}
}

// admit makes room for a connection and serves it in a new goroutine. It returns false if Close is called meanwhile.
func (s *Server) admit(conn Conn, handle func(*Request) *Response) bool {
	limit := s.MaxConns
	if limit == 0 {
		limit = defaultMaxConns
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	for !s.stopping && !s.ended() && len(s.conns) >= limit {
		s.evict()
		s.changed.Wait()
	}
	s.waiting--
	if s.ended() || s.stopping && len(s.conns) >= limit {
		conn.Close()
		return false
	}
	s.turn++
	c := &serverConn{link: newLink(conn), handle: handle, idleSince: s.turn}
	s.conns[c] = struct{}{}
	s.running.Go(func() {
		defer s.remove(c)
		for s.serveNext(c) {
		}
	})
	return true
}

// evict closes the connection that has been idle for longest, unless one is about to go already. s.mu is held.
func (s *Server) evict() {
	var oldest *serverConn
	for c := range s.conns {
		if c.evicted {
			return
		}
		if c.done == nil && (oldest == nil || c.idleSince < oldest.idleSince) {
			oldest = c
		}
	}
	if oldest != nil {
		oldest.evicted = true
		oldest.conn.Close()
	}
}

func (s *Server) remove(c *serverConn) {
	c.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.changed.Broadcast()
}

// setBusy is called when a request has begun to come in. It returns nil if it is too late for that.
func (s *Server) setBusy(c *serverConn) *signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.evicted || s.ended() || s.stopping && c.used {
		return nil
	}
	c.used = true
	c.done = newSignal()
	return c.done
}

// setIdle is called when the request has been answered. It returns false if the connection is to be closed.
func (s *Server) setIdle(c *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	c.done, c.idleSince = nil, s.turn
	if s.waiting > 0 {
		s.changed.Broadcast()
	}
	return !s.stopping
}

// wanted says whether a connection may stay open: none waits for it to end.
func (s *Server) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting == 0 && !s.stopping
}

func (s *Server) report(what string, err error) {
	if s.Report != nil {
		s.Report(&causedError{what: what, cause: err})
	}
}

// serveNext reads and answers a request. It returns false if the connection is to be closed.
func (s *Server) serveNext(c *serverConn) bool {
	if _, err := c.r.Peek(1); err != nil {
		return false
	}
	done := s.setBusy(c)
	if done == nil {
		return false
	}
	defer done.fire()
	if s.requests != nil {
		select {
		case s.requests <- struct{}{}:
			defer func() { <-s.requests }()
		case <-done.ch:
			return false
		}
	}
	req, keepAlive, err := s.read(c)
	if err != nil {
		if req != nil && statusOf(err) == 0 {
			err = ErrIncomplete
		}
		s.refuse(c, err)
		return false
	}
	req.Done = done.ch
	there := func() bool { return true }
	if !s.Brief {
		there = c.watch(beginsRequest, done.fire).stop
	}
	resp, panicked := s.call(c.handle, req)
	keepAlive = there() && keepAlive && !panicked && s.wanted()
	if resp == nil {
		return false
	}
	if !s.write(c, req.Method, resp, keepAlive) || !keepAlive {
		return false
	}
	return s.setIdle(c)
}

// read reads a request of which the first byte is there.
func (s *Server) read(c *serverConn) (req *Request, keepAlive bool, err error) {
	if s.ReadTimeout > 0 {
		if err := c.conn.SetReadDeadline(time.Now().Add(s.ReadTimeout)); err != nil {
			return nil, false, err
		}
	}
	req, keepAlive, err = readRequest(c.r, s.Limits, c.conn)
	if s.ReadTimeout > 0 {
		_ = c.conn.SetReadDeadline(time.Time{}) // it is closed, and that will be noticed
	}
	return req, keepAlive, err
}

// call returns the handler's response, or that to its panic. What a panic leaves behind is the handler's affair.
func (s *Server) call(handle func(*Request) *Response, req *Request) (resp *Response, panicked bool) {
	defer func() {
		if v := recover(); v != nil {
			s.report("handling "+req.Method+" "+req.Target, errors.New("panic: "+panicText(v)))
			resp, panicked = &Response{Status: 500}, true
		}
	}()
	return handle(req), false
}

func panicText(v any) string {
	switch v := v.(type) {
	case error:
		return v.Error()
	case string:
		return v
	default:
		return "of another type than error and string"
	}
}

func (s *Server) write(c *serverConn, method string, resp *Response, keepAlive bool) bool {
	out, err := appendResponseHead(c.buf[:0], resp, keepAlive)
	if err != nil {
		s.report("answering "+method, err)
		resp = &Response{Status: 500}
		if out, err = appendResponseHead(c.buf[:0], resp, keepAlive); err != nil {
			return false
		}
	}
	if method != methodHead {
		out = append(out, resp.Body...)
	}
	if cap(out) <= maxKeptBuffer {
		c.buf = out
	}
	_, err = c.conn.Write(out)
	return err == nil
}

// refusal returns the answer to a request that could not be read, nil for none.
func (s *Server) refusal(err error) *Response {
	status := statusOf(err)
	if s.Refuse != nil && (status != 0 || errors.Is(err, ErrIncomplete)) {
		if resp := s.Refuse(err); resp != nil {
			return resp
		}
	}
	if status == 0 {
		return nil
	}
	s.report("reading a request", err)
	return &Response{
		Status: status,
		Header: Header{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}},
		Body:   []byte(err.Error() + "\n"),
	}
}

// refuse answers a request that could not be read, if that was the peer's fault or Refuse says what.
func (s *Server) refuse(c *serverConn, err error) {
	resp := s.refusal(err)
	if resp == nil || !s.write(c, "", resp, false) {
		return
	}
	if conn, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = conn.CloseWrite()
	}
	if c.conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	// io.Copy would link all that a file can do with another one.
	var discarded [4 << 10]byte
	for total := 0; total < lingerBytes; {
		n, err := c.conn.Read(discarded[:])
		if err != nil {
			return
		}
		total += n
	}
}

// beginsRequest says whether a request can begin with the bytes, which a peer may send before it has its response.
func beginsRequest(ahead []byte) bool {
	// The empty line that is passed over between requests.
	ahead = bytes.TrimPrefix(bytes.TrimPrefix(ahead, []byte("\r")), []byte("\n"))
	for i, c := range ahead {
		if c == ' ' {
			return i > 0
		}
		if !isTokenByte(c) {
			return false
		}
	}
	return true
}
