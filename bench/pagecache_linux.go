// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropPages asks the kernel to forget what it has read of a file.
func dropPages(file *os.File) error { return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED) }

// residentPages counts the pages of a file, and those of them that are in the page cache.
func residentPages(file *os.File) (resident, pages int, err error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return 0, 0, err
	}
	// Nothing is read: a page of the mapping is there when it is in the cache.
	area, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = unix.Munmap(area) }()
	size := os.Getpagesize()
	there := make([]byte, (len(area)+size-1)/size)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&area[0])), uintptr(len(area)),
		uintptr(unsafe.Pointer(&there[0])))
	if errno != 0 {
		return 0, 0, errno
	}
	for _, page := range there {
		resident += int(page & 1)
	}
	return resident, len(there), nil
}
