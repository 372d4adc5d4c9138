// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"bytes"
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

// attempts are how often something is tried that a disk can spoil which is as fast as memory.
const attempts = 10

func TestReadAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	// Zeros may be none on the disk.
	require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{1}, 3<<20), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.Eventually(t, func() bool { return readAhead(path) == nil }, patience, time.Millisecond,
		"it has just been written, but somebody else may have the processor meanwhile")
	var read func()
	for n := 0; read == nil && n < attempts; n++ {
		evict(t, f)
		read = readAhead(path)
	}
	require.NotNil(t, read)
	read()
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
	for range attempts {
		if readsAhead(t) {
			return
		}
	}
	require.Fail(t, "nothing has read the program")
}

// readsAhead starts a guard, and says whether the whole of its collector is in memory soon.
func readsAhead(t *testing.T) bool {
	t.Helper()
	r := newRig(t, setup{bare: true, env: map[string]string{
		contract.EnvInitTimeout: "300ms", envGoMaxProcs: "1", // as cmd/guard has it
	}})
	path := filepath.Join(r.layer, "otelcol-lambda", "collector")
	program := append([]byte("#!/bin/sh\nexec sleep 60\n"), bytes.Repeat([]byte("#"), 3*lateData)...)
	require.NoError(t, os.WriteFile(path, program, 0o755))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	evict(t, f)
	r.init()
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		if resident(t, f, len(program)-1) && resident(t, f, len(program)/2) {
			return true
		}
	}
	return false
}
