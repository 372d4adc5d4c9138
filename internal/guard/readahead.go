// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

const (
	preadNoWait    = 0x8 // RWF_NOWAIT of preadv2(2), whose number package syscall does not know
	preadAMD64     = 327
	preadARM64     = 286
	adviceWillNeed = 3 // POSIX_FADV_WILLNEED of posix_fadvise(2)
)

const (
	// lateData is about how much of a Go program is data, which its runtime needs before anything else, and which is at the
	// end of the file.
	lateData = 2 << 20

	// diskTime is more than a few bytes of memory take, and less than the same of a disk.
	diskTime = 50 * time.Microsecond

	// window is how much the kernel is asked for at a time. It reads no more than the disk's read-ahead, which is this much
	// where nobody has set it.
	window = 128 << 10
)

// readAhead returns what has the kernel read a program that is about to start, nil where it is in memory: to start it is to
// read its beginning, so this has to look before. A program that starts reads what it touches next and waits for it, a dozen
// times; this way the disk is busy while the processor is. What is returned takes as long as finding memory for the program.
func readAhead(path string) (read func()) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil // who starts it will say so
	}
	var info syscall.Stat_t
	if syscall.Fstat(fd, &info) != nil || inMemory(fd, info.Size) {
		_ = syscall.Close(fd)
		return nil
	}
	return func() {
		defer func() { _ = syscall.Close(fd) }()
		late := max(info.Size-lateData, 0) / window * window
		willNeed(fd, late, info.Size)
		willNeed(fd, 0, late)
	}
}

// willNeed has the kernel read a part of a file.
func willNeed(fd int, begin, end int64) {
	for offset := begin; offset < end; offset += window {
		_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, uintptr(fd), uintptr(offset), window, adviceWillNeed, 0, 0)
		runtime.Gosched() // there is one processor, and the program is still to be started
	}
}

// inMemory reports whether a file can be read without waiting for a disk, by some of its bytes. Where the kernel or the file
// system cannot tell, it is taken to be there. The kernel begins to read what is not, and a disk that is fast may be done
// before it says so: then it took too long for memory.
func inMemory(fd int, size int64) bool {
	number := uintptr(preadAMD64)
	if runtime.GOARCH == "arm64" {
		number = preadARM64
	}
	var b [1]byte
	v := syscall.Iovec{Base: &b[0], Len: 1}
	began := time.Now()
	for _, offset := range [...]int64{0, size / 2, size - 1} {
		_, _, errno := syscall.Syscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&v)), 1, uintptr(offset), 0, preadNoWait)
		if errno == syscall.EAGAIN {
			return false
		}
	}
	return time.Since(began) < diskTime
}
