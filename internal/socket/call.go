// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !race && (amd64 || arm64)

package socket

import (
	"syscall"
	"unsafe"
)

// Go's runtime is not told of these system calls, as package syscall does of those that may block: they are told not to. In
// a process that has been idle, the runtime would wake its monitor, which looks around a few times and goes back to sleep: a
// quarter of what the guard would take for an event.
//
// The monitor does not only watch over system calls that block. It also has goroutines take turns that compute for longer
// than 10 ms. Who is about to do that with what is read or written here has the monitor woken: see toldBytes and
// quiet.Busy.

// toldBytes is from how many bytes on the runtime is told: what comes or goes in such pieces takes a while to work on.
const toldBytes = 16 << 10

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func call(number, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	var n uintptr
	var errno syscall.Errno
	if len(p) < toldBytes {
		n, _, errno = syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	}
	return int(n), errno
}

// accept takes a connection that waits.
func accept(listener uintptr) (fd int, errno syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, listener, 0, 0, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

// connect begins to connect a socket, or says how far that is.
func connect(fd uintptr, sa syscall.Sockaddr) syscall.Errno {
	var ipv4 syscall.RawSockaddrInet4
	var ipv6 syscall.RawSockaddrInet6
	address, size := unsafe.Pointer(&ipv4), unsafe.Sizeof(ipv4)
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		ipv4 = syscall.RawSockaddrInet4{Family: syscall.AF_INET, Port: swap(sa.Port), Addr: sa.Addr}
	case *syscall.SockaddrInet6:
		ipv6 = syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Port: swap(sa.Port), Addr: sa.Addr}
		address, size = unsafe.Pointer(&ipv6), unsafe.Sizeof(ipv6)
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, fd, uintptr(address), size)
	return errno
}

// bound returns what a socket of IPv4 is bound to.
func bound(fd uintptr) (*syscall.SockaddrInet4, syscall.Errno) {
	var ipv4 syscall.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(ipv4))
	_, _, errno := syscall.RawSyscall(syscall.SYS_GETSOCKNAME, fd, uintptr(unsafe.Pointer(&ipv4)), uintptr(unsafe.Pointer(&size)))
	if errno == 0 && ipv4.Family != syscall.AF_INET {
		errno = syscall.EAFNOSUPPORT
	}
	return &syscall.SockaddrInet4{Port: int(swap(int(ipv4.Port))), Addr: ipv4.Addr}, errno
}

// swap turns a port into the order of bytes that the network has, or back.
func swap(port int) uint16 { return uint16(port)<<8 | uint16(port)>>8&0xff }

// setOption turns on an option of a socket.
func setOption(fd, level, option uintptr) syscall.Errno {
	on := int32(1)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, fd, level, option, uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0)
	return errno
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
