// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"
)

// Conn is what the package needs of a connection: a net.Conn is one, and an *os.File of a non-blocking socket. Package net
// is not linked on our account, because it is larger than all the rest of a program that has no other use for it.
//
// Reads and writes that the deadline ends return an error with a method Timeout that returns true. Close ends them too. If
// there is a method CloseWrite, a peer that was refused learns from it at once that nothing more will come. If there is
// a method Idle, which says whether the peer has neither closed the connection nor sent anything, a Client notices before a
// request that the server has closed a connection that was kept, and not only after it.
type Conn interface {
	io.ReadWriteCloser
	// SetDeadline bounds reads and writes, also those that have begun. The zero Time means no bound.
	SetDeadline(time.Time) error
	// SetReadDeadline does the same for reads only.
	SetReadDeadline(time.Time) error
}

// Listener is where connections come from.
type Listener interface {
	// Accept waits for a connection.
	Accept() (Conn, error)
	// Close ends Accept.
	Close() error
}

// link is a connection and what was read ahead from it.
type link struct {
	conn Conn
	r    *bufio.Reader
}

func newLink(conn Conn) *link {
	return &link{conn: conn, r: bufio.NewReader(conn)}
}

// idle says whether, since the last message, the peer has neither closed the connection nor sent anything, as far as can
// be told.
func (l *link) idle() bool {
	if l.r.Buffered() > 0 {
		return false
	}
	conn, ok := l.conn.(interface{ Idle() bool })
	return !ok || conn.Idle()
}

// watch reads ahead while the peer waits for its response, to notice when it goes away.
type watch struct {
	link     *link
	gone     bool
	stopping chan struct{}
	ended    chan struct{}
}

// watch begins to read ahead. Nothing else may use the link's reader or read deadline until stop has returned.
// If the connection ends or if it brings bytes that expected refuses, onGone is called; it must not wait for stop.
// expected gets all bytes that are read but not consumed, whenever there are more of them. Those that it accepts remain
// in the reader; once they fill its buffer, the end of the connection behind them goes unnoticed.
func (l *link) watch(expected func(ahead []byte) bool, onGone func()) *watch {
	w := &watch{link: l, stopping: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		if !w.run(expected) {
			w.gone = true
			onGone()
		}
	}()
	return w
}

// run returns false if the peer went away.
func (w *watch) run(expected func([]byte) bool) bool {
	r := w.link.r
	for {
		ahead, _ := r.Peek(r.Buffered())
		if len(ahead) > 0 && !expected(ahead) {
			return false
		}
		if len(ahead) == r.Size() {
			return true
		}
		if _, err := r.Peek(len(ahead) + 1); err != nil {
			select {
			case <-w.stopping:
				// Without the deadline that stop sets, a timeout is the kernel's, which gave the peer up.
				return isTimeout(err)
			default:
				return false
			}
		}
	}
}

// stop gives the reader back and says whether the peer is still there.
func (w *watch) stop() bool {
	close(w.stopping)
	// Any time that has passed. A read that waits returns, one that has bytes to return does so before.
	_ = w.link.conn.SetReadDeadline(time.Unix(1, 0))
	<-w.ended
	_ = w.link.conn.SetReadDeadline(time.Time{})
	return !w.gone
}

// timeout is what errors of connections have in common of which a deadline has passed.
type timeout interface {
	error
	Timeout() bool
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[timeout](err)
	return ok && t.Timeout()
}

// signal is a channel that several may close.
type signal struct {
	once sync.Once
	ch   chan struct{}
}

func newSignal() *signal { return &signal{ch: make(chan struct{})} }

func (s *signal) fire() { s.once.Do(func() { close(s.ch) }) }
