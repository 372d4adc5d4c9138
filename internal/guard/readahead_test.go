// Copyright The otelcol-lambda Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package guard

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// evict drops a file from the page cache. It skips the test where the file system keeps its files in memory.
func evict(t *testing.T, f *os.File) {
	t.Helper()
	require.NoError(t, f.Sync())
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	if !inMemory(int(f.Fd())) {
		return
	}
	t.Skip("the file system does not let go of files in the page cache")
}

func TestReadAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, make([]byte, 3<<20), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.True(t, inMemory(int(f.Fd())), "it has just been written")
	readAhead(path)
	evict(t, f)
	readAhead(path)
	require.Eventually(t, func() bool { return inMemory(int(f.Fd())) }, 10*time.Second, time.Millisecond)
}

func TestReadAheadOfNothing(t *testing.T) {
	t.Parallel()
	readAhead(filepath.Join(t.TempDir(), "missing"))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	readAhead(empty)
}
