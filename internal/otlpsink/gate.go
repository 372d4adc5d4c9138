// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package otlpsink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// reopenWithin bounds the wait for the port of a gate that opens again: its own old connections do not block it, but
// another process may hold the port as the local end of a short connection.
const reopenWithin = 5 * time.Second

// gate is a listener that can refuse connections for a while and come back on the same port. The server on it does
// not notice: Accept waits.
type gate struct {
	mu     sync.Mutex
	addr   string
	ln     net.Listener
	moved  chan struct{} // closed and replaced when ln changes or the gate closes
	closed bool
	conns  map[string]*gateConn // by remote address
}

func newGate() *gate {
	return &gate{moved: make(chan struct{}), conns: map[string]*gateConn{}}
}

// listen binds the address. The port the kernel chose for port 0 is kept from then on.
func (g *gate) listen(ctx context.Context, addr string) error {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errors.Join(net.ErrClosed, ln.Close())
	}
	g.addr = ln.Addr().String()
	g.ln = ln
	g.signal()
	return nil
}

func (g *gate) signal() {
	close(g.moved)
	g.moved = make(chan struct{})
}

// open listens again on the old port. It does nothing when the gate is open, or closed for good.
func (g *gate) open(ctx context.Context) error {
	g.mu.Lock()
	done, addr := g.ln != nil || g.closed, g.addr
	g.mu.Unlock()
	if done {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reopenWithin)
	defer cancel()
	for {
		err := g.listen(ctx, addr)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("listen again on %s: %w", addr, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// shut refuses new connections and ends the open ones.
func (g *gate) shut() error {
	g.mu.Lock()
	ln := g.ln
	g.ln = nil
	conns := g.conns
	g.conns = map[string]*gateConn{}
	if ln != nil {
		g.signal()
	}
	g.mu.Unlock()
	if ln == nil {
		return nil
	}
	err := ln.Close()
	for _, c := range conns {
		_ = c.Close()
	}
	return err
}

// breakConn ends the connection from the given remote address, by a TCP reset if wanted.
func (g *gate) breakConn(remote string, reset bool) {
	g.mu.Lock()
	c := g.conns[remote]
	g.mu.Unlock()
	if c == nil {
		return
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok && reset {
		// Without lingering, close sends RST in place of FIN.
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		ln, moved, closed := g.ln, g.moved, g.closed
		g.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if ln == nil {
			<-moved
			continue
		}
		c, err := ln.Accept()
		if err != nil {
			if g.current() != ln {
				continue
			}
			return nil, err
		}
		if conn := g.track(ln, c); conn != nil {
			return conn, nil
		}
		_ = c.Close()
	}
}

func (g *gate) current() net.Listener {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ln
}

// track returns nil when the gate was shut while the connection was on its way.
func (g *gate) track(ln net.Listener, c net.Conn) *gateConn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ln != ln {
		return nil
	}
	conn := &gateConn{Conn: c, gate: g}
	g.conns[c.RemoteAddr().String()] = conn
	return conn
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	g.signal()
	g.mu.Unlock()
	return g.shut()
}

// Addr implements net.Listener. The address stays while connections are refused.
func (g *gate) Addr() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	return gateAddr(g.addr)
}

type gateAddr string

// Network implements net.Addr.
func (gateAddr) Network() string { return "tcp" }

// String implements net.Addr.
func (a gateAddr) String() string { return string(a) }

type gateConn struct {
	net.Conn
	gate *gate
}

// Close implements net.Conn.
func (c *gateConn) Close() error {
	c.gate.mu.Lock()
	if remote := c.RemoteAddr().String(); c.gate.conns[remote] == c {
		delete(c.gate.conns, remote)
	}
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
