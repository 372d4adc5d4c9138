// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Client sends requests to one server over one connection, which it keeps and renews as needed. Set the exported fields
// before the first use. Do must not be called while another Do is pending: use a Client for each purpose.
type Client struct {
	// Dial opens a connection. When Do stops waiting for it, it goes on in the background and what it returns is
	// closed, so it should have a bound of its own.
	Dial func() (Conn, error)
	// Host is the value of the Host field: "host:port".
	Host string
	// Limits bounds the responses.
	Limits Limits

	mu     sync.Mutex
	closed *signal
	busy   bool
	// link is used by the pending Do or, if there is none, kept for the next.
	link *link
	// buf is for the request, of the pending Do.
	buf []byte
}

// errConcurrent is a mistake in the program.
var errConcurrent = errors.New("another request is pending on this client")

// maxKeptBuffer bounds the memory that a connection keeps for the next message it writes.
const maxKeptBuffer = 16 << 10

// Do sends the request and returns the response, whatever its status. A zero deadline means none: a long poll may
// outlast a freeze of hours.
//
// If the connection was kept from an earlier request and turns out to be broken before any byte of the response has
// come, Do tries once more over a new one, provided that nothing of the request was sent or that it is Replayable.
//
// It returns ErrDeadline when the deadline has passed, ErrClosed after Close, ErrUnwritable for a request that must not
// be sent, io.ErrUnexpectedEOF if the connection was closed instead of a response, and otherwise the errors of Dial, of
// the connection and of ReadResponse, wrapped.
func (c *Client) Do(deadline time.Time, req *Request) (*Response, error) {
	idle, err := c.begin()
	if err != nil {
		return nil, err
	}
	defer c.end()
	out, err := AppendRequest(c.buf[:0], req, c.Host)
	if err != nil {
		return nil, err
	}
	if cap(out) <= maxKeptBuffer {
		c.buf = out
	}
	if idle != nil {
		x := exchange{link: idle, limits: c.Limits, written: req.Written}
		resp, err := c.finish(&x, deadline, req.Method, out)
		if err == nil || x.answered || x.sent && !req.Replayable || c.over(deadline) {
			return resp, err
		}
	}
	fresh, err := c.dial(deadline)
	if err != nil {
		return nil, err
	}
	return c.finish(&exchange{link: fresh, limits: c.Limits, written: req.Written}, deadline, req.Method, out)
}

// Close ends a pending Do and closes the connection. Do cannot be called any more.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closedSignal().fire()
	if c.link != nil {
		c.link.conn.Close()
	}
	return nil
}

// closedSignal makes the zero Client usable. c.mu is held.
func (c *Client) closedSignal() *signal {
	if c.closed == nil {
		c.closed = newSignal()
	}
	return c.closed
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closedSignal().ch:
		return true
	default:
		return false
	}
}

func (c *Client) over(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline) || c.isClosed()
}

// begin makes the caller the pending Do and returns the kept connection if it is still good.
func (c *Client) begin() (*link, error) {
	if c.isClosed() {
		return nil, ErrClosed
	}
	c.mu.Lock()
	if c.busy {
		c.mu.Unlock()
		return nil, errConcurrent
	}
	c.busy = true
	kept := c.link
	c.mu.Unlock()
	// A server that sends something unasked has lost count of the requests.
	if kept != nil && !kept.idle() {
		c.drop(kept)
		return nil, nil
	}
	return kept, nil
}

func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = false
}

func (c *Client) drop(l *link) {
	l.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
}

// finish carries the exchange out, keeps or drops its connection, and says what an error means.
func (c *Client) finish(x *exchange, deadline time.Time, method string, out []byte) (*Response, error) {
	resp, keepAlive, err := x.run(deadline, method, out)
	if err == nil && keepAlive {
		return resp, nil
	}
	c.drop(x.link)
	switch {
	case err == nil:
		return resp, nil
	case c.isClosed():
		return nil, ErrClosed
	case isTimeout(err) && c.over(deadline):
		return nil, ErrDeadline
	case x.answered:
		return nil, &causedError{what: "reading the response", cause: unexpected(err)}
	case x.sent:
		return nil, &causedError{what: "waiting for the response", cause: unexpected(err)}
	default:
		return nil, &causedError{what: "sending the request", cause: unexpected(err)}
	}
}

// dial waits for Dial until the deadline or Close.
func (c *Client) dial(deadline time.Time) (*link, error) {
	type result struct {
		conn Conn
		err  error
	}
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	c.mu.Lock()
	closed := c.closedSignal().ch
	c.mu.Unlock()
	results, abandoned := make(chan result), make(chan struct{})
	defer close(abandoned)
	go func() {
		conn, err := c.Dial()
		select {
		case results <- result{conn, err}:
		case <-abandoned:
			if err == nil {
				conn.Close()
			}
		}
	}()
	select {
	case r := <-results:
		if r.err != nil {
			return nil, &causedError{what: "connecting", cause: r.err}
		}
		return c.adopt(r.conn)
	case <-expired:
		return nil, ErrDeadline
	case <-closed:
		return nil, ErrClosed
	}
}

// adopt makes a new connection the one that Close closes.
func (c *Client) adopt(conn Conn) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closedSignal().ch:
		conn.Close()
		return nil, ErrClosed
	default:
		c.link = newLink(conn)
		return c.link, nil
	}
}

// exchange is one request and its response.
type exchange struct {
	link    *link
	limits  Limits
	written func()
	// sent says whether the server can have seen anything of the request, answered whether any byte came back.
	sent, answered bool
}

func (x *exchange) run(deadline time.Time, method string, out []byte) (resp *Response, keepAlive bool, err error) {
	if err := x.link.conn.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	n, writeErr := x.link.conn.Write(out)
	x.sent = n > 0
	if writeErr == nil && x.written != nil {
		x.written()
	}
	// A server that refuses a request before its end answers and stops reading, so there may be a response although
	// writing failed.
	if _, err := x.link.r.Peek(1); err != nil {
		if writeErr != nil && (errors.Is(err, io.EOF) || isTimeout(writeErr)) {
			err = writeErr
		}
		return nil, false, err
	}
	x.answered = true
	resp, keepAlive, err = ReadResponse(x.link.r, method, x.limits)
	// What comes after the response belongs to no request.
	return resp, keepAlive && writeErr == nil && x.link.r.Buffered() == 0, err
}
