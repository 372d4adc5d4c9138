// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !race

package socket

import (
	"syscall"
	"unsafe"
)

// Go's runtime is not told of these system calls, as package syscall does of those that may block: they are told not to. In
// a process that has been idle, the runtime would wake the thread that watches over blocked ones, which looks a few times
// and goes back to sleep: a quarter of what the guard would take for an event.

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// readable says whether there is something to read from a socket: bytes, its end, or an error.
func readable(fd uintptr) bool {
	var next [1]byte
	for {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&next)), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno != syscall.EAGAIN
		}
	}
}
