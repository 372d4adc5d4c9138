// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package socket

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// transfer is one direction of a connection.
type transfer struct {
	mu sync.Mutex
	// wait calls its argument until that returns true, and in between waits for the poller.
	wait func(attempt func(fd uintptr) (done bool)) error
	// attempt is t.once, made once.
	attempt func(fd uintptr) (done bool)
	call    func(fd uintptr, p []byte) (int, syscall.Errno)
	name    string

	// Of the call under way.
	p     []byte
	n     int
	errno syscall.Errno
}

func (t *transfer) begin(
	name string, call func(uintptr, []byte) (int, syscall.Errno), wait func(func(fd uintptr) bool) error,
) {
	t.name, t.call, t.wait, t.attempt = name, call, wait, t.once
}

// some transfers at least a byte, or none with the end of what the peer sends.
func (t *transfer) some(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p = p
	err := t.wait(t.attempt)
	t.p = nil
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		// What else the poller has to say is that the connection is closed, in an error of its own.
		return 0, os.ErrClosed
	case t.errno != 0:
		return 0, os.NewSyscallError(t.name, t.errno)
	default:
		return t.n, nil
	}
}

func (t *transfer) once(fd uintptr) (done bool) {
	for {
		t.n, t.errno = t.call(fd, t.p)
		switch t.errno {
		case syscall.EAGAIN:
			return false
		case syscall.EINTR:
		default:
			return true
		}
	}
}
