// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/otelcol-lambda/otelcol-lambda/internal/guard/contract"
)

// evict drops a file from the page cache. It skips the test where the file system keeps its files in memory.
func evict(t *testing.T, f *os.File) {
	t.Helper()
	info, err := f.Stat()
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	if !resident(t, f, 0) && !resident(t, f, int(info.Size())-1) {
		return
	}
	t.Skip("the file system does not let go of files in the page cache")
}

// resident says whether a byte of a file is in the page cache. It is not looked for by reading it, which would have the
// kernel read it, whether somebody waits for it or not.
func resident(t *testing.T, f *os.File, offset int) bool {
	t.Helper()
	area, err := unix.Mmap(int(f.Fd()), 0, offset+1, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(area)) }()
	pages := make([]byte, offset/os.Getpagesize()+1)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&area[0])), uintptr(len(area)),
		uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(t, errno)
	return pages[len(pages)-1]&1 != 0
}

func TestReadAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, make([]byte, 3<<20), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.True(t, inMemory(int(f.Fd())), "it has just been written")
	require.Nil(t, readAhead(path))
	evict(t, f)
	readAhead(path)()
	for _, offset := range []int{0, 2 << 20, 3<<20 - 1} {
		require.Eventually(t, func() bool { return resident(t, f, offset) }, patience, time.Millisecond, offset)
	}
}

func TestReadAheadOfNothing(t *testing.T) {
	t.Parallel()
	require.Nil(t, readAhead(filepath.Join(t.TempDir(), "missing")))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	require.Nil(t, readAhead(empty))
}

// What starts reads its own beginning, and what the kernel finds fit to read with it.
func TestReadAheadOfWhatStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, setup{bare: true, env: map[string]string{
		contract.EnvInitTimeout: "300ms", envGoMaxProcs: "1", // as cmd/guard has it
	}})
	path := filepath.Join(r.layer, "otelcol-lambda", "collector")
	program := append([]byte("#!/bin/sh\nexec sleep 60\n"), make([]byte, 3*lateData)...)
	require.NoError(t, os.WriteFile(path, program, 0o755))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	evict(t, f)
	r.init()
	for _, offset := range []int{len(program) - 1, len(program) / 2} {
		require.Eventually(t, func() bool { return resident(t, f, offset) }, patience, time.Millisecond, offset)
	}
}
