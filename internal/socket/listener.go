// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"os"
	"syscall"
)

// backlog is how many connections wait for Accept. The one caller of a guard's listener uses few.
const backlog = 128

// Bound is a port at which connections wait for somebody else to take them, such as a process that inherits the descriptor.
// The poller does not know it, so nobody here is woken by them. It is for one goroutine.
type Bound struct {
	fd      int
	address syscall.SockaddrInet4
}

// Listener takes TCP connections.
type Listener struct {
	file    *os.File
	address syscall.SockaddrInet4
}

// Bind binds host:port, IPv4 only; an empty host is every address, and port 0 leaves the choice to the kernel. The error
// is an *Error.
func Bind(address string) (*Bound, error) {
	sa, err := resolve(address, readHosts)
	if err != nil {
		return nil, &Error{Op: "listen on", Address: address, Err: err}
	}
	fd, err := open(sa)
	if err != nil {
		return nil, &Error{Op: "listen on", Address: address, Err: err}
	}
	bound, err := bind(fd, sa)
	if err != nil {
		_ = syscall.Close(fd)
		return nil, &Error{Op: "listen on", Address: address, Err: err}
	}
	return &Bound{fd: fd, address: *bound}, nil
}

// FD is the descriptor, for handing it to a child.
func (b *Bound) FD() uintptr { return uintptr(b.fd) }

// Listener takes the connections. It is called at most once, and Close has nothing to do then.
func (b *Bound) Listener() *Listener {
	// Who had the descriptor may have had the socket block: Accept would hold up everybody here until somebody connects.
	_ = syscall.SetNonblock(b.fd, true)
	file := os.NewFile(b.FD(), "tcp listener")
	b.fd = -1
	return &Listener{file: file, address: b.address}
}

// Close gives the port back unless a child has it.
func (b *Bound) Close() { _ = syscall.Close(b.fd) }

// Listen is Bind for one's own use.
func Listen(address string) (*Listener, error) {
	b, err := Bind(address)
	if err != nil {
		return nil, err
	}
	return b.Listener(), nil
}

func bind(fd int, sa syscall.Sockaddr) (*syscall.SockaddrInet4, error) {
	// Connections of an earlier process that are still closing must not keep the port.
	if errno := setOption(uintptr(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR); errno != 0 {
		return nil, errno
	}
	if err := syscall.Bind(fd, sa); err != nil {
		return nil, err
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return nil, err
	}
	address, errno := bound(uintptr(fd))
	if errno != 0 {
		return nil, errno
	}
	return address, nil
}

// Accept waits for a connection. After Close the error is os.ErrClosed. Other errors pass, such as having no file
// descriptor left.
func (l *Listener) Accept() (*Conn, error) {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed syscall.Errno
	err = raw.Read(func(listener uintptr) (done bool) {
		for {
			fd, failed = accept(listener)
			switch failed {
			case syscall.EINTR, syscall.ECONNABORTED:
			default:
				return failed != syscall.EAGAIN
			}
		}
	})
	if err != nil {
		// There is no deadline, so this is what the poller says of a closed file, in an error of its own.
		return nil, os.ErrClosed
	}
	if failed != 0 {
		return nil, failed
	}
	return newConn(fd)
}

// Address is the host:port that is bound.
func (l *Listener) Address() string { return text(&l.address) }

// Port is the port that is bound.
func (l *Listener) Port() int { return l.address.Port }

// Close stops listening and ends an Accept under way. Connections accepted before stay.
func (l *Listener) Close() error { return l.file.Close() }
