// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (race || !(amd64 || arm64))

package socket

import (
	"errors"
	"syscall"
)

// The race detector takes what was done before a write and after a read for ordered if they are package syscall's. Lambda has
// no other processors than two, and for others not every call has a number of its own.

func receive(fd uintptr, p []byte) (int, syscall.Errno) { return errnoOf(syscall.Read(int(fd), p)) }

func send(fd uintptr, p []byte) (int, syscall.Errno) { return errnoOf(syscall.Write(int(fd), p)) }

func accept(listener uintptr) (int, syscall.Errno) {
	fd, _, err := syscall.Accept4(int(listener), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	return errnoOf(fd, err)
}

func connect(fd uintptr, sa syscall.Sockaddr) syscall.Errno {
	_, errno := errnoOf(0, syscall.Connect(int(fd), sa))
	return errno
}

func bound(fd uintptr) (*syscall.SockaddrInet4, syscall.Errno) {
	sa, err := syscall.Getsockname(int(fd))
	if ipv4, ok := sa.(*syscall.SockaddrInet4); ok {
		return ipv4, 0
	}
	_, errno := errnoOf(0, err)
	if errno == 0 {
		errno = syscall.EAFNOSUPPORT
	}
	return nil, errno
}

func setOption(fd, level, option uintptr) syscall.Errno {
	_, errno := errnoOf(0, syscall.SetsockoptInt(int(fd), int(level), int(option), 1))
	return errno
}

func readable(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return !errors.Is(err, syscall.EAGAIN)
}

func errnoOf(n int, err error) (int, syscall.Errno) {
	errno, _ := errors.AsType[syscall.Errno](err)
	return n, errno
}
