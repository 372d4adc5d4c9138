// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"context"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is a TCP connection. It can be read by one goroutine and written by another at a time; more wait.
type Conn struct {
	file    descriptor
	in, out transfer
	writing sync.Mutex // one Write, in as many pieces as it takes
}

// descriptor is a socket that the poller knows: an *os.File, or a connection of package net.
type descriptor interface {
	syscall.Conn
	io.Closer
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Over returns a Conn over a connection of package net. Closing either closes both.
func Over(conn descriptor) (*Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{file: conn}
	c.in.begin("read", receive, raw.Read)
	c.out.begin("write", send, raw.Write)
	return c, nil
}

// Dial connects to host:port. A zero deadline is none. The error is an *Error, and os.ErrDeadlineExceeded is in its
// chain when time ran out.
func Dial(address string, deadline time.Time) (*Conn, error) {
	return dial(address, func(c *Conn, sa syscall.Sockaddr) error { return c.awaitConnected(sa, deadline) })
}

// DialContext is Dial with a context instead of a deadline. The context's error is in the chain when it has ended.
func DialContext(ctx context.Context, address string) (*Conn, error) {
	return dial(address, func(c *Conn, sa syscall.Sockaddr) error {
		stop := context.AfterFunc(ctx, func() { c.Close() })
		err := c.awaitConnected(sa, time.Time{})
		if !stop() {
			return ctx.Err()
		}
		return err
	})
}

// Resolvable says why Dial could never connect to the address, nil if it might. It does not use the network.
func Resolvable(address string) error {
	if _, err := resolve(address, readHosts); err != nil {
		return &Error{Op: "resolve", Address: address, Err: err}
	}
	return nil
}

// dial has await wait for what the kernel does not do at once.
func dial(address string, await func(*Conn, syscall.Sockaddr) error) (*Conn, error) {
	conn, err := establish(address, await)
	if err != nil {
		return nil, &Error{Op: "connect to", Address: address, Err: err}
	}
	return conn, nil
}

func establish(address string, await func(*Conn, syscall.Sockaddr) error) (*Conn, error) {
	sa, err := resolve(address, readHosts)
	if err != nil {
		return nil, err
	}
	fd, err := open(sa)
	if err != nil {
		return nil, err
	}
	// The poller must not see the socket before connect: it would report that the other side has hung up.
	pending, err := connected(uintptr(fd), sa)
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	conn, err := newConn(fd)
	if err != nil {
		return nil, err
	}
	if pending {
		if err := await(conn, sa); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// connected connects a socket, or says how that has gone.
func connected(fd uintptr, sa syscall.Sockaddr) (pending bool, err error) {
	switch errno := connect(fd, sa); errno {
	case 0, syscall.EISCONN:
		return false, nil
	case syscall.EINPROGRESS, syscall.EALREADY, syscall.EINTR:
		return true, nil
	default:
		return false, errno
	}
}

func open(sa syscall.Sockaddr) (fd int, err error) {
	family := syscall.AF_INET
	if _, ok := sa.(*syscall.SockaddrInet6); ok {
		family = syscall.AF_INET6
	}
	return syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
}

func newConn(fd int) (*Conn, error) {
	// Requests and answers are written in one piece each; waiting for more of them would only delay.
	_ = setOption(uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
	return Over(os.NewFile(uintptr(fd), "tcp"))
}

func (c *Conn) awaitConnected(sa syscall.Sockaddr, deadline time.Time) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	if err := c.file.SetWriteDeadline(deadline); err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) (done bool) {
		var pending bool
		pending, failed = connected(fd, sa)
		return !pending
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return c.file.SetWriteDeadline(time.Time{})
}

// Read implements io.Reader.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.in.some(p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (written int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for written < len(p) && err == nil {
		var n int
		n, err = c.out.some(p[written:])
		written += n
	}
	return written, err
}

// Idle says whether the peer has neither closed the connection nor sent anything that was not read yet. Nobody may read
// meanwhile.
func (c *Conn) Idle() bool {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return false
	}
	idle := false
	err = raw.Control(func(fd uintptr) { idle = !readable(fd) })
	return err == nil && idle
}

// Close ends the connection and with it a Read or Write under way.
func (c *Conn) Close() error { return c.file.Close() }

// SetDeadline bounds Read and Write. A zero time is no bound. The error of either is os.ErrDeadlineExceeded then.
func (c *Conn) SetDeadline(t time.Time) error { return c.file.SetDeadline(t) }

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// SetWriteDeadline bounds Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.file.SyscallConn() }
