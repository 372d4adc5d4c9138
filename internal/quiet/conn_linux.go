// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package quiet

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/otelcol-lambda/otelcol-lambda/internal/socket"
)

// Over returns a connection that is the given one, but for how it is read and written, or the given one if it is not of
// TCP. Errors are as of package net.
func Over(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	over, err := socket.Over(tcp)
	if err != nil { // it is closed
		return c
	}
	return &conn{TCPConn: tcp, over: over}
}

// Busy is to be called before what may take the processor for more than some milliseconds and was not begun by a read or
// write of 16 KiB or more. It wakes Go's monitor if that sleeps, so that others get their turns meanwhile, timers among them.
func Busy() {
	// Any system call of which the runtime is told.
	_, _, _ = syscall.Syscall(syscall.SYS_GETPPID, 0, 0, 0)
}

type conn struct {
	*net.TCPConn
	over *socket.Conn
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.over.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = c.failed("read", err)
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.over.Write(p)
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom by way of Write. That of TCPConn is for what the kernel can move by itself.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo implements io.WriterTo by way of Read.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// Idle says whether the peer has neither closed the connection nor sent anything that was not read yet. Nobody may read
// meanwhile.
func (c *conn) Idle() bool { return c.over.Idle() }

func (c *conn) failed(op string, err error) error {
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
