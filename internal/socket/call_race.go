// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && race

package socket

import (
	"errors"
	"syscall"
)

// The race detector takes what was done before a write and after a read for ordered if they are package syscall's.

func receive(fd uintptr, p []byte) (int, syscall.Errno) { return errnoOf(syscall.Read(int(fd), p)) }

func send(fd uintptr, p []byte) (int, syscall.Errno) { return errnoOf(syscall.Write(int(fd), p)) }

func readable(fd uintptr) bool {
	_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return !errors.Is(err, syscall.EAGAIN)
}

func errnoOf(n int, err error) (int, syscall.Errno) {
	errno, _ := errors.AsType[syscall.Errno](err)
	return n, errno
}
